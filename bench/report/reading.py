"""A result file at the door: read once, checked against the format, so that nothing further in meets a surprise."""

import json
from pathlib import Path
from typing import Any

from embedrt_bench.report.measures import measures

from embedrt.errors import InputError

__all__ = ["FORMAT", "load", "require_result"]

FORMAT = 1


def load(path: Path) -> dict[str, Any]:
    """The result that ``embedrt bench --output`` wrote to ``path``.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as JSON ({error}): pass a file that embedrt bench --output wrote"
        ) from error
    require_result(result, name=str(path))
    return dict(result)


def require_result(result: Any, *, name: str = "the result") -> None:
    """Go through everything that a report reads.

    Raises:
        InputError: ``result`` is of another format, or a section does not hold what the format says.
    """
    found = result.get("format") if isinstance(result, dict) else None
    if found != FORMAT:
        raise InputError(
            f"{name} is no result of format {FORMAT} (format: {found}): measure it again with embedrt bench"
        )
    try:
        _touch(result)
        measures(result)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{name} does not follow format {FORMAT} ({type(error).__name__}: {error}): measure it again with embedrt bench"
        ) from error


def _touch(result: dict[str, Any]) -> None:
    """What the report reads beside the measures."""
    machine, settings = result["machine"], result["settings"]
    str(result["date"])
    [machine[key] for key in ("cpu", "cpu_family_model", "instructions", "processors", "threads", "governor", "system")]
    machine["packages"].items()
    [settings[key] for key in ("model", "texts", "rounds", "seed", "threads")]
    for engine in result["engines"].values():
        _ = engine["settings"].items() if engine["available"] else engine["reason"]
