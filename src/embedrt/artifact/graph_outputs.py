"""A graph with fewer outputs: ONNX Runtime runs every node, whichever outputs are asked for, so the other nodes are left out.

(``RunOptions.only_execute_path_to_fetches`` changes nothing in ONNX Runtime 1.32, and a node that nothing reads is run too.)
Field numbers: onnx/onnx.proto.
"""

from collections.abc import Collection, Iterator

from embedrt.artifact.protobuf import Field, fields, length_delimited

__all__ = ["with_outputs"]

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_ATTRIBUTE = 1, 2, 5
_VALUE_NAME = 1
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 6, 11


def with_outputs(model: bytes, wanted: Collection[str]) -> bytes:
    """``model``, a serialized ``ModelProto``, with these outputs alone and the nodes that they need."""
    return b"".join(
        length_delimited(_MODEL_GRAPH, _graph(model, field, wanted))
        if field.number == _MODEL_GRAPH
        else model[field.start : field.end]
        for field in fields(model, 0, len(model))
    )


def _graph(model: bytes, graph: Field, wanted: Collection[str]) -> bytes:
    parts = list(fields(model, graph.value, graph.end))
    kept = _needed([part for part in parts if part.number == _GRAPH_NODE], model, wanted)
    kept |= {
        part for part in parts if part.number == _GRAPH_OUTPUT and set(_names(model, part, _VALUE_NAME)) & set(wanted)
    }
    return b"".join(
        model[part.start : part.end]
        for part in parts
        if part.number not in (_GRAPH_NODE, _GRAPH_OUTPUT) or part in kept
    )


def _needed(nodes: list[Field], model: bytes, wanted: Collection[str]) -> set[Field]:
    """The nodes that ``wanted`` is computed by; a graph lists each behind those that it reads."""
    values, kept = set(wanted), set()
    for node in reversed(nodes):
        if values.intersection(_names(model, node, _NODE_OUTPUT)):
            kept.add(node)
            values.update(_read(model, node))
    return kept


def _read(model: bytes, node: Field) -> Iterator[str]:
    """Names of the values that a node reads, those of graphs inside of it included."""
    yield from _names(model, node, _NODE_INPUT)
    for attribute in fields(model, node.value, node.end):
        if attribute.number == _NODE_ATTRIBUTE:
            for inner in fields(model, attribute.value, attribute.end):
                if inner.number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                    yield from _read_inside(model, inner)


def _read_inside(model: bytes, graph: Field) -> Iterator[str]:
    for part in fields(model, graph.value, graph.end):
        if part.number == _GRAPH_NODE:
            yield from _read(model, part)
        elif part.number == _GRAPH_OUTPUT:
            yield from _names(model, part, _VALUE_NAME)


def _names(model: bytes, message: Field, number: int) -> list[str]:
    """The strings that a message has in the field of this number."""
    found = (field for field in fields(model, message.value, message.end) if field.number == number)
    return [model[field.value : field.end].decode() for field in found]
