"""The nearest vectors of a corpus to each query, in blocks; pure numpy. The name follows ``sentence_transformers.util``."""

from collections.abc import Callable
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from embedrt.arguments import not_finite, require_positive
from embedrt.moving import moved
from embedrt.progress import Advance
from embedrt.similarity import cos_sim

__all__ = ["Hit", "semantic_search"]

Vectors = npt.NDArray[np.floating]
Scores = npt.NDArray[np.float32]
_QUERIES, _CORPUS = 128, 1 << 16
"""Rows of a block: its scores are 32 MB."""


class Hit(TypedDict):
    """A place in a corpus, and how similar it is."""

    corpus_id: int
    """Its index."""
    score: float


@moved({}, ignored=("query_chunk_size", "corpus_chunk_size"))
def semantic_search(
    query_embeddings: Vectors,
    corpus_embeddings: Vectors,
    *,
    top_k: int = 10,
    score_function: Callable[[Vectors, Vectors], Scores] = cos_sim,
    advance: Advance = lambda _count: None,
) -> list[list[Hit]]:
    """For each query its ``top_k`` best of the corpus, best first; equal scores in the order of the corpus.

    Memory is bounded by a block of scores, whatever the size of the corpus.

    Args:
        query_embeddings: (queries, dim), or (dim,) for one.
        corpus_embeddings: (n, dim), a memory map as well.
        top_k: hits a query.
        score_function: of :mod:`embedrt.similarity`.
        advance: told how many rows of the corpus more have been compared with all queries.

    Raises:
        TypeError: ``top_k`` is no whole number.
        InputError: ``top_k`` is below 1, the arrays are not of one width, or have NaN or infinity in them.

    >>> semantic_search(np.array([1.0, 0.0]), np.array([[0.0, 1.0], [2.0, 0.0]]), top_k=1)
    [[{'corpus_id': 1, 'score': 1.0}]]
    """
    require_positive("top_k", top_k, optional=False)
    queries = np.atleast_2d(np.asarray(query_embeddings))
    best = [_Best.none(len(queries[at : at + _QUERIES])) for at in range(0, len(queries), _QUERIES)]
    for start in range(0, len(corpus_embeddings), _CORPUS):
        block = np.asarray(corpus_embeddings[start : start + _CORPUS])
        for number, kept in enumerate(best):
            part = queries[number * _QUERIES : (number + 1) * _QUERIES]
            best[number] = kept.joined(score_function(part, block), start, top_k)
        advance(len(block))
    return [hits for kept in best for hits in kept.hits()]


class _Best:
    """The best of what was seen so far, for some queries."""

    def __init__(self, scores: Scores, places: npt.NDArray[np.int64]) -> None:
        self._scores, self._places = scores, places  # both (queries, k), best first

    @classmethod
    def none(cls, queries: int) -> "_Best":
        return cls(np.empty((queries, 0), np.float32), np.empty((queries, 0), np.int64))

    def joined(self, scores: Scores, start: int, top_k: int) -> "_Best":
        """With the ``scores`` (queries, rows) of corpus rows from ``start`` on."""
        places = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        if scores.shape[1] > top_k:  # whatever ties with the last that enters has to stay, or order would decide
            # (queries, k), the least first, NaN as the highest
            highest = np.partition(scores, -top_k, axis=1)[:, -top_k:]
            _require_numbers(highest)
            some = np.flatnonzero((scores >= highest[:, :1]).any(axis=0))
            scores, places = scores[:, some], places[:, some]
        else:
            _require_numbers(scores)
        scores = np.concatenate([self._scores, scores], axis=1)
        places = np.concatenate([self._places, places], axis=1)
        order = np.lexsort((places, -scores), axis=1)[:, :top_k]
        return _Best(np.take_along_axis(scores, order, axis=1), np.take_along_axis(places, order, axis=1))

    def hits(self) -> list[list[Hit]]:
        rows = zip(self._scores.tolist(), self._places.tolist(), strict=True)
        return [[Hit(corpus_id=place, score=score) for score, place in zip(*row, strict=True)] for row in rows]


def _require_numbers(scores: Scores) -> None:
    if np.isnan(scores).any():
        raise not_finite("vectors", so="so that some similarities are NaN")
