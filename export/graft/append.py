"""The chain as nodes behind a graph's token vectors.

Every pooling mode but max is one product of a weight row with the tokens, (batch, 1, sequence) @ (batch, sequence,
hidden), so that a text's vector does not depend on its company; :mod:`embedrt_export.modules.pooling` says why.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir
from embedrt_export.graft.activations import ACTIVATIONS
from embedrt_export.graft.chain import Chain, Dense, LayerNorm, Module, Normalize
from embedrt_export.graft.writer import Writer

__all__ = ["append_chain", "append_module"]

_SMALLEST_COUNT = 1e-9
_SMALLEST_LENGTH = 1e-12
_NORM_EPSILON = 1e-5
_FLOAT, _BOOL = onnx_ir.DataType.FLOAT, onnx_ir.DataType.BOOL


def append_chain(
    writer: Writer, chain: Chain, tokens: onnx_ir.Value, attention_mask: onnx_ir.Value, pooling_mask: onnx_ir.Value
) -> onnx_ir.Value:
    """From ``tokens``, float32 (batch, sequence, hidden), and masks, int64 (batch, sequence), to vectors (batch, dim)."""
    for token_module in chain.on_tokens:
        tokens = append_module(writer, token_module, tokens)
    masks = _Masks(writer, attention_mask, pooling_mask)
    pooled = [_pooled(writer, mode, tokens, masks) for mode in chain.pooling]  # each (batch, hidden)
    vectors = pooled[0] if len(pooled) == 1 else writer.add("Concat", *pooled, axis=1)  # (batch, modes * hidden)
    for module in chain.finish:
        vectors = append_module(writer, module, vectors)
    return vectors


@dataclass(frozen=True, slots=True)
class _Masks:
    """What pooling reads beside the tokens, int64 (batch, sequence)."""

    writer: Writer
    attention: onnx_ir.Value
    pooling: onnx_ir.Value

    def weights(self) -> onnx_ir.Value:
        """The pooled tokens as float32 (batch, sequence)."""
        return self.writer.add("Cast", self.pooling, to=_FLOAT)

    def counted(self, mask: onnx_ir.Value) -> onnx_ir.Value:
        """1, 2, 3 … at the tokens of ``mask``, int64 (batch, sequence)."""
        return self.writer.add("CumSum", mask, self.writer.constant(np.array(1, dtype=np.int64), "axis"))

    def marked(self, number: onnx_ir.Value) -> onnx_ir.Value:
        """1 at the pooled token of this number, 0 elsewhere: float32 (batch, sequence)."""
        found = self.writer.add("Equal", self.counted(self.pooling), number)
        both = self.writer.add("And", found, self.writer.add("Cast", self.pooling, to=_BOOL))
        return self.writer.add("Cast", both, to=_FLOAT)


def _pooled(writer: Writer, mode: str, tokens: onnx_ir.Value, masks: _Masks) -> onnx_ir.Value:
    """One mode, (batch, hidden)."""
    if mode == "max":
        return _maximum(writer, tokens, masks)
    row = writer.over_axis("Unsqueeze", _WEIGHTS[mode](writer, masks), 1)  # (batch, 1, sequence)
    return writer.over_axis("Squeeze", writer.add("MatMul", row, tokens), 1)


def _maximum(writer: Writer, tokens: onnx_ir.Value, masks: _Masks) -> onnx_ir.Value:
    seen = writer.over_axis("Unsqueeze", writer.add("Cast", masks.pooling, to=_BOOL), 2)  # (batch, sequence, 1)
    masked = writer.add("Where", seen, tokens, writer.number(-np.inf))
    return writer.over_axis("ReduceMax", masked, 1, keepdims=0)


def _count(writer: Writer, weights: onnx_ir.Value) -> onnx_ir.Value:
    """The sum of each row, (batch, 1), never zero."""
    return writer.add("Max", writer.over_axis("ReduceSum", weights, 1, keepdims=1), writer.number(_SMALLEST_COUNT))


def _mean(writer: Writer, masks: _Masks) -> onnx_ir.Value:
    weights = masks.weights()
    return writer.add("Div", weights, _count(writer, weights))


def _mean_sqrt_len(writer: Writer, masks: _Masks) -> onnx_ir.Value:
    weights = masks.weights()
    return writer.add("Div", weights, writer.add("Sqrt", _count(writer, weights)))


def _weighted_mean(writer: Writer, masks: _Masks) -> onnx_ir.Value:
    """Weights 1, 2, 3 … from the first real token on, whether it is pooled or not."""
    positions = writer.add("Cast", masks.counted(masks.attention), to=_FLOAT)
    weights = writer.add("Mul", masks.weights(), positions)
    return writer.add("Div", weights, _count(writer, weights))


def _first(writer: Writer, masks: _Masks) -> onnx_ir.Value:
    return masks.marked(writer.constant(np.array(1, dtype=np.int64), "first"))


def _last(writer: Writer, masks: _Masks) -> onnx_ir.Value:
    return masks.marked(writer.over_axis("ReduceSum", masks.pooling, 1, keepdims=1))


_WEIGHTS: dict[str, Callable[[Writer, _Masks], onnx_ir.Value]] = {
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "cls": _first,
    "lasttoken": _last,
}


def append_module(writer: Writer, module: Module, x: onnx_ir.Value) -> onnx_ir.Value:
    """``x`` (…, in) to (…, out)."""
    if isinstance(module, Dense):
        return _dense(writer, module, x)
    if isinstance(module, LayerNorm):
        return _layer_norm(writer, module, x)
    if isinstance(module, Normalize):
        length = writer.over_axis("ReduceL2", x, -1, keepdims=1)
        return writer.add("Div", x, writer.add("Max", length, writer.number(_SMALLEST_LENGTH)))
    bounds = (np.array([bound], dtype=np.int64) for bound in (0, module.width, -1))
    return writer.add("Slice", x, *(writer.constant(bound, "bound") for bound in bounds))


def _dense(writer: Writer, module: Dense, x: onnx_ir.Value) -> onnx_ir.Value:
    result = writer.add("MatMul", x, writer.constant(module.weight, "dense.weight"))
    if module.bias is not None:
        result = writer.add("Add", result, writer.constant(module.bias, "dense.bias"))
    slope = None if module.slope is None else writer.constant(module.slope, "dense.slope")
    result = ACTIVATIONS[module.activation].emit(writer, result, slope)
    if not module.residual:
        return result
    if module.shortcut is not None:
        x = writer.add("MatMul", x, writer.constant(module.shortcut, "dense.shortcut"))
    return writer.add("Add", result, x)


def _layer_norm(writer: Writer, module: LayerNorm, x: onnx_ir.Value) -> onnx_ir.Value:
    """By its definition, since LayerNormalization is an operator from opset 17 on only; ONNX Runtime fuses it again."""
    centered = writer.add("Sub", x, writer.over_axis("ReduceMean", x, -1, keepdims=1))
    variance = writer.over_axis("ReduceMean", writer.add("Mul", centered, centered), -1, keepdims=1)
    deviation = writer.add("Sqrt", writer.add("Add", variance, writer.number(_NORM_EPSILON)))
    scaled = writer.add("Mul", writer.add("Div", centered, deviation), writer.constant(module.weight, "norm.weight"))
    return writer.add("Add", scaled, writer.constant(module.bias, "norm.bias"))
