"""Ways of handing a batch to a card and getting its vectors back, in turns: which of ONNX Runtime's options are worth having.

``run`` is what the runtime does. ``on the card`` leaves everything there, which no user can do, and so is the most that better
copies could gain. A way that is not to be had here is listed with the reason.

ONNX Runtime copies an input to the card when it is bound, not when it runs: whatever is not bound anew must lie on the card
already, or a batch is run twice. So vectors are compared once more after the batch has changed.
"""

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
from embedrt_export.source.diagnosis import first_line
from tqdm import tqdm

from embedrt.inference.devices import CPU_PROVIDER, TENSORRT_PROVIDER, Device, wanted_providers
from embedrt.inference.session import SENTENCE_EMBEDDING, available_providers, runtime_version

__all__ = ["SHAPES", "WAYS", "Card", "Feed", "Vectors", "lines_of_ways", "measure_ways"]

SHAPES = ((1, 16), (1, 128), (128, 128), (1024, 16))
"""(batch, sequence): single texts, and batches of 16384 tokens."""
_ROUNDS = 5
_IDS = 100  # fewer than any vocabulary has
Vectors = npt.NDArray[np.float32]
Feed = dict[str, npt.NDArray[np.int64]]
Way = Callable[["Card", Feed], Callable[[], Vectors]]
"""Prepares for batches of one shape; what it gives runs what the feed holds, waits, and hands the vectors (batch, dim) back."""
_FIXED = ("on the card",)
"""Ways that run the first batch again, whatever the feed holds."""


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


def _run(card: Card, feed: Feed) -> Callable[[], Vectors]:
    session = card.session()
    return lambda: _first(session.run([SENTENCE_EMBEDDING], feed))


def _bound(card: Card, feed: Feed) -> Callable[[], Vectors]:
    binding, run = _binding(card.session())
    binding.bind_output(SENTENCE_EMBEDDING)

    def call() -> Vectors:
        for name, array in feed.items():
            binding.bind_cpu_input(name, array)
        run()
        return _first(binding.copy_outputs_to_cpu())

    return call


def _page_locked(card: Card, feed: Feed) -> Callable[[], Vectors]:
    card.require_a_card()
    session, locked = card.session(), {name: card.page_locked(array) for name, array in feed.items()}

    def call() -> Vectors:
        for name, array in feed.items():
            locked[name].memory[...] = array
        return _first(session.run([SENTENCE_EMBEDDING], {name: one.memory for name, one in locked.items()}))

    return call


def _bound_page_locked(card: Card, feed: Feed) -> Callable[[], Vectors]:
    card.require_a_card()
    session = card.session()
    binding, run = _binding(session)
    locked = {name: card.page_locked(array) for name, array in feed.items()}
    output = card.page_locked(_first(session.run([SENTENCE_EMBEDDING], feed)))
    binding.bind_ortvalue_output(SENTENCE_EMBEDDING, output.value)

    def call() -> Vectors:
        for name, array in feed.items():
            locked[name].memory[...] = array
            binding.bind_ortvalue_input(name, locked[name].value)
        run()
        return np.array(output.memory)

    return call


def _on_the_card(card: Card, feed: Feed) -> Callable[[], Vectors]:
    card.require_a_card()
    binding, run = _binding(card.session())
    for name, array in feed.items():
        binding.bind_ortvalue_input(name, card.on_it(array))
    binding.bind_output(SENTENCE_EMBEDDING, card.device.kind, card.device.index)
    run()
    vectors = _first(binding.copy_outputs_to_cpu())

    def call() -> Vectors:
        run()
        return vectors

    return call


def _cuda_graph(card: Card, feed: Feed) -> Callable[[], Vectors]:
    card.require_a_card()
    session = card.session(next(iter(feed.values())).shape, enable_cuda_graph="1")
    binding, run = _binding(session)
    inputs = {name: card.on_it(array) for name, array in feed.items()}
    output = card.on_it(_first(card.session().run([SENTENCE_EMBEDDING], feed)))
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    binding.bind_ortvalue_output(SENTENCE_EMBEDDING, output)

    def call() -> Vectors:
        for name, array in feed.items():
            inputs[name].update_inplace(array)
        run()
        return np.array(output.numpy())

    return call


def _tensorrt(card: Card, feed: Feed) -> Callable[[], Vectors]:
    session = card.tensorrt_session()
    return lambda: _first(session.run([SENTENCE_EMBEDDING], feed))


WAYS: Mapping[str, Way] = {
    "run": _run,
    "bound": _bound,
    "page-locked": _page_locked,
    "bound, page-locked": _bound_page_locked,
    "on the card": _on_the_card,
    "CUDA graph": _cuda_graph,
    "TensorRT": _tensorrt,
}


def measure_ways(
    graph: Path, device: Device, cache: Path, *, shapes: Sequence[tuple[int, int]] = SHAPES, seconds: float = 0.3
) -> dict[str, dict[str, dict[str, Any]]]:
    """By shape and way: milliseconds of the first call, ``p50``, the largest difference to ``run``; or the ``reason`` why not."""
    card, found = Card(graph, device, cache), {}
    for shape in tqdm(shapes, desc="ways", unit="shape", disable=None, leave=False):
        found[f"{shape[0]} x {shape[1]}"] = _of_one_shape(card, shape, seconds)
    return found


def _of_one_shape(card: Card, shape: tuple[int, int], seconds: float) -> dict[str, dict[str, Any]]:
    feed = card.feed(shape)
    calls: dict[str, Callable[[], Vectors]] = {}
    found: dict[str, dict[str, Any]] = {}
    first: dict[str, Vectors] = {}
    for name, way in WAYS.items():
        try:
            began = time.perf_counter()
            call = way(card, feed)
            first[name] = call()
        except Exception as error:  # noqa: BLE001  whatever a way fails with is what there is to say of it
            found[name] = {"reason": first_line(error)}
            continue
        calls[name] = call
        found[name] = {"first_milliseconds": 1e3 * (time.perf_counter() - began)}
    for name, array in card.feed(shape, seed=1).items():
        feed[name][...] = array
    second = {name: call() for name, call in calls.items() if name not in _FIXED}
    for name, times in _in_turns(calls, seconds).items():
        pairs = [(vectors[name], vectors["run"]) for vectors in (first, second) if name in vectors]
        found[name]["largest_difference"] = max(float(np.abs(vectors - right).max()) for vectors, right in pairs)
        found[name]["p50"] = 1e3 * statistics.median(times)
    return found


def _in_turns(calls: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            call()
            until = time.perf_counter() + seconds
            while (began := time.perf_counter()) < until:
                call()
                times[name].append(time.perf_counter() - began)
    return times


def _binding(session: Any) -> tuple[Any, Callable[[], None]]:
    binding = session.io_binding()

    def run() -> None:
        binding.synchronize_inputs()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return binding, run


def _first(outputs: Sequence[Vectors]) -> Vectors:
    return outputs[0]


def lines_of_ways(ways: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """A row a way, a column a shape, milliseconds or why there are none; in Markdown."""
    rows = [f"| way | {' | '.join(ways)} |", "|---|" + "---|" * len(ways)]
    for name in WAYS:
        cells = [f"{one[name]['p50']:.2f}" if "p50" in one[name] else one[name]["reason"] for one in ways.values()]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows
