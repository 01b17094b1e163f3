"""The exporter: a checkpoint to one verified ONNX graph. PyTorch lives here and nowhere else.

The map, in the order of an export: source, module (with pooling and attention), trace, rewrite, parity (with suspect),
pack; :mod:`embedrt_export.pipeline` is the whole story.
"""

from embedrt_export.pipeline import export, verify

__all__ = ["export", "verify"]
