"""Result files: JSON with the machine that they were measured on."""

import datetime as dt
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from embedrt_bench.machine import describe_machine

__all__ = ["RESULTS", "read_result", "rounded", "stamp", "with_part", "without", "write_result"]

RESULTS = Path(__file__).resolve().parent / "results"


def write_result(path: Path, measured: dict[str, Any]) -> None:
    """Write ``measured`` with date and machine, floats cut to six digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(rounded({**stamp(), **measured}), indent=1, ensure_ascii=False)
    path.write_text(content + "\n", encoding="utf-8")


def stamp() -> dict[str, Any]:
    """When and on what: ``date`` and ``machine``."""
    return {"date": dt.datetime.now(tz=dt.UTC).date().isoformat(), "machine": describe_machine()}


def with_part(result: dict[str, Any], part: str, found: dict[str, Any], *, parts: Collection[str]) -> dict[str, Any]:
    """``result`` with what was ``found`` of one of its ``parts``, and under ``measured`` when and on what that was.

    Parts that are measured anew by themselves say so: the date and machine of the whole are those of parts without their own.
    """
    measured = {**result.get("measured", {}), part: stamp()}
    stale = ("date", "machine") if measured.keys() >= set(parts) else ()
    kept = {key: value for key, value in result.items() if key not in stale}
    return {**kept, **found, "measured": measured}


def read_result(path: Path) -> dict[str, Any]:
    """What :func:`write_result` wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def rounded(value: Any) -> Any:
    """``value`` with every float in it cut to six digits.

    >>> rounded({"ratio": 1 / 3})
    {'ratio': 0.333333}
    """
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return value


def without(section: Any, gone: set[str]) -> Any:
    """``section`` without the engines that are gone, at whatever depth their names stand."""
    if not isinstance(section, dict):
        return section
    return {key: without(value, gone) for key, value in section.items() if key not in gone}
