"""One line of a file: a text, or a JSON object with one in it."""

import json
from typing import Any

from embedrt.errors import InputError

__all__ = ["Record", "decoded", "record_of"]

Record = dict[str, Any]
"""A text under ``text_field``, and whatever else its line held."""


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
