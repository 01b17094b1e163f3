"""What depends on no input is computed when the graph is made."""

import onnx_ir
from onnxscript import optimizer

__all__ = ["fold_constants"]

_LARGEST_FOLDED = 1 << 31  # bytes: weights are transposed here, once, and not at every start


def fold_constants(model: onnx_ir.Model) -> int:
    """Compute what depends on no input, and cancel transpositions and shape arithmetic (onnxscript)."""
    before = len(model.graph)
    optimizer.optimize_ir(model, input_size_limit=_LARGEST_FOLDED, output_size_limit=_LARGEST_FOLDED)
    return before - len(model.graph)
