"""What a graph gives: token vectors, finished vectors, or both."""

from pathlib import Path

import onnx_ir
from embedrt_export.graft.writer import Writer

from embedrt.errors import CheckpointError
from embedrt.inference.session import SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS

__all__ = ["as_float32", "sentence_output", "set_output", "token_output"]

_TOKEN_NAMES = ("last_hidden_state", TOKEN_EMBEDDINGS)
_OF_A_HEAD = ("logits", "scores")
"""In names of what a head makes of token vectors: of masked words, spans, labels."""
_FLOATS = (onnx_ir.DataType.FLOAT, onnx_ir.DataType.FLOAT16, onnx_ir.DataType.BFLOAT16, onnx_ir.DataType.DOUBLE)


def sentence_output(model: onnx_ir.Model) -> onnx_ir.Value | None:
    """Finished vectors (batch, dim), where the graph gives them."""
    return next((value for value in model.graph.outputs if value.name == SENTENCE_EMBEDDING), None)


def token_output(model: onnx_ir.Model, graph: Path) -> onnx_ir.Value | None:
    """Token vectors (batch, sequence, hidden), by their usual names, or the only output that can be such.

    None where there is none, but finished vectors.

    Raises:
        CheckpointError: the graph gives neither, or several of which none has a usual name.
    """
    outputs = {str(value.name): value for value in model.graph.outputs}
    for name in _TOKEN_NAMES:
        if name in outputs:
            return outputs[name]
    others = [value for value in model.graph.outputs if value.name != SENTENCE_EMBEDDING and _can_be_tokens(value)]
    if len(others) == 1:
        return others[0]
    if SENTENCE_EMBEDDING in outputs:
        return None
    shown = ", ".join(f"{name} {value.shape}" for name, value in outputs.items())
    raise CheckpointError(
        f"{graph} gives {shown}; expected {' or '.join(_TOKEN_NAMES)}, or one output (batch, sequence, hidden). "
        "Is it the graph of another task? Choose another with --graph"
    )


def as_float32(value: onnx_ir.Value, writer: Writer) -> onnx_ir.Value:
    """``value`` itself, or cast."""
    if value.dtype in (None, onnx_ir.DataType.FLOAT):
        return value
    return writer.add("Cast", value, to=onnx_ir.DataType.FLOAT)


def set_output(model: onnx_ir.Model, value: onnx_ir.Value, *, dimension: int) -> None:
    """Let ``value`` be the only output, called ``sentence_embedding``, float32 (batch, dimension)."""
    theirs = sentence_output(model)
    model.graph.outputs.clear()
    if theirs is not None and theirs is not value:
        theirs.name = f"{SENTENCE_EMBEDDING}.before"
    value.name = SENTENCE_EMBEDDING
    batch = model.graph.inputs[0].shape[0] if model.graph.inputs[0].shape is not None else None
    value.shape, value.dtype = onnx_ir.Shape([batch, dimension]), onnx_ir.DataType.FLOAT
    model.graph.outputs.append(value)


def _can_be_tokens(value: onnx_ir.Value) -> bool:
    if any(mark in str(value.name).lower() for mark in _OF_A_HEAD):
        return False
    return value.dtype in (None, *_FLOATS) and (value.shape is None or len(value.shape) == 3)
