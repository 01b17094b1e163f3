"""The graph of a model of words, written node by node: it is small, and tracing would copy its table several times.

Means are products of a weight row with the words, (batch, 1, sequence) @ (batch, sequence, dim), for the same bits in any
company: :mod:`embedrt_export.modules.pooling` says why. A text without known words has zeros for its vector, whatever the
modules behind pooling would make of nothing.
"""

from collections.abc import Callable

import numpy as np
import onnx_ir
from embedrt_export.graft.append import append_module
from embedrt_export.graft.chain import Module, Truncate
from embedrt_export.graft.writer import Writer
from embedrt_export.words.layers import Sentence, append_token_module
from embedrt_export.words.model import BagOfWords, Whitening, WordModel

from embedrt.inference.session import ATTENTION_MASK, INPUT_IDS, SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS

__all__ = ["OPSET", "word_graph"]

OPSET = 23
_IR_VERSION = 11  # of opset 23
_SMALLEST_SUM = 1e-9
_FLOAT, _BOOL, _INT64 = onnx_ir.DataType.FLOAT, onnx_ir.DataType.BOOL, onnx_ir.DataType.INT64


def word_graph(model: WordModel | BagOfWords, *, dimension: int, token_embeddings: bool = False) -> onnx_ir.Model:
    """Ids and masks, int64 (batch, sequence), to ``sentence_embedding``, float32 (batch, dimension).

    With ``token_embeddings`` what is pooled is a further output, (batch, sequence, width).
    """
    ids, mask = _input(INPUT_IDS), _input(ATTENTION_MASK)
    graph = onnx_ir.Graph([ids, mask], [], nodes=[], opset_imports={"": OPSET}, name="words")
    made = onnx_ir.Model(graph, ir_version=_IR_VERSION)
    writer = Writer(made, prefix="words")
    sentence = Sentence(writer, ids, mask)
    tokens = None
    if isinstance(model, BagOfWords):
        vectors = _bag(sentence, model)
    else:
        tokens = _tokens(sentence, model)
        vectors = _pooled(sentence, model, tokens)
    for module in model.finish:
        vectors = _finished(writer, module, vectors)
    if model.answers_nothing:
        vectors = writer.add("Where", _has_words(sentence), vectors, writer.number(0))
    graph.outputs.append(_named(vectors, SENTENCE_EMBEDDING, ["batch", dimension]))
    if token_embeddings and tokens is not None:
        graph.outputs.append(_named(tokens, TOKEN_EMBEDDINGS, ["batch", "sequence", None]))
    return made


def _finished(writer: Writer, module: Module | Whitening, vectors: onnx_ir.Value) -> onnx_ir.Value:
    """``vectors`` (batch, in) to (batch, out)."""
    if not isinstance(module, Whitening):
        return append_module(writer, module, vectors)
    cut = append_module(writer, Truncate(len(module.mean)), vectors)
    centered = writer.add("Sub", cut, writer.constant(module.mean, "whitening.mean"))
    return writer.add("MatMul", centered, writer.constant(module.matrix, "whitening.matrix"))


def _input(name: str) -> onnx_ir.Value:
    shape = onnx_ir.Shape(["batch", "sequence"])
    return onnx_ir.Value(name=name, shape=shape, type=onnx_ir.TensorType(_INT64))


def _named(value: onnx_ir.Value, name: str, shape: list[int | str | None]) -> onnx_ir.Value:
    value.name, value.shape, value.dtype = name, onnx_ir.Shape(shape), _FLOAT
    return value


def _tokens(sentence: Sentence, model: WordModel) -> onnx_ir.Value:
    """The words' vectors through the modules before pooling, (batch, sequence, width)."""
    writer = sentence.writer
    tokens = writer.add("Gather", writer.constant(model.table, "table"), sentence.ids)
    tokens.shape, tokens.dtype = onnx_ir.Shape(["batch", "sequence", model.table.shape[1]]), _FLOAT
    for module in model.on_tokens:
        tokens = append_token_module(sentence, module, tokens)
    return tokens


def _has_words(sentence: Sentence) -> onnx_ir.Value:
    """Of each text, bool (batch, 1)."""
    any_word = sentence.writer.over_axis("ReduceMax", sentence.attention_mask, 1, keepdims=1)
    return sentence.writer.add("Cast", any_word, to=_BOOL)


def _pooled(sentence: Sentence, model: WordModel, tokens: onnx_ir.Value) -> onnx_ir.Value:
    """All modes side by side, (batch, modes * width)."""
    writer = sentence.writer
    pooled = []
    for mode in model.pooling:
        if mode == "max":
            pooled.append(_maximum(sentence, tokens))
            continue
        row = writer.over_axis("Unsqueeze", _ROWS[mode](sentence), 1)  # (batch, 1, sequence)
        pooled.append(writer.over_axis("Squeeze", writer.add("MatMul", row, tokens), 1))
    return pooled[0] if len(pooled) == 1 else writer.add("Concat", *pooled, axis=1)


def _maximum(sentence: Sentence, tokens: onnx_ir.Value) -> onnx_ir.Value:
    """(batch, width); −∞ where a text has no word, which :func:`word_graph` sets to zero."""
    writer = sentence.writer
    seen = writer.over_axis("Unsqueeze", writer.add("Cast", sentence.attention_mask, to=_BOOL), 2)
    return writer.over_axis("ReduceMax", writer.add("Where", seen, tokens, writer.number(-np.inf)), 1, keepdims=0)


def _divisor(sentence: Sentence, counted: onnx_ir.Value) -> onnx_ir.Value:
    """What a mean divides by, (batch, 1): the sum of the words' weights, or of ``counted`` where words have none."""
    writer = sentence.writer
    total = sentence.weight_sum
    if total is None:  # whole numbers, whose sum is exact in any order
        total = writer.over_axis("ReduceSum", counted, 1, keepdims=1)
    return writer.add("Max", total, writer.number(_SMALLEST_SUM))


def _mean(sentence: Sentence) -> onnx_ir.Value:
    return sentence.writer.add("Div", sentence.mask, _divisor(sentence, sentence.mask))


def _mean_sqrt_len(sentence: Sentence) -> onnx_ir.Value:
    writer = sentence.writer
    return writer.add("Div", sentence.mask, writer.add("Sqrt", _divisor(sentence, sentence.mask)))


def _places(sentence: Sentence) -> onnx_ir.Value:
    """1, 2, 3 … from the first word on, int64 (batch, sequence)."""
    return sentence.writer.add("CumSum", sentence.attention_mask, sentence.writer.constant(np.array(1), "axis"))


def _weighted_mean(sentence: Sentence) -> onnx_ir.Value:
    writer = sentence.writer
    weighted = writer.add("Mul", writer.add("Cast", _places(sentence), to=_FLOAT), sentence.mask)
    return writer.add("Div", weighted, _divisor(sentence, weighted))


def _last(sentence: Sentence) -> onnx_ir.Value:
    """1 at the last word, 0 elsewhere."""
    writer = sentence.writer
    count = writer.over_axis("ReduceSum", sentence.attention_mask, 1, keepdims=1)
    last = writer.add("Cast", writer.add("Equal", _places(sentence), count), to=_FLOAT)
    return writer.add("Mul", last, sentence.mask)


_ROWS: dict[str, Callable[[Sentence], onnx_ir.Value]] = {
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}
"""What each word counts for in the vector of its text, (batch, sequence)."""


def _bag(sentence: Sentence, model: BagOfWords) -> onnx_ir.Value:
    """The words' counts, or whether they are there, times their weights: (batch, words), and nothing larger on the way."""
    writer = sentence.writer
    batch = writer.add("Shape", sentence.ids, start=0, end=1)
    width = writer.constant(np.array([len(model.weights)]), "width")
    nothing = writer.add("ConstantOfShape", writer.add("Concat", batch, width, axis=0))
    reduction = "add" if model.counts else "max"
    counts = writer.add("ScatterElements", nothing, sentence.ids, sentence.mask, axis=1, reduction=reduction)
    return writer.add("Mul", counts, writer.constant(model.weights, "word_weights"))
