"""What the table says of a system: Spearman on STS, and sentences a second."""

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from embedrt_bench.scenarios.sts import spearman
from embedrt_bench.texts.data import Pairs, evenly, sts_benchmark, sts_year
from embedrt_export.quantization.sts import read_pairs

from embedrt import SentenceEncoder
from embedrt.inference.layout import default_layout
from embedrt.machine.threads import available_threads
from embedrt.progress import progress

__all__ = ["SETS", "quality", "sets_of", "speed"]

SETS = ("STS12", "STS13", "STS14", "STSb test", "STS-B zh test")
_CHINESE = Path("sts-zh") / "STS-B.test.tsv"
_SECONDS = 1.0
"""A timed run is about so long: as many texts, and where there are not as many, all of them several times."""
_WARM_UP = 512


def sets_of(folder: Path) -> dict[str, Pairs]:
    """The sets of the table, in its order."""
    chinese = read_pairs(folder / _CHINESE)
    return {
        **{f"STS{year - 2000}": sts_year(folder, year) for year in (2012, 2013, 2014)},
        "STSb test": sts_benchmark(folder),
        "STS-B zh test": Pairs(chinese.first, chinese.second, chinese.gold),
    }


def quality(artifacts: Mapping[str, Path], folder: Path) -> dict[str, dict[str, float]]:
    """Spearman × 100 of every system on every set."""
    sets = sets_of(folder)
    scores: dict[str, dict[str, float]] = {}
    with progress(len(artifacts) * len(sets), shown=True, doing="Quality", unit="set") as advance:
        for name, artifact in artifacts.items():
            with SentenceEncoder(artifact) as encoder:
                scores[name] = {}
                for title, pairs in sets.items():
                    scores[name][title] = spearman(encoder.encode, pairs)
                    advance(1)
    return scores


def speed(artifacts: Mapping[str, Path], texts: Sequence[str], *, rounds: int) -> dict[str, dict[str, Any]]:
    """Texts a second of every system, all of them in turn, round after round; median and runs."""
    layout = default_layout(available_threads())
    encoders = {name: SentenceEncoder(artifact, layout=layout) for name, artifact in artifacts.items()}
    lengths = {name: _length(encoder, texts) for name, encoder in encoders.items()}
    samples = {name: evenly(texts, count) for name, (count, _) in lengths.items()}
    runs: dict[str, list[float]] = {name: [] for name in encoders}
    with progress(rounds * len(encoders), shown=True, doing="Speed", unit="run") as advance:
        for _ in range(rounds):
            for name, encoder in encoders.items():
                runs[name].append(_rate(encoder, samples[name], calls=lengths[name][1]))
                advance(1)
    for encoder in encoders.values():
        encoder.close()
    return {
        name: {"median": statistics.median(found), "runs": found, "texts": lengths[name][0], "calls": lengths[name][1]}
        for name, found in runs.items()
    }


def _rate(encoder: SentenceEncoder, texts: Sequence[str], *, calls: int = 1) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        vectors = encoder.encode(texts)
    elapsed = time.perf_counter() - started
    if not np.isfinite(vectors).all():
        raise ValueError("a vector is not finite")
    return calls * len(texts) / elapsed


def _length(encoder: SentenceEncoder, texts: Sequence[str]) -> tuple[int, int]:
    """Of a run: how many texts a call, and how many calls."""
    some = evenly(texts, _WARM_UP)
    encoder.encode(some)
    wanted = _rate(encoder, some) * _SECONDS
    count = min(len(texts), max(_WARM_UP, int(wanted)))
    return count, max(1, round(wanted / count))
