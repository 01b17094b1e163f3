"""What every framework asks of an embedding model: vectors of queries and of documents, with the prompt of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedrt.encoder import SentenceEncoder

__all__ = ["Embedder"]

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """A dense encoder, and how texts are encoded; prompts of None are the checkpoint's own for that role."""

    encoder: SentenceEncoder
    query_prompt: str | None = None
    document_prompt: str | None = None
    truncate_dim: int | None = None
    normalize_embeddings: bool | None = None
    show_progress_bar: bool | None = None

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, float32 (n, dim)."""
        return self.encoder.encode_query(texts, prompt=self.query_prompt, **self._how)

    def documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents, float32 (n, dim)."""
        return self.encoder.encode_document(texts, prompt=self.document_prompt, **self._how)

    @property
    def _how(self) -> dict[str, Any]:
        return {
            "truncate_dim": self.truncate_dim,
            "normalize_embeddings": self.normalize_embeddings,
            "show_progress_bar": self.show_progress_bar,
        }
