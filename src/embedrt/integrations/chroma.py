"""Chroma: an embedding function for its collections.

    from embedrt.integrations.chroma import EmbedrtEmbeddingFunction

    collection = client.create_collection("notes", embedding_function=EmbedrtEmbeddingFunction("minilm", variant="int8"))

A collection keeps the function's settings, and Chroma makes it again from them once this module has been imported.
"""

import os
from typing import Any, Unpack

from embedrt.encoder import SentenceEncoder
from embedrt.errors import InputError, MissingDependencyError
from embedrt.integrations.embedder import Embedder
from embedrt.integrations.sharing import ModelOptions, shared

try:
    from chromadb.api.types import Documents, EmbeddingFunction, Embeddings, Space
    from chromadb.utils.embedding_functions import register_embedding_function
except ImportError as missing:
    raise MissingDependencyError('Chroma is not installed: type pip install "embedrt[chroma]"') from missing

__all__ = ["EmbedrtEmbeddingFunction"]

_SPACES: dict[str, Space] = {"cosine": "cosine", "dot": "ip", "euclidean": "l2"}
"""Chroma's names of the measures that it has."""
_SHAPING = ("truncate_dim", "normalize_embeddings", "document_prompt")
"""What stored vectors depend on; a model may move to another folder."""


@register_embedding_function
class EmbedrtEmbeddingFunction(EmbeddingFunction[Documents]):
    """Vectors of documents and queries, each with the checkpoint's own prompt for it."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        truncate_dim: int | None = None,
        normalize_embeddings: bool | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        """Load ``model``, unless something in this process has it already.

        Args:
            model: the folder that ``embedrt export`` wrote, a single .onnx file, or a Hub id.
            query_prompt: what is put before each query; None: the checkpoint's prompt for queries, if it has one.
            document_prompt: what is put before each document, likewise.
            truncate_dim: keep the first so many components (Matryoshka).
            normalize_embeddings: True: length 1, after truncation.
            **options: ``variant``, ``device``, ``threads``, ``revision`` of :class:`embedrt.SentenceEncoder`.

        Raises:
            ArtifactError: there is no such model, or it is damaged, foreign, or of another kind.
            UnavailableError: the device is not on this machine.
        """
        how: dict[str, Any] = {
            "query_prompt": query_prompt,
            "document_prompt": document_prompt,
            "truncate_dim": truncate_dim,
            "normalize_embeddings": normalize_embeddings,
        }
        self._config = {"model": os.fspath(model), **how, **options}
        self._embedder = Embedder(encoder=shared(SentenceEncoder, model, **options), **how)

    def __call__(self, input: Documents) -> Embeddings:
        """Vectors of documents, (dim,) each."""
        return list(self._embedder.documents(input))

    def embed_query(self, input: Documents) -> Embeddings:
        """Vectors of queries, (dim,) each."""
        return list(self._embedder.queries(input))

    @staticmethod
    def name() -> str:
        """What Chroma calls it in what it stores."""
        return "embedrt"

    def default_space(self) -> Space:
        """The checkpoint's own measure, where Chroma has it."""
        return _SPACES.get(self._embedder.encoder.similarity_fn_name, "cosine")

    def supported_spaces(self) -> list[Space]:
        """All of Chroma's."""
        return list(_SPACES.values())

    def get_config(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        return dict(self._config)

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "EmbedrtEmbeddingFunction":
        """The function of these settings."""
        return EmbedrtEmbeddingFunction(**config)

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        """Refuse what vectors that are stored already do not have."""
        for name in _SHAPING:
            if old_config.get(name) != new_config.get(name):
                raise InputError(
                    f"{name} is {old_config.get(name)!r} for the vectors that this collection holds, and would be "
                    f"{new_config.get(name)!r}: make another collection"
                )
