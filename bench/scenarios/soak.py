"""Soak: thousands of texts of all lengths; what memory an engine holds after its warm-up, and at the end."""

from collections.abc import Sequence
from typing import Any

from embedrt_bench.process import Engine
from embedrt_bench.turns import take_turns

__all__ = ["soak"]

_CALL = 500  # texts of one call


def soak(engines: Sequence[Engine], texts: Sequence[str], *, count: int) -> dict[str, Any]:
    """By engine: megabytes after ``texts`` once, and after ``count`` texts; ``texts`` are repeated as often as that takes."""
    found: dict[str, Any] = {}
    for engine in take_turns(engines, 1, "soak", pause=0):
        for at in range(0, len(texts), _CALL):
            engine.time(texts[at : at + _CALL])
        before = engine.resident()
        for at in range(0, count, _CALL):
            engine.time([texts[index % len(texts)] for index in range(at, min(at + _CALL, count))])
        found[engine.name] = {
            "texts": count,
            "megabytes_after_warm_up": before / 1e6,
            "megabytes_after": engine.resident() / 1e6,
        }
    return found
