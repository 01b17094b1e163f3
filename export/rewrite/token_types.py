"""The token type of a text is always 0: its row stands in the graph as a constant, instead of a lookup for every token.

    words[ids] + types[zeros] = words[ids] + types[0]

The row is not added to the word table, though that would spare the sum too (a thousandth of a run): it often has one value
far from the others, and the table's rows would lose half of their precision in int8.
"""

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.graphs.values import add_weight, constant, produced_by

__all__ = ["fold_token_types"]


def fold_token_types(model: onnx_ir.Model) -> int:
    """Replace lookups that give the same row for every token, where it is added to all tokens; gives how many."""
    count = 0
    for node in model.graph:
        if node.op_type != "Add" or node.domain:
            continue
        for index, other in ((0, node.inputs[1]), (1, node.inputs[0])):
            value = node.inputs[index]
            row = _repeated_row(value)
            if value is None or row is None or not _is_as_large(other, value):
                continue
            node.replace_input_with(index, add_weight(model.graph, f"{value.name}.row", row))
            count += 1
            break
    return count


def _repeated_row(value: onnx_ir.Value | None) -> npt.NDArray[np.float32] | None:
    """The row (width,) that a lookup with one index everywhere gives."""
    lookup = produced_by(value, "Gather")
    if lookup is None or lookup.attributes.get_int("axis", 0) != 0:
        return None
    table, index = constant(lookup.inputs[0]), _same_everywhere(lookup.inputs[1])
    return table[index] if table is not None and table.ndim == 2 and index is not None else None


def _same_everywhere(indices: onnx_ir.Value | None) -> int | None:
    """The one number that ``indices`` repeat: a constant, or one that Expand or ConstantOfShape spreads."""
    spread, filled = produced_by(indices, "Expand"), produced_by(indices, "ConstantOfShape")
    if spread is not None:
        return _same_everywhere(spread.inputs[0])
    if filled is not None:
        value = filled.attributes.get_tensor("value", None)
        return int(value.numpy().item()) if value is not None else 0
    array = constant(indices)
    return int(array.flat[0]) if array is not None and array.size and bool((array == array.flat[0]).all()) else None


def _is_as_large(other: onnx_ir.Value | None, value: onnx_ir.Value) -> bool:
    """Whether the sum has the shape of ``other`` even if ``value`` is one row."""
    return other is not None and other.shape is not None and other.shape == value.shape
