"""What a graph takes, brought to what an artifact takes: ``input_ids`` and ``attention_mask``, int64 (batch, sequence)."""

from pathlib import Path

import onnx_ir
from embedrt_export.graft.writer import Writer
from tokenizers import Tokenizer

from embedrt.errors import CheckpointError
from embedrt.inference.session import ATTENTION_MASK, INPUT_IDS, POOLING_MASK, TOKEN_TYPE_IDS

__all__ = ["require_inputs", "require_one_token_type", "settle_inputs"]

_ANY_TEXT = "a"
_AXES = ("batch", "sequence")
_INT64 = onnx_ir.DataType.INT64


def require_inputs(model: onnx_ir.Model, graph: Path) -> None:
    """Refuse a graph that cannot be fed with ids and a mask.

    Raises:
        CheckpointError: an input is missing or unknown, or has a fixed batch or sequence.
    """
    inputs = {value.name: value for value in _real_inputs(model)}
    needed = (INPUT_IDS, ATTENTION_MASK)
    if unknown := [str(name) for name in inputs if name not in (*needed, TOKEN_TYPE_IDS, POOLING_MASK)]:
        raise CheckpointError(
            f"{graph} takes {', '.join(unknown)} too, which graft cannot make up; it takes graphs of {', '.join(needed)} and "
            f"{TOKEN_TYPE_IDS}. Choose another with --graph, or with PyTorch: embedrt export MODEL OUT"
        )
    if missing := [name for name in needed if name not in inputs]:
        raise CheckpointError(
            f"{graph} has no input {missing[0]}, it takes {', '.join(map(str, inputs))}; without a mask padding would be text. "
            "With PyTorch, type: embedrt export MODEL OUT"
        )
    for name, value in inputs.items():
        if value.shape is None or len(value.shape) != 2 or any(isinstance(size, int) for size in value.shape):
            raise CheckpointError(
                f"{graph} takes {name} of shape {value.shape}, expected two open axes (batch, sequence): "
                "export the transformer again with dynamic axes, or type: embedrt export MODEL OUT"
            )


def require_one_token_type(model: onnx_ir.Model, tokenizer: Tokenizer, graph: Path) -> None:
    """Refuse a graph that is to be given other token types than 0, which an artifact has for single texts.

    Raises:
        CheckpointError: the tokenizer gives others.
    """
    encoding = tokenizer.encode(_ANY_TEXT)
    seen = {kind for kind, real in zip(encoding.type_ids, encoding.attention_mask, strict=True) if real}
    if seen - {0} and any(value.name == TOKEN_TYPE_IDS for value in _real_inputs(model)):
        raise CheckpointError(
            f"{graph} takes {TOKEN_TYPE_IDS}, and tokenizer.json gives a single text the types {sorted(seen)}, expected 0 alone: "
            "with PyTorch, type: embedrt export MODEL OUT"
        )


def settle_inputs(model: onnx_ir.Model, writer: Writer, *, pooling_mask: bool) -> dict[str, onnx_ir.Value]:
    """Let ``model`` take int64 ids and masks only, that of pooling where it does or with ``pooling_mask``; gives them by name.

    Token types become zeros inside of the graph, other integer types are cast there. Axes without names get them.
    """
    inputs = {str(value.name): value for value in _real_inputs(model)}
    ids = inputs[INPUT_IDS]
    settled = {name: _as_int64(inputs[name]) for name in (INPUT_IDS, ATTENTION_MASK)}
    if POOLING_MASK in inputs:
        settled[POOLING_MASK] = _as_int64(inputs[POOLING_MASK])
    elif pooling_mask:
        settled[POOLING_MASK] = inputs[POOLING_MASK] = _new_input(POOLING_MASK, ids.shape)
    writer.place = next(iter(model.graph), None)
    for name in settled:
        if settled[name] is not inputs[name]:
            cast = writer.add("Cast", settled[name], to=inputs[name].dtype)
            onnx_ir.convenience.replace_all_uses_with(inputs[name], cast)
    if TOKEN_TYPE_IDS in inputs:
        _replace_token_types(inputs[TOKEN_TYPE_IDS], settled[INPUT_IDS], writer)
    writer.place = None
    model.graph.inputs.clear()
    model.graph.inputs.extend(settled.values())
    for value in settled.values():
        value.shape = _named(value.shape)
    return settled


def _real_inputs(model: onnx_ir.Model) -> list[onnx_ir.Value]:
    """Without weights, which old exporters list among the inputs."""
    return [value for value in model.graph.inputs if not value.is_initializer()]


def _as_int64(value: onnx_ir.Value) -> onnx_ir.Value:
    return value if value.dtype == _INT64 else _new_input(str(value.name), value.shape)


def _named(shape: onnx_ir.Shape | None) -> onnx_ir.Shape:
    """fp16 tells by its name what runs along the sequence."""
    sizes = (None, None) if shape is None else shape
    return onnx_ir.Shape([_AXES[at] if getattr(size, "value", size) is None else size for at, size in enumerate(sizes)])


def _new_input(name: str, shape: onnx_ir.Shape | None) -> onnx_ir.Value:
    return onnx_ir.Value(name=name, shape=shape, type=onnx_ir.TensorType(_INT64))


def _replace_token_types(types: onnx_ir.Value, ids: onnx_ir.Value, writer: Writer) -> None:
    """One text has one token type: zeros of the shape of ``ids``."""
    zeros = writer.add("ConstantOfShape", writer.add("Shape", ids), value=onnx_ir.tensor([0], dtype=_INT64))
    if types.dtype not in (None, _INT64):
        zeros = writer.add("Cast", zeros, to=types.dtype)
    onnx_ir.convenience.replace_all_uses_with(types, zeros)
