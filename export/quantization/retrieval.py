"""A small retrieval set made of STS pairs, and how well a ranking does on it; pure numpy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from embedrt_export.quantization.sts import Pairs, sts_sets

from embedrt.errors import InputError

__all__ = ["RetrievalSet", "ScoredPairs", "ndcg", "ndcg_change", "retrieval_set"]

Model = TypeVar("Model")

_RELEVANT = 3.0
"""The score from which on the guidelines of STS call two sentences roughly equivalent."""
_QUERIES, _DOCUMENTS = 128, 1024


class ScoredPairs(Protocol):
    """Sentence pairs with gold scores from 0 to 5."""

    @property
    def first(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def second(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def gold(self) -> Sequence[float]: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalSet:
    """Queries, the documents to be ranked for each, and which of them are relevant."""

    queries: list[str]
    documents: list[str]
    relevance: npt.NDArray[np.float64]
    """(queries, documents), 0 where a document is not known to be relevant."""


def retrieval_set(pairs: ScoredPairs, *, queries: int = _QUERIES, documents: int = _DOCUMENTS) -> RetrievalSet:
    """First sentences as queries, second ones as documents; relevant are those that were paired with a score of 3 or more.

    An even sample of at most so many queries, their own documents, and others up to the number of ``documents``.

    Raises:
        InputError: no pair has such a score.
    """
    scored = list(zip(pairs.first, pairs.second, pairs.gold, strict=True))
    relevant = {(one, other): gold for one, other, gold in scored if gold >= _RELEVANT and one != other}
    asked = _even_sample(list(dict.fromkeys(one for one, _ in relevant)), queries)
    if not asked:
        raise InputError(
            f"none of the {len(scored)} STS pairs has a score of {_RELEVANT:g} or more: nothing to retrieve"
        )
    wanted = set(asked)
    own = list(dict.fromkeys(other for one, other in relevant if one in wanted))
    rest = [text for text in dict.fromkeys(pairs.second) if text not in set(own)]
    found = [*own, *_even_sample(rest, max(0, documents - len(own)))]
    places = {text: place for place, text in enumerate(found)}
    relevance = np.zeros((len(asked), len(found)))
    for row, query in enumerate(asked):
        for (one, other), gold in relevant.items():
            if one == query:
                relevance[row, places[other]] = gold
    return RetrievalSet(asked, found, relevance)


def ndcg_change(
    exact: Model,
    variant: Model,
    sts: Path,
    scores: Callable[[Model, RetrievalSet], npt.NDArray[np.floating]],
    *,
    queries: int = _QUERIES,
    documents: int = _DOCUMENTS,
) -> dict[str, float]:
    """``ndcg_change``: nDCG@10 × 100 on a retrieval set of all STS pairs of a folder, of ``variant`` minus that of ``exact``.

    ``scores(model, wanted)`` gives (queries, documents).
    """
    wanted = retrieval_set(sum(sts_sets(sts).values(), Pairs([], [], [])), queries=queries, documents=documents)
    before, after = (ndcg(scores(model, wanted), wanted.relevance) for model in (exact, variant))
    return {"ndcg_change": after - before}


def ndcg(scores: npt.NDArray[np.floating], relevance: npt.NDArray[np.floating], *, top: int = 10) -> float:
    """Normalized discounted cumulative gain × 100 of the ``top`` best by score, mean over the rows (queries, documents).

    The gain is the relevance itself; of equal scores those of lower columns come first. Järvelin and Kekäläinen 2002,
    doi:10.1145/582415.582418.

    >>> round(ndcg(np.array([[0.1, 0.9, 0.5]]), np.array([[1.0, 0.0, 0.0]])), 2)
    50.0
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    discounts = 1 / np.log2(np.arange(best.shape[1]) + 2)  # (top,)
    gained = (np.take_along_axis(relevance, best, axis=1) * discounts).sum(axis=1)
    ideal = (-np.sort(-relevance, axis=1)[:, : best.shape[1]] * discounts).sum(axis=1)
    return 100 * float(np.mean(gained[ideal > 0] / ideal[ideal > 0]))


def _even_sample(texts: list[str], most: int) -> list[str]:
    if len(texts) <= most:
        return texts
    return [texts[place] for place in np.linspace(0, len(texts) - 1, most).astype(int)] if most else []
