"""Similarity of sparse vectors; pure numpy. Nothing is written out but the terms that both sides have, a block at a time.

The measures are those of :mod:`embedrt.similarity`, float32. A distance is made of two parts, terms that are shared and others:

    |a − b|² = |a − b|² over shared terms + |a|² elsewhere + |b|² elsewhere
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from embedrt.errors import InputError
from embedrt.similarity import dot_score, euclidean_sim, manhattan_sim
from embedrt.sparse.vectors import SparseVector, SparseVectors, as_rows, row_ends

__all__ = ["intersection", "similarity", "similarity_pairwise"]

Scores = npt.NDArray[np.float32]
Sparse = SparseVector | SparseVectors
_BLOCK = 1 << 22
"""Floats that are written out at a time: 16 MB."""
_SMALLEST_NORM = 1e-12
MEASURES = ("cosine", "dot", "euclidean", "manhattan")


def similarity(a: Sparse, b: Sparse, *, measure: str = "dot") -> Scores:
    """Similarity of each row of ``a`` with each row of ``b``, (n, m); distances are negative, as ever.

    >>> vectors = SparseVectors.from_dense([[0, 2, 0], [1, 3, 0]])
    >>> similarity(vectors, vectors)
    array([[ 4.,  6.],
           [ 6., 10.]], dtype=float32)
    """
    first, second = _of_one_width(a, b)
    _require_known(measure)
    if measure in ("dot", "cosine"):
        scores = np.concatenate([np.empty((0, len(second)), np.float32), *_dots(first, second)])
        if measure == "cosine":
            scores /= _norms(first)[:, None] * _norms(second)[None, :]
        return scores
    return _distances(first, second, power=2 if measure == "euclidean" else 1)


def similarity_pairwise(a: Sparse, b: Sparse, *, measure: str = "dot") -> Scores:
    """Similarity of row i of ``a`` with row i of ``b``, (n,)."""
    first, second = _of_one_width(a, b)
    _require_known(measure)
    if len(first) != len(second):
        raise InputError(f"pairwise similarity takes as many rows on both sides, got {len(first)} and {len(second)}")
    at_first, at_second = _shared_places(first, second)
    rows, x, y = first.rows[at_first], first.data[at_first], second.data[at_second]
    if measure in ("dot", "cosine"):
        scores = _row_sums(rows, x * y, len(first))
        return scores if measure == "dot" else scores / _norms(first) / _norms(second)
    power = 2 if measure == "euclidean" else 1
    total = _row_sums(rows, np.abs(x - y) ** power, len(first))
    total += _elsewhere(first, at_first, power) + _elsewhere(second, at_second, power)
    return -(np.sqrt(total) if power == 2 else total)


def intersection(one: SparseVector, others: Sparse) -> SparseVectors:
    """The terms that ``one`` shares with each row of ``others``, weighing the product of both weights where that is positive.

    Raises:
        TypeError: something else came than sparse vectors.
        InputError: ``one`` is a matrix, or the vectors are of different vocabularies.
    """
    first, second = _of_one_width(one, others)
    if not isinstance(one, SparseVector):
        raise InputError(f"embeddings_1 is a matrix of {len(first)}, expected one vector, as in vectors[0]")
    weights = one.to_dense()[second.indices] * second.data
    kept = weights > 0
    counts = np.bincount(second.rows[kept], minlength=len(second))
    return SparseVectors(weights[kept], second.indices[kept], row_ends(counts), second.shape)


def _of_one_width(a: Sparse, b: Sparse) -> tuple[SparseVectors, SparseVectors]:
    first, second = as_rows(a), as_rows(b)
    if first.shape[1] != second.shape[1]:
        raise InputError(f"vectors of {first.shape[1]} terms cannot be compared with vectors of {second.shape[1]}")
    return first, second


def _require_known(measure: str) -> None:
    if measure not in MEASURES:
        raise InputError(f"similarity is {measure!r}, expected one of {', '.join(MEASURES)}")


def _dots(first: SparseVectors, second: SparseVectors) -> Iterator[Scores]:
    """Dot products of a block of rows of ``first`` with all of ``second``, (block, m)."""
    shared = _shared_terms(first, second)
    narrow, narrow_second = _narrowed(first, shared), _narrowed(second, shared)
    for part in _blocks(narrow):
        columns = [dot_score(part, other) for other in _blocks(narrow_second)]
        yield np.concatenate([np.empty((len(part), 0), np.float32), *columns], axis=1)


def _distances(first: SparseVectors, second: SparseVectors, *, power: int) -> Scores:
    """Negative distances, (n, m): sums of |difference|^power, and their root for 2."""
    compare = euclidean_sim if power == 2 else manhattan_sim
    shared = _shared_terms(first, second)
    narrow, narrow_second = _narrowed(first, shared), _narrowed(second, shared)
    scores = np.empty((len(first), len(second)), dtype=np.float32)
    at = 0
    for part in _blocks(narrow):
        column = 0
        for other in _blocks(narrow_second):
            scores[at : at + len(part), column : column + len(other)] = compare(part, other)
            column += len(other)
        at += len(part)
    alone = [_mass_where(matrix, ~shared[matrix.indices], power) for matrix in (first, second)]
    total = np.abs(scores) ** power + alone[0][:, None] + alone[1][None, :]
    return -(np.sqrt(total) if power == 2 else total)


def _shared_terms(first: SparseVectors, second: SparseVectors) -> npt.NDArray[np.bool_]:
    """Which terms some row of each side has, (dimension,)."""
    present = [np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0 for matrix in (first, second)]
    return present[0] & present[1]


def _narrowed(matrix: SparseVectors, shared: npt.NDArray[np.bool_]) -> SparseVectors:
    """The shared terms alone, renumbered without gaps."""
    kept = shared[matrix.indices]
    ends = row_ends(kept)[matrix.indptr]
    terms = (np.cumsum(shared) - 1)[matrix.indices[kept]].astype(np.int32)
    return SparseVectors(matrix.data[kept], terms, ends, (len(matrix), int(shared.sum())))


def _blocks(matrix: SparseVectors) -> Iterator[Scores]:
    """The rows written out, as many at a time as the block allows."""
    step = max(1, _BLOCK // max(1, matrix.shape[1]))
    for at in range(0, len(matrix), step):
        ends = matrix.indptr[at : at + step + 1]
        part = slice(ends[0], ends[-1])
        rows = SparseVectors(matrix.data[part], matrix.indices[part], ends - ends[0], (len(ends) - 1, matrix.shape[1]))
        yield rows.to_dense()


def _shared_places(
    first: SparseVectors, second: SparseVectors
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
    """Where the terms that row i of both has stand in the data of each."""
    keys = [matrix.rows * matrix.shape[1] + matrix.indices for matrix in (first, second)]
    _, at_first, at_second = np.intersect1d(keys[0], keys[1], assume_unique=True, return_indices=True)
    return at_first, at_second


def _elsewhere(matrix: SparseVectors, places: npt.NDArray[np.integer], power: int) -> Scores:
    """Sum of |weight|^power over the weights that do not stand at ``places``, of each row."""
    alone = np.ones(len(matrix.data), dtype=bool)
    alone[places] = False
    return _mass_where(matrix, alone, power)


def _mass_where(matrix: SparseVectors, counted: npt.NDArray[np.bool_], power: int) -> Scores:
    """Sum of |weight|^power over the ``counted`` weights of each row, (rows,)."""
    return _row_sums(matrix.rows[counted], np.abs(matrix.data[counted]) ** power, len(matrix))


def _norms(matrix: SparseVectors) -> Scores:
    everything = np.ones(len(matrix.data), dtype=bool)
    return np.maximum(np.sqrt(_mass_where(matrix, everything, 2)), np.float32(_SMALLEST_NORM))


def _row_sums(rows: npt.NDArray[np.integer], values: Scores, count: int) -> Scores:
    """Sums of the values of each row, added up in float64: (rows,)."""
    return np.bincount(rows, weights=values, minlength=count).astype(np.float32)
