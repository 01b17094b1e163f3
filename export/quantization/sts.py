"""STS files, and what a variant changes of a model's scores on them."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from embedrt_export.parity import correlation

from embedrt.errors import InputError
from embedrt.similarity import pairwise_cos_sim

__all__ = ["Pairs", "agreement", "read_pairs", "spearman", "sts_change", "sts_sets"]


class Encodes(Protocol):
    """What an encoder must do here."""

    def encode(self, sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors (n, dim)."""
        ...


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sentence pairs with gold scores from 0 to 5."""

    first: list[str]
    second: list[str]
    gold: list[float]

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(self.first + other.first, self.second + other.second, self.gold + other.gold)


def sts_sets(folder: Path) -> dict[str, Pairs]:
    """The sets of a folder: a year's SemEval files (``2013.*.test.tsv``) together, and every other test file by itself.

    Raises:
        InputError: there is no test file, or one that cannot be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".tsv", ".csv") and "test" in path.name)
    sets: defaultdict[str, Pairs] = defaultdict(lambda: Pairs([], [], []))
    for path in files:
        year = path.name.split(".")[0]
        sets[f"STS{year[2:]}" if year.isdigit() else path.stem] += read_pairs(path)
    if not sets:
        raise InputError(f"{folder} has no STS test files: expected names such as 2013.OnWN.test.tsv or stsb-test.csv")
    return dict(sets)


def read_pairs(path: Path) -> Pairs:
    """One file, tab-separated without quoting: (score, text, text), (text, text, score), or the STS benchmark's 7 columns.

    Lines without a score are left out.

    Raises:
        InputError: no column of the file holds scores.
    """
    rows = [line.rstrip("\r").split("\t") for line in path.read_text(encoding="utf-8-sig").split("\n") if line]
    for score, first, second in ((4, 5, 6), (0, 1, 2), (2, 0, 1)):
        fitting = [row for row in rows if len(row) > max(score, first, second)]
        scored = [row for row in fitting if row[score]]
        if fitting and scored and all(_is_number(row[score]) for row in scored):
            return Pairs(
                [row[first] for row in scored], [row[second] for row in scored], [float(row[score]) for row in scored]
            )
    raise InputError(f"{path} is no STS file: expected tab-separated lines of a score from 0 to 5 and two sentences")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def spearman(encoder: Encodes, pairs: Pairs) -> float:
    """Spearman's correlation × 100 of cosine with gold, over all pairs together."""
    vectors = encoder.encode([*pairs.first, *pairs.second])
    first, second = np.split(vectors, 2)
    return agreement(pairwise_cos_sim(first, second), pairs)


def agreement(scores: npt.NDArray[np.floating], pairs: Pairs) -> float:
    """Spearman's correlation × 100 of ``scores`` (pairs,) with gold."""
    return 100 * float(correlation.spearman(scores[None, :], np.array([pairs.gold]))[0])


def sts_change(
    exact: Any, variant: Any, folder: Path, *, score: Callable[[Any, Pairs], float] = spearman
) -> dict[str, float]:
    """Score of ``variant`` minus score of ``exact`` for every set, and the mean of these."""
    changes = {name: score(variant, pairs) - score(exact, pairs) for name, pairs in sts_sets(folder).items()}
    return {**changes, "mean": float(np.mean(list(changes.values())))}
