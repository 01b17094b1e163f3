"""Sparse vectors as JSON lines, in the form of a database, and as a .npz file of compressed rows."""

from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np

from embedrt.cli.asked import Asked
from embedrt.corpus.writing import EMBEDDING_FIELD
from embedrt.inference.runner import windows
from embedrt.sparse.forms import in_form
from embedrt.sparse.vectors import SparseVectors
from embedrt.sparse_encoder import SparseEncoder

__all__ = ["sparse_fields", "write_npz"]


def sparse_fields(texts: Iterable[str], asked: Asked) -> Iterator[dict[str, Any]]:
    """``embedding`` of each text, in the form that was asked for."""
    with asked.opened(SparseEncoder) as encoder:
        for window in windows(texts):
            for vector in asked.encoded(encoder, window, max_active_dims=asked.max_active_dims):
                yield {EMBEDDING_FIELD: in_form(vector, asked.form, encoder.word)}


def write_npz(file: IO[bytes], texts: list[str], asked: Asked) -> SparseVectors:
    """The arrays of the compressed rows under the names that ``scipy.sparse.load_npz`` reads."""
    with asked.opened(SparseEncoder) as encoder:
        vectors: SparseVectors = asked.encoded(encoder, texts, max_active_dims=asked.max_active_dims)
    np.savez(
        file, format=np.array(b"csr"), data=vectors.data, indices=vectors.indices, indptr=vectors.indptr,
        shape=np.array(vectors.shape),
    )  # fmt: skip
    return vectors
