"""Single-stream: one text at a time, the next one when the last is done."""

import statistics
from collections.abc import Sequence
from itertools import chain
from typing import Any

from embedrt_bench.engines.process import Engine
from embedrt_bench.scenarios.percentiles import FEWEST, percentile
from embedrt_bench.scenarios.turns import take_turns

__all__ = ["single_stream"]

_POINTS = (50, 90, 99)


def single_stream(
    engines: Sequence[Engine], texts: Sequence[str], *, rounds: int, title: str, seconds: float = 1.0
) -> dict[str, Any]:
    """By engine: milliseconds a text, p50, p90 and p99 over all rounds, and p50 of each round.

    ``texts`` are repeated for ``seconds`` a round, so that the first of them, which find processors asleep and caches full of
    others' data, do not decide: MLPerf's single-stream scenario asks for 1024 of them for the same reason. Where that makes too
    few times for a p99, as long as it takes.
    """
    for engine in take_turns(engines, 1, f"{title}, warm-up", pause=0):
        engine.stream(texts)
    rounded: dict[str, list[list[float]]] = {engine.name: [] for engine in engines}
    for engine in take_turns(engines, rounds, title):
        times: list[float] = []
        while len(times) * rounds < FEWEST or sum(times) < seconds:
            times += engine.stream(texts)
        rounded[engine.name].append([time * 1e3 for time in times])
    return {
        name: {
            **{f"p{point}": percentile([*chain(*values)], point) for point in _POINTS},
            "runs": [statistics.median(times) for times in values],
        }
        for name, values in rounded.items()
    }
