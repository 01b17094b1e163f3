"""Biases of keys and values, which attention does not see or lets through.

A key's bias adds q · a to every score of a query, and softmax does not see what is added to all of them. A value's bias
comes out of attention as it went in, since the weights of a query add up to 1, and the output projection's bias can carry it:

    attention(q, k + a, v + b) W + c = attention(q, k, v) W + (b W + c)

Both need the sum to be what attention reads, without a rotation or a normalization in between; and capped scores do see a
key's bias. Where a query may look nowhere ONNX Runtime gives zeros, weights that add up to nothing: so do padding tokens of
some masks, which nobody reads, and texts without any token, of which pooling makes zeros in either form.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.graphs.values import add_weight, constant, produced_by

__all__ = ["drop_key_biases", "fold_value_biases"]

_KEY, _VALUE, _FORMER = 1, 2, 4  # inputs of attention; from the last on, keys and values of former runs


@dataclass(frozen=True, slots=True)
class _Biased:
    """``unbiased + bias``, where only one node reads it."""

    addition: onnx_ir.Node
    unbiased: onnx_ir.Value
    place: int
    """Which input of the addition the bias is."""
    bias: npt.NDArray[np.float32]
    """(width,)"""


def drop_key_biases(model: onnx_ir.Model) -> int:
    """Let attention read keys without their bias, in place; gives how many biases went."""
    count = 0
    for attention in _attentions(model):
        keys = _biased(attention.inputs[_KEY])
        if keys is not None and attention.attributes.get_float("softcap", 0.0) == 0:
            attention.replace_input_with(_KEY, keys.unbiased)
            count += 1
    return count


def fold_value_biases(model: onnx_ir.Model) -> int:
    """Add the values' bias, seen through the output projection, to that projection's bias, in place; gives how many."""
    count = 0
    for attention in _attentions(model):
        values, projection = _biased(attention.inputs[_VALUE]), _projection(attention)
        if values is None or projection is None:
            continue
        product, output = projection
        matrix = constant(product.inputs[1])  # (heads * size, hidden)
        if matrix is None or matrix.shape[0] != len(values.bias):  # where query heads share values
            continue
        carried = values.bias.astype(np.float64) @ matrix.astype(np.float64) + output.bias
        bias = add_weight(model.graph, f"{output.addition.outputs[0].name}.bias", carried.astype(np.float32))
        output.addition.replace_input_with(output.place, bias)
        attention.replace_input_with(_VALUE, values.unbiased)
        count += 1
    return count


def _attentions(model: onnx_ir.Model) -> list[onnx_ir.Node]:
    """Those that give nothing but attended values, and read no keys of former runs."""
    found = [node for node in model.graph if node.op_type == "Attention" and not node.domain]
    return [
        node
        for node in found
        if not any(node.inputs[_FORMER:]) and not any(_is_read(value) for value in node.outputs[1:])
    ]


def _is_read(value: onnx_ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()


def _biased(value: onnx_ir.Value | None) -> _Biased | None:
    """``value`` as the sum of a tensor and one row for all tokens, if it is read once."""
    addition = produced_by(value, "Add")
    if value is None or addition is None or not _is_read_once(value):
        return None
    return _as_biased(addition)


def _as_biased(addition: onnx_ir.Node) -> _Biased | None:
    for place, (bias, unbiased) in enumerate((addition.inputs, reversed(addition.inputs))):
        row = constant(bias)
        if row is not None and row.ndim == 1 and unbiased is not None and unbiased.shape == addition.outputs[0].shape:
            return _Biased(addition, unbiased, place, row)
    return None


def _is_read_once(value: onnx_ir.Value) -> bool:
    return len(value.uses()) == 1 and not value.is_graph_output()


def _projection(attention: onnx_ir.Node) -> tuple[onnx_ir.Node, _Biased] | None:
    """The product that alone reads ``attention``, and the addition of its bias."""
    product = _only_reader(attention.outputs[0], "MatMul")
    addition = _only_reader(product.outputs[0], "Add") if product is not None else None
    output = _as_biased(addition) if addition is not None else None
    if product is None or output is None or product.inputs[0] is not attention.outputs[0]:
        return None
    return product, output


def _only_reader(value: onnx_ir.Value, operator: str) -> onnx_ir.Node | None:
    node = next(iter(value.uses())).node if _is_read_once(value) else None
    return node if node is not None and node.op_type == operator and not node.domain else None
