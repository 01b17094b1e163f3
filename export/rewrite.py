"""Stage 4: graph passes, in one list; each says how often it changed something.

Only what leaves the numbers alone stands here (constants computed beforehand, detours removed); what changes them belongs
to quantization. The general passes are onnxscript's and onnx-ir's.
"""

from collections import Counter
from collections.abc import Callable

import onnx_ir
from embedrt_export.tidy import drop_unused
from onnxscript import optimizer

__all__ = ["rewrite"]

_LARGEST_FOLDED = 1 << 31  # bytes: weights are transposed here, once, and not at every start


def rewrite(model: onnx_ir.Model) -> dict[str, int]:
    """Run every pass on ``model`` in place; gives how many nodes each one removed or replaced."""
    return {name: run(model) for name, run in _PASSES.items()}


def fold_constants(model: onnx_ir.Model) -> int:
    """Compute what depends on no input, and cancel transpositions and shape arithmetic (onnxscript)."""
    before = _size(model)
    optimizer.optimize_ir(model, input_size_limit=_LARGEST_FOLDED, output_size_limit=_LARGEST_FOLDED)
    return before - _size(model)


def merge_reshapes(model: onnx_ir.Model) -> int:
    """Two reshapes in a row are the second; one to the shape that its input has already is none.

    The second case is what splitting attention heads and merging them again comes to.
    """
    count = 0
    for node in list(model.graph):
        if node.op_type != "Reshape" or node.inputs[0] is None:
            continue
        first = node.inputs[0].producer()
        if first is not None and first.op_type == "Reshape":
            node.replace_input_with(0, first.inputs[0])
            count += 1
        source, target = node.inputs[0], node.outputs[0]
        if (
            source is not None
            and source.shape is not None
            and source.shape == target.shape
            and not target.is_graph_output()
        ):
            onnx_ir.convenience.replace_all_uses_with(target, source)
            count += 1
    return count


def operators(model: onnx_ir.Model) -> Counter[str]:
    """How often each operator stands in the graph."""
    return Counter(node.op_type for node in model.graph)


def _size(model: onnx_ir.Model) -> int:
    return len(model.graph)


_PASSES: dict[str, Callable[[onnx_ir.Model], int]] = {
    "fold_constants": fold_constants,
    "merge_reshapes": merge_reshapes,
    "drop_unused": drop_unused,
}
