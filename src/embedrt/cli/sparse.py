"""Sparse vectors as JSON lines, in the form of a database, and as a .npz file of compressed rows."""

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import numpy as np

from embedrt.cli.asked import Asked
from embedrt.cli.writing import EMBEDDING_FIELD
from embedrt.runner import windows
from embedrt.sparse_encoder import SparseEncoder
from embedrt.sparse_forms import in_form
from embedrt.sparse_vectors import SparseVectors

__all__ = ["sparse_fields", "write_npz"]


def sparse_fields(texts: Iterable[str], asked: Asked) -> Iterator[dict[str, Any]]:
    """``embedding`` of each text, in the form that was asked for."""
    with _opened(asked) as encoder:
        for window in windows(texts):
            for vector in _encoded(encoder, window, asked):
                yield {EMBEDDING_FIELD: in_form(vector, asked.form, encoder.word)}


def write_npz(file: IO[bytes], texts: list[str], asked: Asked) -> SparseVectors:
    """The arrays of the compressed rows under the names that ``scipy.sparse.load_npz`` reads."""
    with _opened(asked) as encoder:
        vectors = _encoded(encoder, texts, asked)
    np.savez(
        file, format=np.array(b"csr"), data=vectors.data, indices=vectors.indices, indptr=vectors.indptr,
        shape=np.array(vectors.shape),
    )  # fmt: skip
    return vectors


def _opened(asked: Asked) -> SparseEncoder:
    return SparseEncoder(
        asked.model, variant=asked.variant, device=asked.device, threads=asked.threads, revision=asked.revision
    )


def _encoded(encoder: SparseEncoder, texts: list[str], asked: Asked) -> SparseVectors:
    roles: dict[str | None, Callable[..., SparseVectors]] = {
        None: encoder.encode,
        "query": encoder.encode_query,
        "document": encoder.encode_document,
    }
    return roles[asked.role](
        texts,
        prompt_name=asked.prompt_name,
        prompt=asked.prompt,
        batch_size=asked.batch_size,
        max_active_dims=asked.max_active_dims,
    )
