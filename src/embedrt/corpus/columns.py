"""Vectors of any kind beside the fields of their texts: as a column of Parquet, and as JSON.

Dense vectors are lists of one length, sparse ones the terms and their weights, and a text has one vector or one for each token.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedrt.sparse.forms import in_form
from embedrt.sparse.vectors import SparseVectors, row_ends

__all__ = ["TokenVectors", "Vectors", "as_column", "as_values", "joined"]


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors:
    """A vector for each token of several texts."""

    texts: list[npt.NDArray[np.float32]]
    """(tokens, dimension) each"""
    dimension: int


Vectors = npt.NDArray[Any] | SparseVectors | TokenVectors
"""(texts, dim); a row of weights a text; a vector a token."""


def joined(parts: list[Vectors]) -> Vectors:
    """Vectors of one kind, end to end; at least one part."""
    first = parts[0]
    if isinstance(first, SparseVectors):
        return SparseVectors.concatenated(parts, dimension=first.shape[1])  # type: ignore[arg-type]
    if isinstance(first, TokenVectors):
        return TokenVectors([one for part in parts for one in part.texts], first.dimension)  # type: ignore[union-attr]
    return np.concatenate(parts)  # type: ignore[arg-type]


def as_values(vectors: Vectors) -> Iterator[Any]:
    """What JSON has of each text: a list of numbers, a list of such lists, or terms and weights as Qdrant takes them."""
    if isinstance(vectors, SparseVectors):
        return (in_form(vector, "qdrant", str) for vector in vectors)
    rows = vectors.texts if isinstance(vectors, TokenVectors) else vectors
    return (row.tolist() for row in rows)


def as_column(vectors: Vectors) -> Any:
    """The same as pyarrow's array: a list, a list of lists, or a struct of ``indices`` and ``values``."""
    import pyarrow as pa

    if isinstance(vectors, SparseVectors):
        terms = {"indices": vectors.indices, "values": vectors.data}
        lists = [_lists(vectors.indptr, pa.array(values)) for values in terms.values()]
        return pa.StructArray.from_arrays(lists, names=list(terms))
    if isinstance(vectors, TokenVectors):
        ends = row_ends(np.array([len(one) for one in vectors.texts], np.int64))
        whole = np.concatenate([np.empty((0, vectors.dimension), np.float32), *vectors.texts])
        return _lists(ends, _of_one_length(whole))
    return _of_one_length(vectors)


def _of_one_length(rows: npt.NDArray[Any]) -> Any:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[-1])


def _lists(ends: npt.NDArray[np.int64], values: Any) -> Any:
    import pyarrow as pa

    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), values)
