"""What a card is, and the most that it could do: its matrix rate and its copy bandwidth, measured through PyTorch."""

import time
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["copy_bandwidth", "describe_card", "matrix_rate", "why_no_card"]

_WARM_UP, _RUNS = 3, 10


def why_no_card() -> str | None:
    """Why nothing can be measured on a GPU here, in one sentence; None where it can."""
    from embedrt.inference.devices import CUDA_PROVIDER
    from embedrt.inference.session import available_providers

    if not torch.cuda.is_available():
        return "PyTorch sees no CUDA device"
    if CUDA_PROVIDER not in available_providers():
        return 'this ONNX Runtime has no CUDA: type pip uninstall onnxruntime && pip install "embedrt[gpu]"'
    return None


def describe_card(device: str) -> dict[str, Any]:
    """Name and memory in bytes of the card, and the version of CUDA that PyTorch was built with; of ``cpu`` its name alone."""
    if not device.startswith("cuda"):
        return {"name": device}
    found = torch.cuda.get_device_properties(torch.device(device))
    return {"name": found.name, "memory": found.total_memory, "cuda": torch.version.cuda}


def matrix_rate(device: str, dtype: str, *, size: int = 8192) -> float:
    """10^9 operations a second of a product of two ``size`` × ``size`` matrices, a multiplication and an addition being two."""
    kind = getattr(torch, dtype)
    left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    return 2 * size**3 / _seconds(lambda: left @ right, device) / 1e9


def copy_bandwidth(device: str, *, megabytes: int = 1024) -> float:
    """10^9 bytes a second that are read and written where a tensor is copied within the device's memory."""
    source = torch.zeros(megabytes << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _seconds(lambda: target.copy_(source), device) / 1e9


def _seconds(work: Callable[[], object], device: str) -> float:
    """Of one call, the least of several, each waited for."""
    best = float("inf")
    for run in range(_WARM_UP + _RUNS):
        _wait(device)
        began = time.perf_counter()
        work()
        _wait(device)
        best = best if run < _WARM_UP else min(best, time.perf_counter() - began)
    return best


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
