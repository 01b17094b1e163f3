"""Cold start: a fresh process that imports, loads and encodes one text."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from embedrt_bench.engines.process import EngineProcess
from tqdm import tqdm

__all__ = ["cold_start"]

_TEXT = "How do I reset my password?"


def cold_start(names: Sequence[str], start: Callable[[str], EngineProcess], *, rounds: int) -> dict[str, Any]:
    """By engine: seconds to the first vector, median and runs, and the largest resident memory of any run.

    ``start`` gives a process that has not loaded its model. The engines take turns.
    """
    seconds: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, list[int]] = {name: [] for name in names}
    turns = [name for _ in range(rounds) for name in names]
    for name in tqdm(turns, desc="cold start", unit="turn", disable=None, leave=False):
        with start(name) as process:
            taken, peak = process.cold_start(_TEXT)
        seconds[name].append(taken)
        peaks[name].append(peak)
    return {
        name: {
            "seconds": {"median": statistics.median(runs), "runs": runs},
            "peak_megabytes": max(peaks[name]) / 1e6,
        }
        for name, runs in seconds.items()
    }
