"""Stage 4: graph passes, in one list; each says how often it changed something.

Only what leaves the numbers alone stands here (constants computed beforehand, detours removed, rows that nobody reads left
out); what changes them belongs to quantization. A pass is a function over the model: it asks whether a place in the graph
is what it requires, changes it, and counts. The general ones are onnxscript's and onnx-ir's.
"""

from collections import Counter
from collections.abc import Callable

import onnx_ir
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.rewrite.biases import drop_key_biases, fold_value_biases
from embedrt_export.rewrite.constants import fold_constants
from embedrt_export.rewrite.logarithms import steady_logarithms
from embedrt_export.rewrite.narrowing import narrow_last_layer
from embedrt_export.rewrite.reshapes import merge_reshapes
from embedrt_export.rewrite.token_sums import sums_as_products
from embedrt_export.rewrite.token_types import fold_token_types

__all__ = ["operators", "rewrite"]


def rewrite(model: onnx_ir.Model) -> Counter[str]:
    """Run every pass on ``model`` in place; gives how many nodes each one removed or replaced."""
    counts: Counter[str] = Counter()
    for run in _PASSES:
        counts[run.__name__] += run(model)
    return counts


def operators(model: onnx_ir.Model) -> Counter[str]:
    """How often each operator stands in the graph."""
    return Counter(node.op_type for node in model.graph)


_PASSES: tuple[Callable[[onnx_ir.Model], int], ...] = (
    fold_constants,
    merge_reshapes,
    fold_token_types,
    sums_as_products,
    drop_unused,  # the passes below ask who reads a value, and what is left over reads too
    drop_key_biases,
    fold_value_biases,
    narrow_last_layer,
    steady_logarithms,
    drop_unused,
)
