"""The finished graph: inputs settled, the chain appended, one output."""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir
from embedrt_export.graft.append import append_chain, append_module
from embedrt_export.graft.chain import Module
from embedrt_export.graft.inputs import settle_inputs
from embedrt_export.graft.outputs import as_float32, sentence_output, set_output
from embedrt_export.graft.precision import FLOAT32
from embedrt_export.graft.task import Task
from embedrt_export.graft.writer import Writer
from onnx_ir.passes import common

from embedrt.inference.session import ATTENTION_MASK, POOLING_MASK

__all__ = ["Finished", "finish"]


@dataclass(frozen=True, slots=True)
class Finished:
    """A graph that takes ids and masks, and gives ``sentence_embedding``."""

    model: onnx_ir.Model
    tokens: onnx_ir.Value | None
    """Its token vectors, float32 (batch, sequence, hidden), within the graph."""


def finish(task: Task, *, append: bool, left: Sequence[Module], dimension: int) -> Finished:
    """A finished copy of the task's graph, with vectors of ``dimension``.

    With ``append`` the chain is put behind the token vectors; else ``left`` behind the graph's own vectors.
    """
    model = task.graph.model.clone()
    writer = Writer(model)
    leaves_out = append and task.chain is not None and not task.chain.include_prompt
    inputs = settle_inputs(model, writer, pooling_mask=leaves_out)
    tokens = None if task.tokens is None else as_float32(_output(model, task.tokens), writer)
    if append and task.chain is not None and tokens is not None:
        mask = inputs[ATTENTION_MASK]
        vectors = append_chain(writer, task.chain, tokens, mask, inputs[POOLING_MASK] if leaves_out else mask)
    else:
        vectors = as_float32(_own_vectors(model), writer)
        for module in left:
            vectors = append_module(writer, module, vectors)
    set_output(model, vectors, dimension=dimension)
    common.RemoveUnusedNodesPass()(model)
    if POOLING_MASK in inputs and not inputs[POOLING_MASK].uses():  # of vectors that are the graph's own no longer
        model.graph.inputs.remove(inputs[POOLING_MASK])
    if task.graph.precision == FLOAT32:  # quantization asks for the shapes of values, which many exporters leave out
        common.ShapeInferencePass(check_type=False, strict_mode=False)(model)
    return Finished(model, tokens)


def _output(model: onnx_ir.Model, name: str) -> onnx_ir.Value:
    return next(value for value in model.graph.outputs if value.name == name)


def _own_vectors(model: onnx_ir.Model) -> onnx_ir.Value:
    vectors = sentence_output(model)
    if vectors is None:
        raise ValueError("the task says that the graph gives vectors")
    return vectors
