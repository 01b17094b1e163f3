"""Whitening (Su et al. 2021, arXiv 2103.15316): sentence vectors with mean 0 and the unit matrix as covariance, over a corpus.

    w = (x − μ) W,   W = U Λ^(−1/2),   Σ = U Λ Uᵀ the covariance of the corpus,

the columns of W in the order of falling variance, so that the first so many are the best to keep. Vectors of pretrained models
lie in a narrow cone, where cosine tells little; whitened, no direction is worth more than another.

Directions in which the corpus hardly varies are dropped: Λ^(−1/2) would blow float32 noise up until it is all that a vector
holds. So a corpus of fewer texts than dimensions, or with texts that repeat, gives fewer dimensions, never infinities.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedrt.errors import InputError

__all__ = ["FEWEST_TEXTS", "Moments", "Whitening", "moments_of", "whitened", "whitening_of"]

Doubles = npt.NDArray[np.float64]
FEWEST_TEXTS = 32
"""Nothing can be learned from fewer."""
_SMALLEST_VARIANCE = 1e-6
"""Of the largest: a direction whose standard deviation is below a thousandth of the largest one is noise in float32."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and covariance of vectors, in float64."""

    count: int
    mean: Doubles
    """(dim,)"""
    scatter: Doubles
    """(dim, dim), the sum of (x − μ)ᵀ (x − μ)"""

    @property
    def covariance(self) -> Doubles:
        """(dim, dim), divided by the count, as in the paper."""
        return self.scatter / self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Whitening:
    """What is applied to a vector, and what is known of it."""

    mean: Doubles
    """(dim,)"""
    matrix: Doubles
    """(dim, kept)"""
    rank: int
    """Directions in which the corpus varies."""
    explained_variance: float
    """Share of the corpus's variance that lies in the kept directions."""
    texts: int


def moments_of(chunks: Iterable[npt.NDArray[np.float32]]) -> Moments:
    """Moments of all rows of ``chunks``, each (n, dim), seen once and not kept (Chan, Golub and LeVeque 1979).

    >>> moments_of([np.array([[1, 0], [3, 0]], np.float32), np.array([[2, 6]], np.float32)]).mean
    array([2., 2.])

    Raises:
        InputError: there is no vector, or one that is not finite.
    """
    total: Moments | None = None
    for chunk in chunks:
        if not np.isfinite(chunk).all():
            raise InputError(
                "the checkpoint gives a vector with numbers that are not finite, expected finite ones: download it again, "
                "or pass other texts"
            )
        rows = chunk.astype(np.float64)
        mean = rows.mean(axis=0)
        centered = rows - mean
        part = Moments(len(rows), mean, centered.T @ centered)
        total = part if total is None else _together(total, part)
    if total is None:
        raise InputError("there is no vector to whiten by: pass a corpus with one text a line")
    return total


def _together(first: Moments, second: Moments) -> Moments:
    count = first.count + second.count
    apart = second.mean - first.mean
    scatter = first.scatter + second.scatter + np.outer(apart, apart) * (first.count * second.count / count)
    return Moments(count, first.mean + apart * (second.count / count), scatter)


def whitening_of(moments: Moments, dims: int | None = None) -> Whitening:
    """The whitening of a corpus, with ``dims`` directions or as many as it varies in.

    Raises:
        InputError: the corpus is too small, does not vary, or in fewer directions than ``dims``.
    """
    _require_enough(moments.count, dims)
    variances, directions = np.linalg.eigh(moments.covariance)
    variances, directions = variances[::-1], directions[:, ::-1]  # the largest first
    if variances[0] <= _noise(moments):
        raise InputError(
            f"the {moments.count} texts of the corpus for whitening all have the same vector: pass other texts, one a line"
        )
    rank = int((variances > variances[0] * _SMALLEST_VARIANCE).sum())
    if dims is not None and dims > rank:
        raise InputError(
            f"dims is {dims}, but the vectors of the corpus vary in {rank} directions only "
            f"({moments.count} texts, vectors of {len(variances)}): pass --dims {rank} or less, or a larger corpus"
        )
    kept = slice(0, dims or rank)
    signs = np.sign(
        directions[np.abs(directions).argmax(axis=0), np.arange(len(variances))]
    )  # the same on every machine
    return Whitening(
        mean=moments.mean,
        matrix=(directions * signs)[:, kept] / np.sqrt(variances[kept]),
        rank=rank,
        explained_variance=min(float(variances[kept].sum() / variances.clip(min=0).sum()), 1.0),
        texts=moments.count,
    )


def _require_enough(texts: int, dims: int | None) -> None:
    needed = max(FEWEST_TEXTS, (dims or 0) + 1)
    if texts < needed:
        raise InputError(
            f"the corpus for whitening holds {texts} texts, "
            f"expected at least {needed}{f' for {dims} dimensions' if dims else ''}, "
            "better ten times as many as dimensions: pass a larger file, one text a line"
        )


def _noise(moments: Moments) -> float:
    """A variance that float32 arithmetic alone may give, texts being in batches of several shapes."""
    return float((10 * np.abs(moments.mean).max() * np.finfo(np.float32).eps) ** 2)


def whitened(vectors: npt.NDArray[np.floating], whitening: Whitening) -> Doubles:
    """``vectors`` (n, dim), whitened and brought to length 1, in float64: what the graph is compared with, (n, kept).

    A vector that is the corpus's mean stays zero.
    """
    result = (vectors.astype(np.float64) - whitening.mean) @ whitening.matrix
    lengths = np.linalg.norm(result, axis=1, keepdims=True)
    return result / np.where(lengths > 0, lengths, 1)
