"""What stands between words and pooling, as nodes: (batch, sequence, in) to (batch, sequence, out)."""

import numpy as np
import onnx_ir
from embedrt_export.graft.append import append_module
from embedrt_export.graft.writer import Writer
from embedrt_export.words.model import Convolutions, Lstm, LstmLayer, TokenModule, WordWeights

__all__ = ["Sentence", "append_token_module"]

_FLOAT, _INT32 = onnx_ir.DataType.FLOAT, onnx_ir.DataType.INT32


class Sentence:
    """What the modules of a graph read of its inputs, each computed once."""

    def __init__(self, writer: Writer, ids: onnx_ir.Value, attention_mask: onnx_ir.Value) -> None:
        """Both int64 (batch, sequence)."""
        self.writer = writer
        self.ids = ids
        self.attention_mask = attention_mask
        self.mask = writer.add("Cast", attention_mask, to=_FLOAT)
        """float32 (batch, sequence)"""
        self.weight_sum: onnx_ir.Value | None = None
        """(batch, 1), where words have weights: means divide by it."""


def append_token_module(sentence: Sentence, module: TokenModule, tokens: onnx_ir.Value) -> onnx_ir.Value:
    """``tokens`` (batch, sequence, in), padding behind them."""
    if isinstance(module, WordWeights):
        return _weighted(sentence, module, tokens)
    if isinstance(module, Lstm):
        return _lstm(sentence, module, tokens)
    if isinstance(module, Convolutions):
        return _convolved(sentence, module, tokens)
    return append_module(sentence.writer, module, tokens)


def _weighted(sentence: Sentence, module: WordWeights, tokens: onnx_ir.Value) -> onnx_ir.Value:
    writer = sentence.writer
    found = writer.add("Gather", writer.constant(module.weights, "word_weights"), sentence.ids)
    weights = writer.add("Mul", found, sentence.mask)  # (batch, sequence)
    column = writer.over_axis("Unsqueeze", weights, 2)
    # A product, since ReduceSum over numbers that are not whole depends on where in memory a row begins
    total = writer.add("MatMul", writer.over_axis("Unsqueeze", sentence.mask, 1), column)  # (batch, 1, 1)
    sentence.weight_sum = writer.over_axis("Squeeze", total, 2)
    return writer.add("Mul", tokens, column)


def _lstm(sentence: Sentence, module: Lstm, tokens: onnx_ir.Value) -> onnx_ir.Value:
    writer = sentence.writer
    counted = writer.over_axis("ReduceSum", sentence.attention_mask, 1, keepdims=0)
    lengths = writer.add("Cast", writer.add("Max", counted, writer.constant(np.array(1), "one")), to=_INT32)
    states = writer.add("Transpose", tokens, perm=[1, 0, 2])  # (sequence, batch, in), as the operator has it
    for layer in module.layers:
        states = _lstm_layer(writer, layer, states, lengths)
    return writer.add("Transpose", states, perm=[1, 0, 2])


def _lstm_layer(writer: Writer, layer: LstmLayer, states: onnx_ir.Value, lengths: onnx_ir.Value) -> onnx_ir.Value:
    directions, _, hidden = layer.recurrent.shape
    found = writer.add(
        "LSTM",
        states,
        writer.constant(layer.inputs, "lstm.inputs"),
        writer.constant(layer.recurrent, "lstm.recurrent"),
        writer.constant(layer.biases, "lstm.biases"),
        lengths,
        hidden_size=hidden,
        direction="bidirectional" if directions == 2 else "forward",
    )  # (sequence, directions, batch, hidden)
    beside = writer.add("Transpose", found, perm=[0, 2, 1, 3])
    return writer.add("Reshape", beside, writer.constant(np.array([0, 0, directions * hidden]), "shape"))


def _convolved(sentence: Sentence, module: Convolutions, tokens: onnx_ir.Value) -> onnx_ir.Value:
    writer = sentence.writer
    real = writer.add("Mul", tokens, writer.over_axis("Unsqueeze", sentence.mask, 2))  # a text ends where its words end
    columns = writer.add("Transpose", real, perm=[0, 2, 1])  # (batch, in, sequence)
    found = [
        writer.add(
            "Conv",
            columns,
            writer.constant(kernel.weight, "kernel.weight"),
            writer.constant(kernel.bias, "kernel.bias"),
            pads=[kernel.weight.shape[2] // 2] * 2,
        )
        for kernel in module.kernels
    ]
    return writer.add("Transpose", writer.add("Concat", *found, axis=1), perm=[0, 2, 1])
