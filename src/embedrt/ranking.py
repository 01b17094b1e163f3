"""The best pairs so far, exactly: bounded memory, one order, whatever order the pairs arrive in.

A matrix product's last bits depend on the shapes that it was cut into, so its results only propose pairs. Each proposed
pair is scored again by itself in float64, rounded to float32, and ranked by that: score first, then the two indices. Pairs
that can no longer enter are dropped, in whatever numbers they come (a corpus may be one text a million times).
"""

import numpy as np
import numpy.typing as npt

__all__ = ["NO_COSINE", "SMALLEST_LENGTH", "Indices", "Ranking", "Vectors", "lengths"]

NO_COSINE = -2.0
"""Below every cosine."""

SMALLEST_LENGTH = 1e-12
"""As in cos_sim: a zero vector has the cosine 0 with everything."""

_HIGHEST = 1.0
_CHUNK = 1 << 20  # components that are gathered at a time: 8 MB as float64

Vectors = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]


def lengths(vectors: Vectors) -> npt.NDArray[np.float64]:
    """What each row of (n, dim) vectors is divided by to have length 1, (n,); NaN and infinity stay what they are."""
    found = np.empty(len(vectors))
    step = max(1, _CHUNK // max(1, vectors.shape[1]))
    for at in range(0, len(vectors), step):
        found[at : at + step] = np.sqrt(np.square(vectors[at : at + step], dtype=np.float64).sum(axis=1))
    return np.maximum(found, SMALLEST_LENGTH)


class Ranking:
    """The ``top`` most similar pairs of those that were offered.

    Args:
        vectors: (n, dim), of any length.
        norms: (n,) their :func:`lengths`.
        top: pairs to keep.
        least: the smallest score that counts.
    """

    def __init__(self, vectors: Vectors, norms: npt.NDArray[np.float64], *, top: int, least: float = NO_COSINE) -> None:
        self.top = top
        self._vectors, self._norms = vectors, norms
        self._chunk = max(1, _CHUNK // max(1, vectors.shape[1]))
        self._scores = [np.empty(0, dtype=np.float32)]
        self._keys = [np.empty(0, dtype=np.int64)]  # first · n + second: one number a pair, in the order of ties
        self._waiting = 0
        self._full = False
        self._last_score, self._last_key = np.float32(least), int(np.iinfo(np.int64).max)

    @property
    def limit(self) -> float:
        """A pair that scores below this cannot enter."""
        return float(self._last_score)

    def is_closed_from(self, first: int, second: int) -> bool:
        """Whether no pair at or after (first, second) can enter: all that are kept have the highest score there is."""
        return self._at_ceiling and first * len(self._vectors) + second > self._last_key

    def offer(self, first: Indices, second: Indices) -> None:
        """Score the pairs (m,), (m,) and keep those that are among the best; each pair may be offered once."""
        for at in range(0, len(first), self._chunk):
            keys = first[at : at + self._chunk] * len(self._vectors) + second[at : at + self._chunk]
            if self._at_ceiling:
                keys = keys[keys < self._last_key]
            scores = self._exact(keys)
            enters = (scores > self._last_score) | ((scores == self._last_score) & (keys < self._last_key))
            self._scores.append(scores[enters])
            self._keys.append(keys[enters])
            self._waiting += int(np.count_nonzero(enters))
            if self._waiting >= self.top:
                self._settle()

    def result(self) -> tuple[npt.NDArray[np.float32], Indices, Indices]:
        """Scores, first and second indices, each (k,), best first."""
        self._settle()
        first, second = np.divmod(self._keys[0], max(1, len(self._vectors)))
        return self._scores[0], first, second

    @property
    def _at_ceiling(self) -> bool:
        return self._full and self.limit >= _HIGHEST

    def _exact(self, keys: Indices) -> npt.NDArray[np.float32]:
        """Cosines of pairs, (m,), each computed by itself in float64."""
        first, second = np.divmod(keys, len(self._vectors))
        products = self._vectors[first].astype(np.float64) * self._vectors[second]  # (m, dim)
        cosines = products.sum(axis=1) / (self._norms[first] * self._norms[second])
        return np.asarray(np.clip(cosines, -_HIGHEST, _HIGHEST), dtype=np.float32)

    def _settle(self) -> None:
        """Keep the best of all that was offered."""
        scores, keys = np.concatenate(self._scores), np.concatenate(self._keys)
        order = np.lexsort((keys, -scores))[: self.top]
        self._scores, self._keys, self._waiting = [scores[order]], [keys[order]], 0
        if len(order) == self.top:
            self._full = True
            self._last_score, self._last_key = self._scores[0][-1], int(self._keys[0][-1])
