"""Texts from a file or stdin: one a line, or one a JSON object."""

import json
import sys
from pathlib import Path
from typing import Any

from embedrt.errors import InputError

__all__ = ["Record", "decoded", "read_records", "record_of"]

Record = dict[str, Any]
"""A text under ``text_field``, and whatever else its line held."""


def read_records(source: str, *, text_field: str) -> list[Record]:
    """The records of a file (``-`` for stdin): JSON objects where its name ends in .jsonl, else a text a line.

    Raises:
        InputError: there is no such file, it is not UTF-8, or a line is no object with a text in it; the line is named.
    """
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source} is not UTF-8 text (byte {error.start}): convert it, or pass another file"
        ) from error
    except OSError as error:
        raise InputError(
            f"{source} cannot be read: {error.strerror}. Pass a text file, a .jsonl file, or - for stdin"
        ) from error
    lines = text.split("\n")  # not splitlines: a text may hold U+2028
    lines = [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]
    if source.endswith(".jsonl"):
        return [record_of(line, number, source, text_field) for number, line in enumerate(lines, 1) if line.strip()]
    return [{text_field: line} for line in lines]


def record_of(line: str, number: int, source: str, text_field: str) -> Record:
    """The object of one line of JSON.

    Raises:
        InputError: it is none, or has no text in it.
    """
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{source}, line {number} is not JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get(text_field), str):
        raise InputError(
            f"{source}, line {number} has no text under {text_field!r}: name the right key with --text-field"
        )
    return record


def decoded(line: bytes, number: int, source: str) -> str:
    """One line without its end.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}, line {number} is not UTF-8 text: convert the file, or pass another one") from error
