"""float16 weights and activations for GPUs, with float32 where overflow or lost digits threaten.

ONNX Runtime's converter does the conversion; here it is told what to leave alone. LayerNormalization computes in float32
whatever it reads (``stash_type`` 1), Attention is told to (``softmax_precision``), and everything behind the last token
vectors, pooling sums and norms, stays in float32.
"""

from collections.abc import Callable, Iterable
from typing import Any

import onnx_ir
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.packing.external import take_in
from onnxruntime.transformers.float16 import convert_float_to_float16

from embedrt.errors import InputError
from embedrt.inference.session import INPUT_IDS

__all__ = ["to_float16"]


def to_float16(model: onnx_ir.Model) -> onnx_ir.Model:
    """A copy of ``model`` whose token-wise part is float16; inputs and output keep their types.

    Raises:
        InputError: no node works on token vectors, or none can be told to by its shape.
    """
    source = model.clone()
    take_in(source)
    for index, node in enumerate(source.graph):
        node.name = f"{node.op_type}_{index}"
    kept = _behind_the_tokens(source)
    proto = convert_float_to_float16(
        onnx_ir.to_proto(source),
        keep_io_types=True,
        disable_shape_infer=True,
        op_block_list=[],
        node_block_list=sorted(node.name or "" for node in kept),
    )
    _drop_repeated(proto.graph.node)
    converted: onnx_ir.Model = onnx_ir.from_proto(proto)
    for node in converted.graph:
        if node.op_type == "Attention":
            node.attributes["softmax_precision"] = onnx_ir.AttrInt64("softmax_precision", onnx_ir.DataType.FLOAT)
    _drop_detours(converted)
    # of the tensors, for a value's own type may be a claim
    weights = (value.const_value for value in converted.graph.initializers.values())
    if not any(weight is not None and weight.dtype == onnx_ir.DataType.FLOAT16 for weight in weights):
        raise InputError(
            f"no weight would become float16: no value of the graph has the sequence axis of {INPUT_IDS}, "
            f"{_sequence_axis(model)}, by name: export it again with named axes, or type: embedrt export MODEL OUT"
        )
    return converted


def _drop_repeated(nodes: Any) -> None:
    """From 1.25 to 1.31 the converter writes a Cast once for every node that reads it, which no graph may have."""
    written = [node.SerializeToString(deterministic=True) for node in nodes]
    for index in reversed(range(len(written))):
        if written[index] in written[:index]:
            del nodes[index]


def _drop_detours(model: onnx_ir.Model) -> None:
    """The converter rounds to float16 between any two nodes, also where both compute in float32."""
    for node in model.graph:
        source = node.inputs[0]
        before = source.producer() if source is not None else None
        if (
            before is not None
            and _casts_to(node, onnx_ir.DataType.FLOAT)
            and _casts_to(before, onnx_ir.DataType.FLOAT16)
        ):
            node.replace_input_with(0, before.inputs[0])
    drop_unused(model)
    model.graph.sort()


def _casts_to(node: onnx_ir.Node, kind: onnx_ir.DataType) -> bool:
    return node.op_type == "Cast" and node.attributes.get_int("to", 0) == kind


def _behind_the_tokens(model: onnx_ir.Model) -> set[onnx_ir.Node]:
    """Pooling and all after it, and what only they need: these keep float32."""
    tokens = _downstream([node for node in model.graph if _reads_table(node)])
    if not tokens:
        raise InputError("nothing to convert: the graph looks up no token vectors")
    axis = _sequence_axis(model)
    inside = _upstream({node for node in tokens if _is_token_wise(node, axis)}) & tokens
    pooled = tokens - inside
    return pooled | (_upstream(pooled) - _upstream(inside) - inside)


def _sequence_axis(model: onnx_ir.Model) -> str | None:
    """What the graph calls the second axis of its ids; None: a number, or nothing."""
    shape = next((value.shape for value in model.graph.inputs if value.name == INPUT_IDS), None)
    size = shape[1] if shape is not None and len(shape) > 1 else None
    return size.value if isinstance(size, onnx_ir.SymbolicDim) else None


def _is_token_wise(node: onnx_ir.Node, axis: str | None) -> bool:
    """Whether ``node`` gives something for each token: (batch, sequence, …), where the sequence is called ``axis``."""
    shape = node.outputs[0].shape
    if axis is None or shape is None or len(shape) < 3:
        return False
    return any(isinstance(size, onnx_ir.SymbolicDim) and size.value == axis for size in shape)


def _reads_table(node: onnx_ir.Node) -> bool:
    table = node.inputs[0] if node.op_type == "Gather" else None
    return table is not None and table.const_value is not None and table.dtype == onnx_ir.DataType.FLOAT


def _downstream(nodes: Iterable[onnx_ir.Node]) -> set[onnx_ir.Node]:
    """Everything that needs ``nodes``, themselves included."""
    return _reached(nodes, lambda node: (use.node for output in node.outputs for use in output.uses()))


def _upstream(nodes: Iterable[onnx_ir.Node]) -> set[onnx_ir.Node]:
    """Everything that ``nodes`` need, themselves included."""
    return _reached(
        nodes, lambda node: (made for value in node.inputs if value is not None and (made := value.producer()))
    )


def _reached(
    nodes: Iterable[onnx_ir.Node], neighbours: Callable[[onnx_ir.Node], Iterable[onnx_ir.Node]]
) -> set[onnx_ir.Node]:
    found: set[onnx_ir.Node] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += neighbours(node)
    return found
