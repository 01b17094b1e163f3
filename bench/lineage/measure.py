"""What the table says of a system: Spearman on STS, and sentences a second."""

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from embedrt_bench.scenarios.sts import spearman
from embedrt_bench.texts.data import Pairs, sts_benchmark, sts_year
from embedrt_export.quantization.sts import read_pairs

from embedrt import SentenceEncoder
from embedrt.progress import progress

__all__ = ["SETS", "quality", "sets_of", "speed"]

SETS = ("STS12", "STS13", "STS14", "STSb test", "STS-B zh test")
_CHINESE = Path("sts-zh") / "STS-B.test.tsv"
_SECONDS = 1.0
"""A timed run is at least about so long."""
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
    encoders = {name: SentenceEncoder(artifact) for name, artifact in artifacts.items()}
    counts = {name: _count(encoder, texts) for name, encoder in encoders.items()}
    runs: dict[str, list[float]] = {name: [] for name in encoders}
    with progress(rounds * len(encoders), shown=True, doing="Speed", unit="run") as advance:
        for _ in range(rounds):
            for name, encoder in encoders.items():
                runs[name].append(_rate(encoder, _evenly(texts, counts[name])))
                advance(1)
    for encoder in encoders.values():
        encoder.close()
    return {
        name: {"median": statistics.median(found), "runs": found, "texts": counts[name]} for name, found in runs.items()
    }


def _rate(encoder: SentenceEncoder, texts: Sequence[str]) -> float:
    started = time.perf_counter()
    vectors = encoder.encode(texts)
    elapsed = time.perf_counter() - started
    if not np.isfinite(vectors).all():
        raise ValueError("a vector is not finite")
    return len(texts) / elapsed


def _count(encoder: SentenceEncoder, texts: Sequence[str]) -> int:
    """As many texts as take :data:`_SECONDS`."""
    some = _evenly(texts, _WARM_UP)
    encoder.encode(some)
    return min(len(texts), max(_WARM_UP, int(_rate(encoder, some) * _SECONDS)))


def _evenly(texts: Sequence[str], count: int) -> Sequence[str]:
    """``count`` of ``texts`` from all over them: the sets differ in length."""
    return texts[:: max(1, len(texts) // count)][:count]
