"""A graph on a device: its sessions, batches for it, and memory of the host and of the card."""

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

from embedrt.inference.devices import CPU_PROVIDER, TENSORRT_PROVIDER, Device, wanted_providers
from embedrt.inference.session import available_providers, runtime_version

__all__ = ["Card", "Feed"]

_IDS = 100  # fewer than any vocabulary has
Feed = dict[str, npt.NDArray[np.int64]]


class _Locked(NamedTuple):
    """Page-locked memory, for as long as both are held."""

    value: Any
    """ONNX Runtime's, which owns it."""
    memory: npt.NDArray[Any]
    """An array over it."""


class Card:
    """A device, a graph for it, and a folder for what compilers leave behind."""

    def __init__(self, graph: Path, device: Device, cache: Path) -> None:
        self.graph, self.device, self.cache = graph, device, cache
        if device.kind == "cuda":
            onnxruntime.preload_dlls()
        self._inputs = onnxruntime.InferenceSession(str(graph), providers=[CPU_PROVIDER]).get_inputs()

    def session(self, shape: tuple[int, ...] | None = None, **options: str) -> Any:
        """ONNX Runtime's session with further ``options`` of the provider; with ``shape`` for inputs of that shape alone."""
        return self._opened([self._provider(options)], shape)

    def tensorrt_session(self) -> Any:
        """The same through TensorRT, which keeps its engines in the folder."""
        if TENSORRT_PROVIDER not in available_providers():
            raise LookupError(f"this ONNX Runtime has no {TENSORRT_PROVIDER}")
        kept = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(self.cache), "trt_fp16_enable": "1"}
        tensorrt = (TENSORRT_PROVIDER, {"device_id": str(self.device.index), **kept})
        session = self._opened([tensorrt, self._provider({})], None)
        if session.get_providers()[0] != TENSORRT_PROVIDER:
            raise LookupError("TensorRT's libraries did not load")
        return session

    def page_locked(self, like: npt.NDArray[Any]) -> _Locked:
        """Memory of the host, as much as ``like`` has, that the card copies from and to by itself."""
        value = self._in_page_locked_memory(like)
        memory: Any = (ctypes.c_byte * like.nbytes).from_address(value.data_ptr())
        return _Locked(value, np.frombuffer(memory, dtype=like.dtype).reshape(like.shape))

    def _in_page_locked_memory(self, like: npt.NDArray[Any]) -> Any:
        for found in onnxruntime.get_ep_devices():
            if found.ep_name == self.device.provider:
                memory = found.memory_info(onnxruntime.OrtDeviceMemoryType.HOST_ACCESSIBLE)
                if memory is not None:
                    return onnxruntime.OrtValue.ortvalue_from_shape_and_type(like.shape, like.dtype, memory_info=memory)
        raise LookupError(f"{self.device.provider} offers no page-locked memory")

    def on_it(self, array: npt.NDArray[Any]) -> Any:
        """``array`` in the card's own memory."""
        return onnxruntime.OrtValue.ortvalue_from_numpy(array, self.device.kind, self.device.index)

    def require_a_card(self) -> None:
        """Refuse a processor."""
        if self.device.kind != "cuda":
            raise LookupError("a processor has no memory of its own")

    def feed(self, shape: tuple[int, int], *, seed: int = 0) -> Feed:
        """Random tokens, none of them padding, for every input of the graph."""
        tokens = np.random.default_rng(seed).integers(1, _IDS, shape, dtype=np.int64)
        values = {"input_ids": tokens, "token_type_ids": np.zeros_like(tokens)}
        return {value.name: values.get(value.name, np.ones_like(tokens)) for value in self._inputs}

    def _provider(self, more: Mapping[str, str]) -> Any:
        """As the runtime asks for it, with ``more`` options."""
        [wanted] = wanted_providers(self.device, None, available_providers(), runtime_version())
        return wanted if isinstance(wanted, str) else (wanted[0], {**wanted[1], **more})

    def _opened(self, providers: list[Any], shape: tuple[int, ...] | None) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if shape is not None:
            for name, size in zip(self._inputs[0].shape, shape, strict=True):
                options.add_free_dimension_override_by_name(name, size)
        return onnxruntime.InferenceSession(str(self.graph), options, providers=providers)
