"""Quality of vectors on STS: Spearman's correlation of cosine with the gold score, times 100."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from embedrt_bench.texts.data import Pairs, sts_benchmark, sts_year
from scipy.stats import spearmanr

from embedrt.similarity import pairwise_cos_sim

__all__ = ["spearman", "sts_scores"]

Encode = Callable[[Sequence[str]], npt.NDArray[Any]]


def spearman(encode: Encode, pairs: Pairs) -> float:
    """Spearman × 100 over all pairs together, as the STS tasks and MTEB report it."""
    vectors = encode([*pairs.first, *pairs.second])
    first, second = np.split(vectors, 2)
    return float(spearmanr(pairwise_cos_sim(first, second), pairs.gold).statistic) * 100


def sts_scores(encode: Encode, folder: Path) -> dict[str, float]:
    """The sets of :mod:`embedrt_bench.texts.data`, each a score."""
    years = {f"STS{year - 2000}": sts_year(folder, year) for year in (2012, 2013, 2014)}
    return {name: spearman(encode, pairs) for name, pairs in {**years, "STSb test": sts_benchmark(folder)}.items()}
