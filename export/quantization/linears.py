"""Which products of a graph can run in int8, and what their inputs are: the plan, before anything is changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx_ir

__all__ = ["InputKind", "Linear", "LinearGroup", "expansion_before", "find_groups", "giving", "has_one_row"]

Floats = npt.NDArray[np.float32]
InputKind = Literal["norm", "attention", "gelu", "other"]
_ONE_NUMBER = 1
"""A product that gives a token one number, such as its weight, costs nothing and stays in float."""
_KINDS: dict[str, InputKind] = {
    "LayerNormalization": "norm",
    "RMSNormalization": "norm",
    "SimplifiedLayerNormalization": "norm",
    "Attention": "attention",
    "Gelu": "gelu",
    "QuickGelu": "gelu",  # ONNX Runtime's name for SiLU, which has the same shape
}


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """``x @ weight + bias`` as it stands in the graph."""

    name: str
    product: onnx_ir.Node
    weight: Floats
    """(inputs, outputs)"""
    bias: Floats | None
    """(outputs,)"""
    result: onnx_ir.Value
    """What the rest of the graph reads: behind the bias, where there is one."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearGroup:
    """Products that read the same activations, and so share their quantization."""

    source: onnx_ir.Value
    """(batch, sequence, inputs)"""
    kind: InputKind
    linears: tuple[Linear, ...]

    @property
    def one_row(self) -> bool:
        """Whether a text has one row here."""
        return has_one_row(self.source)

    @property
    def weights(self) -> Floats:
        """All weights side by side, (inputs, outputs of all)."""
        return np.concatenate([linear.weight for linear in self.linears], axis=1)


def find_groups(model: onnx_ir.Model) -> list[LinearGroup]:
    """Every product of token vectors (batch, sequence, inputs) with a constant matrix, by what it reads, in graph order.

    Products behind pooling work on one row a text: they cost nothing, and stay in float.
    """
    by_source: dict[onnx_ir.Value, list[Linear]] = {}
    for source, linear in _linears(model):
        by_source.setdefault(source, []).append(linear)
    return [LinearGroup(source, _kind(source), tuple(linears)) for source, linears in by_source.items()]


def has_one_row(value: onnx_ir.Value) -> bool:
    """Whether a text has one row in ``value``: in a last layer that was narrowed to the pooled token."""
    return value.shape is not None and value.shape[1] == 1


def expansion_before(group: LinearGroup, groups: list[LinearGroup]) -> Linear | None:
    """The product whose result goes through GELU to ``group``, and nowhere else."""
    gelu = group.source.producer()
    readers = {use.node for use in group.source.uses()}
    if gelu is None or _KINDS.get(gelu.op_type) != "gelu" or readers != {linear.product for linear in group.linears}:
        return None
    return None if group.source.is_graph_output() else giving(gelu.inputs[0], groups)


def giving(value: onnx_ir.Value | None, groups: list[LinearGroup]) -> Linear | None:
    """The product whose result is ``value``, where that is read once."""
    if value is None or value.is_graph_output() or len(list(value.uses())) != 1:
        return None
    return next((linear for group in groups for linear in group.linears if linear.result is value), None)


def _linears(model: onnx_ir.Model) -> Iterator[tuple[onnx_ir.Value, Linear]]:
    for node in model.graph:
        if node.op_type != "MatMul" or node.domain:
            continue
        source, weight = node.inputs
        if source is None or weight is None or weight.const_value is None or not _is_token_vectors(source):
            continue
        matrix = weight.const_value.numpy()
        if matrix.ndim == 2 and matrix.shape[1] > _ONE_NUMBER and matrix.dtype == np.float32:
            bias, result = _bias(node, matrix.shape[1])
            yield source, Linear(weight.name or node.outputs[0].name or "", node, matrix, bias, result)


def _is_token_vectors(value: onnx_ir.Value) -> bool:
    return value.shape is not None and len(value.shape) == 3


def _bias(product: onnx_ir.Node, width: int) -> tuple[Floats | None, onnx_ir.Value]:
    """The constant vector that alone is added to the product, and the sum; or nothing, and the product."""
    result = product.outputs[0]
    uses = list(result.uses())
    if len(uses) == 1 and uses[0].node.op_type == "Add":
        addition = uses[0].node
        other = addition.inputs[1 - uses[0].idx]
        if other is not None and other.const_value is not None and tuple(other.const_value.shape) == (width,):
            return other.const_value.numpy(), addition.outputs[0]
    return None, result


def _kind(source: onnx_ir.Value) -> InputKind:
    """By what computes it; a choice between rows (SPLADE's in place of padding) has the values of what it chooses from."""
    producer = source.producer()
    while producer is not None and producer.op_type == "Where" and not producer.domain:
        chosen = producer.inputs[1]
        producer = chosen.producer() if chosen is not None else None
    return _KINDS.get(producer.op_type, "other") if producer is not None else "other"
