"""Result files: JSON with the machine that they were measured on."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

from embedrt_bench.machine import describe_machine

__all__ = ["RESULTS", "read_result", "write_result"]

RESULTS = Path(__file__).resolve().parent / "results"


def write_result(path: Path, measured: dict[str, Any]) -> None:
    """Write ``measured`` with date and machine, floats cut to six digits."""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    result = {"date": today, "machine": describe_machine(), **measured}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_result(path: Path) -> dict[str, Any]:
    """What :func:`write_result` wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value
