"""The exporter: a checkpoint to one verified ONNX graph, and variants of that graph.

The map, in the order of an export: source, modules, tracing, rewrite, parity, packing; :mod:`embedrt_export.pipeline` is the
whole story. :mod:`embedrt_export.quantization` adds variants and needs no PyTorch, so what does need it is imported on first
use only.
"""

from typing import TYPE_CHECKING, Any

from embedrt_export.quantization import quantize

if TYPE_CHECKING:
    from embedrt_export.pipeline import export, verify

__all__ = ["export", "quantize", "verify"]


def __getattr__(name: str) -> Any:
    if name in ("export", "verify"):
        from embedrt_export import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
