"""Attention told how many tokens of each text are real, in place of a mask: the same numbers, sooner.

On a processor the kernel has no mask to copy into the scores of every head, and the same bits come out. ONNX Runtime's CUDA
kernel takes Flash Attention (float16, Ampere and later, heads of up to 256) only where ``Attention`` has no mask; with a float
mask it takes the memory-efficient one, and only for lengths that are multiples of 4. Since opset 24 the operator has an input
for what a padding mask says, ``nonpad_kv_seqlen`` (batch,): tokens behind the first so many of a text are not attended to. That
is the same only where padding stands behind each text, and the mask says nothing else. From opset 25 on ONNX Runtime 1.32 has
no kernel for the operator and writes it out, which takes 1.6 to 2.6 times as long (MiniLM in int8-static, 128 to 512 tokens).

https://onnx.ai/onnx/operators/onnx__Attention.html
"""

import numpy as np
import onnx_ir
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.graphs.values import add_weight, constant, is_whole_number, produced_by

from embedrt.errors import InputError
from embedrt.inference.session import ATTENTION_MASK

__all__ = ["attend_by_lengths"]

_OPSET, _IR_VERSION = 24, 12
_MASK, _LENGTHS = 3, 6
"""Inputs of the operator."""
_LOWEST = -1e4
"""A mask's value for what is not attended to is below this."""


def attend_by_lengths(model: onnx_ir.Model, *, padding_side: str) -> int:
    """Let every Attention of ``model`` read lengths instead of its padding mask; how many do.

    Raises:
        InputError: padding stands in front of texts, or some Attention reads a mask that is more than padding, or there is none.
    """
    nodes = [node for node in model.graph if node.op_type == "Attention" and not node.domain]
    if padding_side != "right":
        raise InputError(
            "attention by lengths needs padding behind each text, and this model pads in front: keep the mask"
        )
    if not nodes:
        raise InputError("attention by lengths is for Attention operators, and this graph has none: keep the mask")
    if not all(_masks_padding(node) for node in nodes):
        raise InputError("attention by lengths needs masks of padding alone, and this graph has others: keep the mask")
    if (opset := model.opset_imports[""]) > _OPSET:
        raise InputError(
            f"attention by lengths is of opset {_OPSET}, and this graph is of opset {opset}: keep the mask"
        )
    mask = next(value for value in model.graph.inputs if value.name == ATTENTION_MASK)
    axis = add_weight(model.graph, "length.axis", np.array([1], dtype=np.int64))
    total = onnx_ir.node("ReduceSum", [mask, axis], attributes={"keepdims": 0})  # (batch,)
    model.graph.insert_before(next(iter(model.graph)), total)
    for node in nodes:
        node.resize_inputs(_LENGTHS + 1)
        node.replace_input_with(_MASK, None)
        node.replace_input_with(_LENGTHS, total.outputs[0])
    model.opset_imports[""], model.ir_version = _OPSET, _IR_VERSION
    drop_unused(model)
    return len(nodes)


def _masks_padding(node: onnx_ir.Node) -> bool:
    """Whether ``node`` reads (1 − attention_mask) · lowest, expanded to (batch, 1, query, key), and no past keys."""
    inputs = [*node.inputs, *[None] * (_MASK + 1 - len(node.inputs))]
    if any(value is not None for value in inputs[_MASK + 1 :]) or node.attributes.get_int("is_causal", 0) != 0:
        return False
    value = inputs[_MASK]
    for operator in ("Expand", "Unsqueeze"):
        producer = produced_by(value, operator)
        if producer is None:
            return False
        value = producer.inputs[0]
    product = produced_by(value, "Mul")
    lowest = None if product is None else constant(product.inputs[1])
    if product is None or lowest is None or lowest.size != 1 or lowest.item() > _LOWEST:
        return False
    difference = produced_by(product.inputs[0], "Sub")
    if difference is None or not is_whole_number(difference.inputs[0], 1):
        return False
    value = difference.inputs[1]
    while (cast := produced_by(value, "Cast")) is not None:
        value = cast.inputs[0]
    return value is not None and value.is_graph_input() and value.name == ATTENTION_MASK
