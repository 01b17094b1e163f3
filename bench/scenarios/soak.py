"""Soak: thousands of texts of all lengths; what memory an engine holds after its warm-up, and at the end."""

from collections.abc import Sequence
from typing import Any

from embedrt_bench.engines.process import Engine
from embedrt_bench.scenarios.turns import take_turns

__all__ = ["soak"]

_CALL = 500  # texts of one call


def soak(engines: Sequence[Engine], texts: Sequence[str], *, count: int, seconds: float) -> dict[str, Any]:
    """By engine: megabytes after ``texts`` once, and after ``count`` texts, or as many as it does in ``seconds``.

    ``texts`` are repeated as often as that takes.
    """
    found: dict[str, Any] = {}
    for engine in take_turns(engines, 1, "soak", pause=0):
        for at in range(0, len(texts), _CALL):
            engine.time(texts[at : at + _CALL])
        before = engine.resident()
        done, spent = 0, 0.0
        while done < count and spent < seconds:
            part = [texts[index % len(texts)] for index in range(done, min(done + _CALL, count))]
            spent += engine.time(part)
            done += len(part)
        found[engine.name] = {
            "texts": done,
            "megabytes_after_warm_up": before / 1e6,
            "megabytes_after": engine.resident() / 1e6,
        }
    return found
