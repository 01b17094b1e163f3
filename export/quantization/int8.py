"""Products in int8: the graph form, and what is put where.

Static activations:   [Mul 1/c] → QuantizeLinear → MatMulIntegerToFloat (scales and bias in its epilogue)
… behind GELU:        QuantizeLinear(block_size) → MatMulIntegerToFloat
Scale a row:          → row maximum → scale → QuantizeLinear(block_size) → MatMulIntegerToFloat → Mul(row scale) → Add(bias)

``MatMulIntegerToFloat`` is ONNX Runtime's operator for u8 × s8 with float32 results. One quantization is shared by all
products that read the same activations. Balancing by 1/c is folded into the normalization before it where nothing else
reads that, into the value projection behind attention, and into the scales of blocks of channels behind GELU, where the
products before and after it agree on an order of the channels; it is a Mul otherwise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.quantization.graph_writer import BLOCKS_FROM, MICROSOFT, GraphWriter, Quantized, Weights
from embedrt_export.quantization.linears import Linear, LinearGroup, expansion_before, giving
from embedrt_export.quantization.rounding import Rounded, to_nearest
from embedrt_export.quantization.scheme import Order, Rows, Scheme

from embedrt.inference.byte_sums import SUMS_FIT

__all__ = ["can_reorder", "can_smooth", "quantize_products"]

Chosen = tuple[LinearGroup, Scheme]


def can_smooth(group: LinearGroup, groups: list[LinearGroup], *, static: bool) -> bool:
    """Whether 1/c is worth its place: at a normalization, in the value projection behind attention, or as a pass of its own.

    Such a pass pays where one scale must fit all tokens; a scale a token is as good without it.
    """
    return static or group.kind == "norm" or _value_projection(group, groups) is not None


def can_reorder(group: LinearGroup, groups: list[LinearGroup], opset: int) -> bool:
    """Whether the channels that ``group`` reads may stand in any order, and be quantized in blocks."""
    return opset >= BLOCKS_FROM and not group.one_row and expansion_before(group, groups) is not None


def quantize_products(model: onnx_ir.Model, chosen: list[Chosen], *, weight_limit: int) -> None:
    """Replace the products of ``chosen`` in place."""
    model.opset_imports[MICROSOFT] = 1
    model.metadata_props[SUMS_FIT] = "1"
    writer = GraphWriter(model)
    groups = [group for group, _ in chosen]
    outputs: dict[Linear, _Outputs] = {}
    in_blocks: set[LinearGroup] = set()
    for group, scheme in chosen:
        if scheme.alpha is None:
            continue
        projection, expansion = _value_projection(group, groups), expansion_before(group, groups)
        if projection is not None:
            outputs[projection] = _Outputs(factors=np.float32(1) / scheme.smoothing)
        elif scheme.order is not None and expansion is not None:
            outputs[expansion] = _Outputs(order=scheme.order)
            in_blocks.add(group)
        else:
            writer.balanced(group, scheme.smoothing)
    for group, scheme in chosen:
        quantized = _quantized_source(writer, group, scheme, in_blocks=group in in_blocks)
        rounded = _rounded(group, scheme, weight_limit, in_blocks=group in in_blocks)
        parts = zip(group.linears, _columns(group, rounded), _shifts(group, scheme), strict=True)
        for linear, own, shift in parts:
            weights = _weights(linear, own, shift, outputs.get(linear, _Outputs()))
            writer.place = linear.product
            writer.replace(linear.result, writer.product(quantized, weights))


@dataclass(frozen=True, slots=True)
class _Outputs:
    """What becomes of the columns of a product for the sake of what reads them."""

    factors: npt.NDArray[np.float32] | None = None
    """(outputs,)"""
    order: Order | None = None
    """(outputs,)"""


def _value_projection(group: LinearGroup, groups: list[LinearGroup]) -> Linear | None:
    """The product whose result is the V of the attention that ``group`` reads; None where heads share values."""
    attention = group.source.producer()
    if group.kind != "attention" or attention is None:
        return None
    heads = attention.attributes.get_int("q_num_heads", 0), attention.attributes.get_int("kv_num_heads", 0)
    return giving(attention.inputs[2], groups) if heads[0] == heads[1] else None


def _quantized_source(writer: GraphWriter, group: LinearGroup, scheme: Scheme, *, in_blocks: bool) -> Quantized:
    writer.place = min((linear.product for linear in group.linears), key=writer.position)
    source = group.linears[0].product.inputs[0] or group.source  # balanced, where it was
    if isinstance(scheme.activations, Rows):
        return writer.quantize_rows(source, scheme.activations)
    if in_blocks:
        return writer.quantize_blocks(source, scheme.activations, scheme.block_factors)
    return writer.quantize_static(source, scheme.activations)


def _rounded(group: LinearGroup, scheme: Scheme, limit: int, *, in_blocks: bool) -> Rounded:
    """As ``scheme`` has it; anew where it has nothing, or has channels in another order than they stand in."""
    stays = scheme.order is None or in_blocks
    if scheme.rounded is not None and stays:
        return scheme.rounded
    balanced = group.weights * scheme.smoothing[:, None]
    return to_nearest(balanced[scheme.order] if in_blocks else balanced, limit)


def _columns(group: LinearGroup, rounded: Rounded) -> list[Rounded]:
    """Those of each product."""
    ends = _ends(group)
    weights, scales = np.split(rounded.weight, ends, axis=1), np.split(rounded.scales, ends)
    return [Rounded(weight, scale) for weight, scale in zip(weights, scales, strict=True)]


def _shifts(group: LinearGroup, scheme: Scheme) -> list[npt.NDArray[np.float32]]:
    """What belongs into the bias of each product."""
    ends = _ends(group)
    width = sum(linear.weight.shape[1] for linear in group.linears)
    return np.split(np.zeros(width, dtype=np.float32) if scheme.shift is None else scheme.shift, ends)


def _ends(group: LinearGroup) -> list[int]:
    """Where the columns of one product end and those of the next begin."""
    widths = [linear.weight.shape[1] for linear in group.linears]
    return [int(end) for end in np.cumsum(widths)[:-1]]


def _weights(linear: Linear, rounded: Rounded, shift: npt.NDArray[np.float32], outputs: _Outputs) -> Weights:
    """The columns of ``linear`` as ``outputs`` says; a bias takes ``shift`` in."""
    factors = np.float32(1) if outputs.factors is None else outputs.factors
    columns = slice(None) if outputs.order is None else outputs.order
    scales = np.asarray((rounded.scales * factors)[columns], dtype=np.float32)
    bias = None if linear.bias is None else np.asarray(((linear.bias + shift) * factors)[columns], dtype=np.float32)
    return Weights(linear.name, np.ascontiguousarray(rounded.weight[:, columns]), scales, bias)
