"""Protobuf's wire format, as far as an .onnx file needs it: which fields lie where, and how one is written.

https://protobuf.dev/programming-guides/encoding
"""

import mmap
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["VARINT", "Bytes", "Field", "fields", "length_delimited", "varint"]

VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
Bytes = mmap.mmap | bytes


class Field(NamedTuple):
    """A field of a message, by its places in the file."""

    number: int
    start: int  # of the tag
    value: int  # of the value
    end: int


def fields(data: Bytes, start: int, end: int) -> Iterator[Field]:
    """The fields of the message that lies at ``data[start:end]``."""
    position = start
    while position < end:
        tag_at = position
        tag, position = _read_varint(data, position)
        value_at, position = _skip(data, position, tag & 7)
        if position > end:
            raise ValueError(f"the field at byte {tag_at} would end at byte {position}, beyond byte {end}")
        yield Field(tag >> 3, tag_at, value_at, position)


def _skip(data: Bytes, position: int, wire_type: int) -> tuple[int, int]:
    """Where the value that begins at ``position`` has its first byte and its end."""
    if wire_type == _LENGTH_DELIMITED:
        length, value_at = _read_varint(data, position)
        return value_at, value_at + length
    if wire_type == VARINT:
        return position, _read_varint(data, position)[1]
    if wire_type in (_FIXED32, _FIXED64):
        return position, position + (4 if wire_type == _FIXED32 else 8)
    raise ValueError(f"the byte before {position} is no protobuf tag (wire type {wire_type})")


def _read_varint(data: Bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError(f"the number before byte {position} is longer than 64 bits")


def varint(value: int) -> bytes:
    """``value`` in as many bytes as it needs."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def length_delimited(number: int, value: bytes) -> bytes:
    """A field that holds bytes: a string, or a message."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(value)) + value
