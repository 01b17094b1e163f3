"""LlamaIndex: an embedding model for its indexes, a reranker behind its retrievers.

from embedrt.integrations.llama_index import EmbedrtEmbedding

index = VectorStoreIndex.from_documents(documents, embed_model=EmbedrtEmbedding(model_name="minilm", variant="int8"))
"""

import asyncio
from typing import Any

from embedrt.cross_encoder import CrossEncoder
from embedrt.encoder import SentenceEncoder
from embedrt.errors import InputError, MissingDependencyError
from embedrt.integrations.embedder import Embedder
from embedrt.integrations.sharing import shared

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

    from embedrt.integrations.model_fields import ModelFields
except ImportError as missing:
    raise MissingDependencyError('LlamaIndex is not installed: type pip install "embedrt[llama-index]"') from missing

__all__ = ["EmbedrtEmbedding", "EmbedrtReranker"]


class EmbedrtEmbedding(ModelFields, BaseEmbedding):
    """Vectors of nodes and queries, each with the checkpoint's own prompt for it."""

    model_name: str = Field(description="The folder that embedrt export wrote, a single .onnx file, or a Hub id.")
    embed_batch_size: int = Field(
        default=1024, gt=0, le=2048, description="Texts that are handed over at once; embedrt cuts its own batches."
    )
    query_prompt: str | None = Field(
        default=None, description="Put before each query; None: the checkpoint's prompt for queries, if it has one."
    )
    text_prompt: str | None = Field(default=None, description="Put before each text, likewise.")
    truncate_dim: int | None = Field(default=None, description="Keep the first so many components (Matryoshka).")
    normalize_embeddings: bool | None = Field(default=None, description="True: length 1, after truncation.")
    _embedder: Embedder = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Load the model, unless something in this process has it already."""
        super().model_post_init(context)
        self._embedder = Embedder(
            encoder=shared(SentenceEncoder, self.model_name, **self._options),
            query_prompt=self.query_prompt,
            document_prompt=self.text_prompt,
            truncate_dim=self.truncate_dim,
            normalize_embeddings=self.normalize_embeddings,
        )

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls it in what it stores."""
        return "EmbedrtEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._embedder.queries([query])[0].tolist()
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._embedder.documents(texts).tolist()
        return vectors

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


class EmbedrtReranker(ModelFields, BaseNodePostprocessor):
    """Nodes that a retriever found, in the order of a cross-encoder's scores, which take the place of the retriever's."""

    model: str = Field(description="As for EmbedrtEmbedding, of kind cross-encoder.")
    top_n: int | None = Field(default=2, description="How many are kept; None: all.")
    keep_retrieval_score: bool = Field(
        default=False, description="Put the retriever's score into the metadata as retrieval_score."
    )
    _encoder: CrossEncoder = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Load the model, unless something in this process has it already."""
        super().model_post_init(context)
        self._encoder = shared(CrossEncoder, self.model, **self._options)

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls it in what it stores."""
        return "EmbedrtReranker"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InputError("a reranker needs the query: pass query_str or query_bundle")
        texts = [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
        found = []
        for entry in self._encoder.rank(query_bundle.query_str, texts, top_k=self.top_n):
            node = nodes[entry["corpus_id"]]
            if self.keep_retrieval_score:
                node.node.metadata["retrieval_score"] = node.score
            found.append(NodeWithScore(node=node.node, score=entry["score"]))
        return found
