"""One line of a file: a text, or a JSON object with one in it."""

import json
import math
from typing import Any, NoReturn

from embedrt.errors import InputError

__all__ = ["Record", "as_json", "decoded", "is_whole", "not_utf8", "record_of"]

Record = dict[str, Any]
"""A text under ``text_field``, and whatever else its line held."""
_NAMED = 12  # keys, so that a sentence stays one


def record_of(line: str, number: int, source: str, text_field: str) -> Record:
    """The object of one line of JSON.

    Raises:
        InputError: it is none, has no text in it, or holds what no file can be written with.
    """
    try:
        record = _from_json(line)
        # only an escape makes a half; one mark is sought ten times as fast as two, and most lines have no backslash
        whole = "\\" not in line or "\\u" not in line or is_whole(record)
    except json.JSONDecodeError as error:
        raise InputError(f"{source}, line {number} is not JSON: {error}") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, thousands of brackets in each other
        raise InputError(f"{source}, line {number} cannot be read: {error}: mend or remove the line") from error
    if not isinstance(record, dict) or not isinstance(record.get(text_field), str):
        raise InputError(f"{source}, line {number} has no text under {text_field!r}: {_instead(record, text_field)}")
    if not whole:
        raise InputError(
            f"{source}, line {number} holds half of a surrogate pair, which is no character: mend or remove the line"
        )
    return record


def _instead(record: Any, text_field: str) -> str:
    """What is there in place of a text, at the end of a sentence."""
    if not isinstance(record, dict):
        return f"it holds a {type(record).__name__}, expected an object"
    if text_field in record:
        return f"it has a {type(record[text_field]).__name__} there, name the right key with --text-field"
    names = ", ".join(list(record)[:_NAMED]) or "no key"
    return f"it has {names}{' …' if len(record) > _NAMED else ''}, name the right one with --text-field"


def _refused(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


_from_json = json.JSONDecoder(parse_constant=_refused).decode
"""Without NaN and Infinity, which are no JSON; 1e400 is let through: a look at each number costs too much."""


def is_whole(value: Any) -> bool:
    """Whether every text in it can be written to a file."""
    if isinstance(value, str):
        try:
            return value.isascii() or bool(value.encode())
        except UnicodeEncodeError:
            return False
    if isinstance(value, dict):
        return is_whole("".join(value)) and all(map(is_whole, value.values()))
    return not isinstance(value, list) or all(map(is_whole, value))


def as_json(record: Record) -> str:
    """A record as an object of JSON, dates and the like as text; what is no number, as .parquet files may hold, as null."""
    try:
        return _to_json(record)
    except ValueError:  # NaN or infinity: seldom, and looked for then alone
        return _to_json(_with_nulls(record))


_to_json = json.JSONEncoder(ensure_ascii=False, default=str, allow_nan=False).encode


def _with_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_nulls(inside) for name, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(inside) for inside in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def decoded(line: bytes, number: int, source: str) -> str:
    """One line without its end.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise not_utf8(source, number) from error


def not_utf8(source: str, number: int) -> InputError:
    """A line that cannot be decoded."""
    return InputError(f"{source}, line {number} is not UTF-8 text: convert the file, or pass another one")
