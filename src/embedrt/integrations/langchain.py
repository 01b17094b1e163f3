"""LangChain: embeddings for its vector stores, a reranker for its retrievers.

from embedrt.integrations.langchain import EmbedrtEmbeddings

store = InMemoryVectorStore(EmbedrtEmbeddings("minilm", variant="int8"))
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from embedrt.cross_encoder import CrossEncoder
from embedrt.encoder import SentenceEncoder
from embedrt.errors import MissingDependencyError
from embedrt.integrations.embedder import Embedder
from embedrt.integrations.sharing import ModelOptions, shared

try:
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.embeddings import Embeddings
    from pydantic import PrivateAttr

    from embedrt.integrations.model_fields import ModelFields
except ImportError as missing:
    raise MissingDependencyError('LangChain is not installed: type pip install "embedrt[langchain]"') from missing

__all__ = ["EmbedrtEmbeddings", "EmbedrtReranker"]


class EmbedrtEmbeddings(Embeddings):
    """Vectors of documents and queries, each with the checkpoint's own prompt for it; async methods run in a thread."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        truncate_dim: int | None = None,
        normalize_embeddings: bool | None = None,
        show_progress_bar: bool | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        """Load ``model``, unless something in this process has it already.

        Args:
            model: the folder that ``embedrt export`` wrote, a single .onnx file, or a Hub id.
            query_prompt: what is put before each query; None: the checkpoint's prompt for queries, if it has one.
            document_prompt: what is put before each document, likewise.
            truncate_dim: keep the first so many components (Matryoshka).
            normalize_embeddings: True: length 1, after truncation.
            show_progress_bar: a bar on stderr.
            **options: ``variant``, ``device``, ``threads``, ``revision`` of :class:`embedrt.SentenceEncoder`.

        Raises:
            ArtifactError: there is no such model, or it is damaged, foreign, or of another kind.
            UnavailableError: the device is not on this machine.
        """
        self._embedder = Embedder(
            encoder=shared(SentenceEncoder, model, **options),
            query_prompt=query_prompt,
            document_prompt=document_prompt,
            truncate_dim=truncate_dim,
            normalize_embeddings=normalize_embeddings,
            show_progress_bar=show_progress_bar,
        )

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents, (n, dim)."""
        vectors: list[list[float]] = self._embedder.documents(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query, (dim,)."""
        vector: list[float] = self._embedder.queries([text])[0].tolist()
        return vector


class EmbedrtReranker(ModelFields, BaseDocumentCompressor):
    """Documents that a retriever found, in the order of a cross-encoder's scores; ``relevance_score`` goes to their metadata."""

    model: str | Path
    """As for :class:`EmbedrtEmbeddings`, of kind cross-encoder."""
    top_n: int | None = 3
    """How many are kept; None: all."""
    _encoder: CrossEncoder = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Load the model, unless something in this process has it already."""
        self._encoder = shared(CrossEncoder, self.model, **self._options)

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> Sequence[Document]:
        """The best of ``documents`` for ``query``, the best first; copies, with their scores."""
        ranked = self._encoder.rank(query, [document.page_content for document in documents], top_k=self.top_n)
        found = []
        for entry in ranked:
            document = documents[entry["corpus_id"]]
            scored = {**document.metadata, "relevance_score": entry["score"]}
            found.append(document.model_copy(update={"metadata": scored}))
        return found
