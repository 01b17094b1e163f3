"""The JSON files of a checkpoint's folder."""

import json
from pathlib import Path
from typing import Any

from embedrt.errors import CheckpointError

__all__ = ["read_json", "read_object", "required"]


def read_json(path: Path) -> Any:
    """What ``path`` holds.

    Raises:
        CheckpointError: it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:  # JSONDecodeError, UnicodeDecodeError, or a file that cannot be read
        raise CheckpointError(f"{path} is not JSON: {error}. Download the checkpoint again") from error


def read_object(path: Path) -> dict[str, Any]:
    """The object that ``path`` holds; empty where there is no such file.

    Raises:
        CheckpointError: it holds something else.
    """
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}, expected an object. Download the checkpoint again"
        )
    return content


def required(config: dict[str, Any], key: str, kind: type, path: Path) -> Any:
    """``config[key]``, which must be of ``kind``.

    Raises:
        CheckpointError: it is missing, or of another type.
    """
    value = config.get(key)
    if type(value) is not kind:  # `type`, since True is an int to isinstance
        raise CheckpointError(
            f"{path} has {key} {value!r}, expected a value of type {kind.__name__}: copy the file of the checkpoint again"
        )
    return value
