"""An .onnx file written tensor by tensor.

onnx's own way holds the weights three times: as they are, in the protobuf message, and in the message's bytes. Here the message
is made without the large tensors, and these follow it into the file one by one, each where the format has it: an initializer is
a field of the graph, which is a field of the model, and both say their length first.

Wire format: https://protobuf.dev/programming-guides/encoding; field numbers: onnx/onnx.proto.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir

__all__ = ["save_streamed"]

_GRAPH_IN_MODEL, _INITIALIZER_IN_GRAPH, _RAW_DATA_IN_TENSOR = 7, 5, 9
_LENGTH_DELIMITED = 2
_SMALLEST = 1 << 20
"""Bytes. Smaller tensors are written with the rest of the graph."""


def save_streamed(model: onnx_ir.Model, path: Path) -> None:
    """Write ``model``, whose weights are in memory and below 2 GB, to ``path``."""
    with _without_large_tensors(model) as large:
        proto = onnx_ir.to_proto(model)
    rest = proto.graph.SerializeToString()
    proto.ClearField("graph")
    heads = [_head(tensor) for tensor in large]
    lengths = [len(head) + tensor.nbytes for head, tensor in zip(heads, large, strict=True)]
    fields = [_field(_INITIALIZER_IN_GRAPH, length) for length in lengths]
    with path.open("wb") as file:
        file.write(proto.SerializeToString())
        file.write(_field(_GRAPH_IN_MODEL, len(rest) + sum(map(len, fields)) + sum(lengths)))
        file.write(rest)
        for field, head, tensor in zip(fields, heads, large, strict=True):
            file.write(field + head)
            file.write(_data(tensor))


@contextmanager
def _without_large_tensors(model: onnx_ir.Model) -> Iterator[list[Any]]:
    """The large initializers of ``model``, which it lacks within the block."""
    initializers = model.graph.initializers
    values = [
        value
        for value in initializers.values()
        if value.const_value is not None and value.const_value.nbytes >= _SMALLEST
    ]
    for value in values:
        del initializers[value.name or ""]
    try:
        yield [_renamed(value) for value in values]
    finally:
        for value in values:
            model.graph.register_initializer(value)


def _renamed(value: onnx_ir.Value) -> Any:
    """A tensor's own name counts for nothing in memory; in the file it is that of the value."""
    tensor: Any = value.const_value
    tensor.name = value.name
    return tensor


def _head(tensor: Any) -> bytes:
    """All of a tensor but its data, and the beginning of the field that holds this."""
    proto = onnx.TensorProto(name=tensor.name, data_type=int(tensor.dtype), dims=list(tensor.shape.numpy()))
    return bytes(proto.SerializeToString()) + _field(_RAW_DATA_IN_TENSOR, tensor.nbytes)


def _data(tensor: Any) -> Any:
    """The tensor's bytes, not copied where they lie in memory as the file has them."""
    array: Any = tensor.numpy()
    plain = array.dtype.isbuiltin == 1 and sys.byteorder == "little" and array.nbytes == tensor.nbytes
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if plain else tensor.tobytes()


def _field(number: int, length: int) -> bytes:
    """Tag and length of a field whose value follows."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
