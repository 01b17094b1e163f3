"""Sparse vectors: which terms a text has and what each weighs, one by one and as the rows of a matrix; pure numpy.

The layout is compressed sparse rows, as scipy's ``csr_matrix`` and most databases take it, so that nothing has to be converted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from embedrt.errors import InputError, MissingDependencyError

__all__ = ["SparseVector", "SparseVectors", "as_rows", "row_ends"]

Weights = npt.NDArray[np.float32]
Terms = npt.NDArray[np.int32]
Chosen = slice | Sequence[int] | npt.NDArray[np.integer] | npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SparseVector:
    """The weights of one text's terms; all others weigh nothing."""

    indices: Terms
    """(terms,) places in the vocabulary, ascending."""
    values: Weights
    """(terms,) their weights, none of them 0."""
    dimension: int
    """Terms of the vocabulary."""

    def to_dense(self) -> Weights:
        """The vector written out, (dimension,)."""
        dense = np.zeros(self.dimension, dtype=np.float32)
        dense[self.indices] = self.values
        return dense

    def to_dict(self) -> dict[int, float]:
        """Weights by their place in the vocabulary.

        >>> SparseVector(np.array([3, 7], np.int32), np.array([0.5, 2], np.float32), 10).to_dict()
        {3: 0.5, 7: 2.0}
        """
        return dict(zip(self.indices.tolist(), self.values.tolist(), strict=True))

    def as_matrix(self) -> "SparseVectors":
        """The vector as the only row of a matrix."""
        ends = np.array([0, len(self.indices)], dtype=np.int64)
        return SparseVectors(self.values, self.indices, ends, (1, self.dimension))

    def __repr__(self) -> str:
        return f"SparseVector({len(self.indices)} of {self.dimension} terms)"


@dataclass(frozen=True, slots=True, eq=False)
class SparseVectors:
    """Sparse vectors of several texts as compressed sparse rows; the fields have scipy's names.

    >>> vectors = SparseVectors.from_dense(np.array([[0, 2, 0, 1], [0, 0, 0, 0]]))
    >>> vectors, vectors[0].to_dict(), len(vectors)
    (SparseVectors(2 × 4, 2 weights), {1: 2.0, 3: 1.0}, 2)
    """

    data: Weights
    """(weights,) of all rows, end to end."""
    indices: Terms
    """(weights,) the place of each in the vocabulary, ascending within a row."""
    indptr: npt.NDArray[np.int64]
    """(rows + 1,) row i is ``data[indptr[i]:indptr[i + 1]]``."""
    shape: tuple[int, int]
    """Rows, and terms of the vocabulary."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        lengths = (len(self.data), len(self.indices), int(self.indptr[-1]) if len(self.indptr) else -1)
        if len(self.indptr) != self.shape[0] + 1 or len(set(lengths)) > 1:
            raise InputError(
                f"data, indices and the end of indptr say {', '.join(map(str, lengths))} weights and indptr has "
                f"{len(self.indptr)} entries for {self.shape[0]} rows: expected one number of weights, and a row more"
            )

    @classmethod
    def from_dense(cls, dense: npt.ArrayLike) -> "SparseVectors":
        """The non-zero components of (rows, dimension)."""
        matrix = np.ascontiguousarray(dense, dtype=np.float32)
        if matrix.ndim != 2:
            raise InputError(f"the array has the shape {matrix.shape}, expected (rows, dimension)")
        places = np.flatnonzero(matrix != 0)  # several times as fast as on the floats themselves
        rows, terms = np.divmod(places, max(1, matrix.shape[1]))
        return cls(
            matrix.reshape(-1)[places], terms.astype(np.int32), row_ends(np.bincount(rows, minlength=len(matrix))),
            (matrix.shape[0], matrix.shape[1]),
        )  # fmt: skip

    @classmethod
    def stack(cls, vectors: Sequence[SparseVector], *, dimension: int) -> "SparseVectors":
        """One vector after another as the rows of a matrix."""
        if strange := [vector.dimension for vector in vectors if vector.dimension != dimension]:
            raise InputError(f"a vector of {strange[0]} terms cannot be a row of a matrix of {dimension}")
        return cls.concatenated([vector.as_matrix() for vector in vectors], dimension=dimension)

    @classmethod
    def concatenated(cls, parts: Sequence["SparseVectors"], *, dimension: int) -> "SparseVectors":
        """The rows of one matrix after those of another; without any, a matrix of no row."""
        if len(parts) == 1:
            return parts[0]
        counts = np.concatenate([np.empty(0, np.int64), *(part.counts for part in parts)])
        data = np.concatenate([np.empty(0, np.float32), *(part.data for part in parts)])
        indices = np.concatenate([np.empty(0, np.int32), *(part.indices for part in parts)])
        return cls(data, indices, row_ends(counts), (len(counts), dimension))

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(rows,) weights of each row."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """(weights,) the row that each weight is of."""
        return np.repeat(np.arange(len(self)), self.counts)

    def to_dense(self) -> Weights:
        """The matrix written out, (rows, dimension): 4 bytes for each of all components."""
        dense = np.zeros(self.shape, dtype=np.float32)
        dense[self.rows, self.indices] = self.data
        return dense

    def to_dicts(self) -> list[dict[int, float]]:
        """Weights by their place in the vocabulary, of each row."""
        return [vector.to_dict() for vector in self]

    def to_scipy(self) -> Any:
        """The same arrays as a ``scipy.sparse.csr_matrix``.

        Raises:
            MissingDependencyError: scipy is not installed.
        """
        try:
            from scipy import sparse
        except ImportError as error:
            raise MissingDependencyError("scipy is not installed: type pip install scipy") from error
        return sparse.csr_matrix((self.data, self.indices, self.indptr), shape=self.shape)

    def sparsity(self) -> dict[str, float]:
        """``active_dims``, how many terms a row has in the mean, and ``sparsity_ratio``, the share of all others."""
        rows, terms = self.shape
        active = len(self.data) / rows if rows else 0.0
        return {"active_dims": active, "sparsity_ratio": 1.0 - active / terms if rows and terms else 1.0}

    def pruned(self, most: int) -> "SparseVectors":
        """The ``most`` largest weights of each row, by magnitude; of equal ones those that stand first."""
        counts = self.counts
        kept = np.ones(len(self.data), dtype=bool)
        for row in np.flatnonzero(counts > most):
            kept[self.indptr[row] : self.indptr[row + 1]] = _largest(self[int(row)].values, most)
        return SparseVectors(self.data[kept], self.indices[kept], row_ends(np.minimum(counts, most)), self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[SparseVector]:
        return (self[row] for row in range(len(self)))

    @overload
    def __getitem__(self, rows: int) -> SparseVector: ...

    @overload
    def __getitem__(self, rows: Chosen) -> "SparseVectors": ...

    def __getitem__(self, rows: int | Chosen) -> "SparseVector | SparseVectors":
        """One row, or the rows of a slice, of a list of their numbers, or of a mask."""
        if isinstance(rows, int | np.integer):
            row = range(len(self))[rows]
            part = slice(self.indptr[row], self.indptr[row + 1])
            return SparseVector(self.indices[part], self.data[part], self.shape[1])
        chosen = np.arange(len(self))[rows]
        return self.stack([self[int(row)] for row in chosen], dimension=self.shape[1])

    def __repr__(self) -> str:
        return f"SparseVectors({self.shape[0]} × {self.shape[1]}, {len(self.data)} weights)"


def as_rows(embeddings: object) -> SparseVectors:
    """``embeddings``, or one of them as the only row of a matrix.

    Raises:
        TypeError: they are no sparse vectors.
    """
    if isinstance(embeddings, SparseVectors):
        return embeddings
    if not isinstance(embeddings, SparseVector):
        raise TypeError(
            f"embeddings is a {type(embeddings).__name__}, expected what SparseEncoder.encode gives: SparseVectors.stack makes "
            f"it of a list of vectors, SparseVectors.from_dense of an array"
        )
    return embeddings.as_matrix()


def row_ends(counts: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """``indptr`` of rows with so many weights: where each ends, 0 in front, (rows + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _largest(values: Weights, most: int) -> npt.NDArray[np.bool_]:
    """Which of (terms,) are the ``most`` largest by magnitude; fewer than there are."""
    sizes = np.abs(values)
    least = np.partition(sizes, -most)[-most]
    kept: npt.NDArray[np.bool_] = sizes > least
    kept[np.flatnonzero(sizes == least)[: most - int(kept.sum())]] = True
    return kept
