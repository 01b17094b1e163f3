"""Offline: a whole corpus in one call, texts and tokens a second."""

import statistics
from collections.abc import Sequence
from typing import Any

from embedrt_bench.engines.process import Engine
from embedrt_bench.scenarios.turns import take_turns

__all__ = ["offline"]

_WARM_UP_TEXTS = 600  # enough batches that worker threads are started before the clock is


def offline(engines: Sequence[Engine], texts: Sequence[str], *, tokens: int, rounds: int, title: str) -> dict[str, Any]:
    """By engine: texts a second, median and runs, over all of ``texts`` that together have ``tokens`` tokens."""
    for engine in take_turns(engines, 1, f"{title}, warm-up", pause=0):
        engine.time(texts[:_WARM_UP_TEXTS])
    runs: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for engine in take_turns(engines, rounds, title):
        runs[engine.name].append(len(texts) / engine.time(texts))
    medians = {name: statistics.median(values) for name, values in runs.items()}
    return {
        name: {
            "texts_per_second": {"median": medians[name], "runs": values},
            "tokens_per_second": medians[name] * tokens / len(texts),
        }
        for name, values in runs.items()
    }
