"""What is measured: offline (a corpus) and single-stream (one text at a time), so named by MLPerf Inference, and cold start.

Every scenario warms up, runs its engines in turn (A B A B …) so that a machine whose speed drifts treats all alike, and
gives medians with all single runs.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from embedrt_bench.engines import Engine

from embedrt.similarity import pairwise_cos_sim

__all__ = ["ColdStart", "cold_start", "offline", "require_agreement", "single_stream"]

_WARM_UP_TEXTS = 600  # enough batches that worker threads are started before the clock is
_SPINNING = 0.4  # seconds
_SMALLEST_COSINE = 0.9999


def require_agreement(
    engines: Sequence[Engine], texts: Sequence[str], smallest_cosine: float = _SMALLEST_COSINE
) -> float:
    """Smallest cosine between the first engine's vectors and any other's; a ValueError below ``smallest_cosine``.

    A time counts only for a right answer.
    """
    reference = engines[0].encode(texts)
    worst = min(float(pairwise_cos_sim(reference, engine.encode(texts)).min()) for engine in engines[1:])
    if not worst >= smallest_cosine:
        raise ValueError(f"the engines disagree: smallest cosine {worst:.5f}, at least {smallest_cosine} is expected")
    return worst


def offline(engines: Sequence[Engine], texts: Sequence[str], *, rounds: int) -> dict[str, dict[str, Any]]:
    """Texts a second of each engine over the whole of ``texts``, engines in turn, ``rounds`` times."""
    for engine in engines:
        engine.encode(texts[:_WARM_UP_TEXTS])
    runs: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            _settle()
            started = time.perf_counter()
            engine.encode(texts)
            runs[engine.name].append(len(texts) / (time.perf_counter() - started))
    return {name: {"median": statistics.median(values), "runs": values} for name, values in runs.items()}


def single_stream(engines: Sequence[Engine], text: str, *, rounds: int, repeats: int = 20) -> dict[str, dict[str, Any]]:
    """Milliseconds for one text, ``repeats`` at a time by each engine in turn: p50, p90 and p99."""
    for engine in engines:
        for _ in range(repeats):
            engine.encode([text])
    times: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            _settle()
            for _ in range(repeats):
                started = time.perf_counter()
                engine.encode([text])
                times[engine.name].append((time.perf_counter() - started) * 1e3)
    return {
        name: {f"p{point}": float(np.percentile(values, point)) for point in (50, 90, 99)}
        for name, values in times.items()
    }


def _settle() -> None:
    """Wait until the threads of the engine before have stopped spinning: OpenMP's do so for 0.2 s after their last work."""
    time.sleep(_SPINNING)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """A fresh process that imports, loads, and encodes one text."""

    seconds: list[float]
    """From the first line of the program to the first vector, of each run."""
    peak_megabytes: float
    """Largest resident set of any run, in 10^6 bytes."""


_PROGRAM = """
import time; started = time.perf_counter()
{load}
vector = model.encode("How do I reset my password?")
seconds = time.perf_counter() - started
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(seconds, int(status["VmHWM"].split()[0]) * 1024)  # ru_maxrss would count the parent's pages before exec
"""


def cold_start(programs: dict[str, str], *, rounds: int) -> dict[str, ColdStart]:
    """Start each program ``rounds`` times in turn; a program is the lines that import and leave a ``model``."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, load in programs.items():
            found[name].append(_run(_PROGRAM.format(load=load)))
    return {
        name: ColdStart([seconds for seconds, _ in runs], max(size for _, size in runs) / 1e6)
        for name, runs in found.items()
    }


def _run(program: str) -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    seconds, size = done.stdout.split()[-2:]
    return float(seconds), float(size)
