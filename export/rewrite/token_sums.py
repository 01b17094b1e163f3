"""Weighted sums over the tokens of a text, as heads write them that take a mean, become products.

    ReduceSum(tokens * weights, axis 1) = weightsᵀ @ tokens        (batch, sequence, width), (batch, sequence, 1) → (batch, width)

ONNX Runtime adds up an axis in another order when the batch is another, so that a text's bits depend on its company; a
product does not.
"""

import numpy as np
import onnx_ir
from embedrt_export.graphs.values import add_weight, constant, produced_by

__all__ = ["sums_as_products"]

_RANK = 3


def sums_as_products(model: onnx_ir.Model) -> int:
    """Replace them in place; gives how many."""
    count = 0
    for node in list(model.graph):
        parts = _weights_and_tokens(node)
        if parts is not None:
            _replace(model.graph, node, *parts)
            count += 1
    return count


def _weights_and_tokens(total: onnx_ir.Node) -> tuple[onnx_ir.Value, onnx_ir.Value] | None:
    """Weights (batch, sequence, 1) and tokens (batch, sequence, width) of a sum over the sequence; None: it is none."""
    if total.op_type != "ReduceSum" or total.domain or total.attributes.get_int("keepdims", 1) != 0:
        return None
    axes = constant(total.inputs[1]) if len(total.inputs) > 1 else None
    product = produced_by(total.inputs[0], "Mul")
    if axes is None or axes.flatten().tolist() != [1] or product is None or total.outputs[0].is_graph_output():
        return None
    for weights, tokens in (product.inputs, product.inputs[::-1]):
        if _is_column(weights) and _has_rank(tokens) and not _is_column(tokens):
            return weights, tokens  # type: ignore[return-value]  # both were looked at
    return None


def _has_rank(value: onnx_ir.Value | None) -> bool:
    return value is not None and value.shape is not None and len(value.shape) == _RANK


def _is_column(value: onnx_ir.Value | None) -> bool:
    return value is not None and value.shape is not None and len(value.shape) == _RANK and value.shape[2] == 1


def _replace(graph: onnx_ir.Graph, total: onnx_ir.Node, weights: onnx_ir.Value, tokens: onnx_ir.Value) -> None:
    turned = onnx_ir.node("Transpose", [weights], attributes={"perm": [0, 2, 1]})  # (batch, 1, sequence)
    product = onnx_ir.node("MatMul", [turned.outputs[0], tokens])  # (batch, 1, width)
    axis = add_weight(graph, f"{total.outputs[0].name}.axis", np.ones(1, dtype=np.int64))
    flat = onnx_ir.node("Squeeze", [product.outputs[0], axis])
    flat.outputs[0].shape, flat.outputs[0].type = total.outputs[0].shape, total.outputs[0].type
    graph.insert_before(total, [turned, product, flat])
    onnx_ir.convenience.replace_all_uses_with(total.outputs[0], flat.outputs[0])
    graph.remove(total, safe=True)
