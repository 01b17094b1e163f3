"""Devices, and the execution providers of ONNX Runtime that stand for them; pure, ``session.py`` knows what there is."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embedrt.errors import InputError, ProviderError
from embedrt.inference.installation import conflict, onnxruntime_packages

__all__ = [
    "CPU_PROVIDER",
    "CUDA_PROVIDER",
    "TENSORRT_PROVIDER",
    "Device",
    "Providers",
    "device_of",
    "wanted_providers",
    "why_not_loaded",
]

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"
TENSORRT_PROVIDER = "TensorrtExecutionProvider"
_CUDA_OPTIONS = {"use_tf32": "0"}
"""TensorFloat-32 cuts the factors of a float32 product to 10 bits: the vectors would not be those of the checkpoint."""

Providers = Sequence[str | tuple[str, Mapping[str, Any]]]
"""ONNX Runtime's names, each by itself or with its options."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where a graph runs: ``cpu``, or a CUDA card by number."""

    kind: str
    index: int = 0

    @property
    def name(self) -> str:
        """As it is asked for."""
        return f"{self.kind}:{self.index}" if self.kind == "cuda" else self.kind

    @property
    def provider(self) -> str:
        """ONNX Runtime's name for it."""
        return CUDA_PROVIDER if self.kind == "cuda" else CPU_PROVIDER


def device_of(asked: str | None, available: Sequence[str], *, cards: Callable[[], int]) -> Device:
    """``cpu``, ``cuda``, ``cuda:1``, or ``auto`` (None likewise): CUDA where it is ``available`` and there are cards.

    Raises:
        InputError: it is none of these.
    """
    text = "auto" if asked is None else str(asked)  # PyTorch's devices are written alike
    match = re.fullmatch(r"cpu|auto|cuda(?::(\d+))?", text)
    if not match:
        raise InputError(f"device is {text!r}, expected 'cpu', 'cuda', 'cuda:N' or 'auto'")
    if text == "auto":
        return Device("cuda" if CUDA_PROVIDER in available and cards() else "cpu")
    return Device(text.partition(":")[0], int(match[1] or 0))


def wanted_providers(device: Device, providers: Providers | None, available: Sequence[str], version: str) -> list[Any]:
    """What ONNX Runtime is to be asked for: ``providers`` where they are given, else that of ``device``.

    Raises:
        TypeError: they are a single str.
        ProviderError: one is not ``available`` in this ONNX Runtime, of this ``version``.
    """
    if isinstance(providers, str):
        raise TypeError(f"providers is a str ({providers!r}), expected a list: pass [{providers!r}]")
    wanted = list(providers) if providers is not None else _providers_of(device)
    if not wanted:
        raise InputError(f"providers is empty, expected some of {', '.join(available)}")
    for entry in wanted:
        name = entry if isinstance(entry, str) else entry[0]
        if name not in available:
            raise ProviderError(
                f"{name} was asked for, but this ONNX Runtime {version} has {', '.join(available)}. {_how_to_get(name)}"
            )
    return wanted


def why_not_loaded(provider: str, *, cards: Callable[[], int]) -> str:
    """What keeps a provider that ONNX Runtime has from running, as a part of a sentence."""
    if provider == CUDA_PROVIDER and not cards():
        return 'the NVIDIA driver shows no card here (a container needs --gpus all). Pass device="cpu"'
    if provider == CUDA_PROVIDER:
        return (
            "its CUDA and cuDNN libraries did not load. "
            'Type pip install "onnxruntime-gpu[cuda,cudnn]", or pass device="cpu"'
        )
    if provider == TENSORRT_PROVIDER:
        return (
            "TensorRT's libraries did not load. Install the TensorRT that this ONNX Runtime was built for, "
            f"or pass providers=['{CUDA_PROVIDER}']"
        )
    return "its libraries did not load, or it takes no part of this graph"


def _providers_of(device: Device) -> list[Any]:
    if device.kind == "cuda":
        return [(CUDA_PROVIDER, {"device_id": str(device.index), **_CUDA_OPTIONS})]
    return [CPU_PROVIDER]


def _how_to_get(provider: str) -> str:
    if (problem := conflict(onnxruntime_packages())) is not None:
        return problem[0].upper() + problem[1:]
    if provider == CUDA_PROVIDER:
        return 'Type: pip uninstall onnxruntime && pip install "embedrt[gpu]", or pass device="cpu"'
    return "Install an ONNX Runtime that was built with it, or choose one of these"
