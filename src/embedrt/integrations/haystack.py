"""Haystack: components that embed queries and documents, densely or sparsely, and one that ranks documents.

    from embedrt.integrations.haystack import EmbedrtTextEmbedder

    pipeline.add_component("embedder", EmbedrtTextEmbedder("minilm", variant="int8"))

A model is loaded when a component is warmed up or first run, and once for all components that name it alike.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, Self, TypeVar, Unpack

from embedrt.cross_encoder import CrossEncoder
from embedrt.encoder import SentenceEncoder
from embedrt.errors import MissingDependencyError
from embedrt.integrations.sharing import ModelOptions, shared
from embedrt.loaded_model import LoadedModel
from embedrt.sparse.vectors import SparseVector
from embedrt.sparse_encoder import SparseEncoder

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.dataclasses import SparseEmbedding
except ImportError as missing:
    raise MissingDependencyError('Haystack is not installed: type pip install "embedrt[haystack]"') from missing

__all__ = [
    "EmbedrtDocumentEmbedder",
    "EmbedrtRanker",
    "EmbedrtSparseDocumentEmbedder",
    "EmbedrtSparseTextEmbedder",
    "EmbedrtTextEmbedder",
]

Model = TypeVar("Model", bound=LoadedModel)
_ENCODE = {
    "prefix": "prompt",
    "progress_bar": "show_progress_bar",
    "truncate_dim": "truncate_dim",
    "normalize_embeddings": "normalize_embeddings",
    "max_active_dims": "max_active_dims",
}
"""What settings that are for the encoder are called there."""


class _Component(Generic[Model]):
    """What all components here are: a model that is loaded late, and arguments that a pipeline's file holds.

    Haystack makes the classes of components anew, in which ``super()`` does not work.
    """

    def __init__(
        self, kind: type[Model], model: str | os.PathLike[str], options: ModelOptions, **settings: Any
    ) -> None:
        self._kind, self._model, self._options, self._settings = kind, os.fspath(model), options, settings
        self._how = {_ENCODE[name]: value for name, value in settings.items() if name in _ENCODE}
        self._loaded: Model | None = None

    def warm_up(self) -> None:
        """Load the model, unless something in this process has it already."""
        self._encoder()

    def to_dict(self) -> dict[str, Any]:
        """The component as a pipeline's file holds it."""
        return default_to_dict(self, model=self._model, **self._settings, **self._options)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The component that :meth:`to_dict` tells of."""
        return default_from_dict(cls, data)

    def _encoder(self) -> Model:
        if self._loaded is None:
            self._loaded = shared(self._kind, self._model, **self._options)
        return self._loaded

    def _texts(self, documents: Sequence[object]) -> list[str]:
        """What is read of each document: the ``meta`` that was asked for, and its content."""
        fields, separator = self._settings["meta_fields_to_embed"] or (), self._settings["embedding_separator"]
        texts = []
        for index, document in enumerate(documents):
            if not isinstance(document, Document):
                came = type(document).__name__
                raise TypeError(f"documents[{index}] is a {came}, expected a Document; a text goes to a text embedder")
            known = [str(document.meta[name]) for name in fields if document.meta.get(name) is not None]
            texts.append(separator.join([*known, document.content or ""]))
        return texts


@component
class EmbedrtTextEmbedder(_Component[SentenceEncoder]):
    """The vector of a query."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        prefix: str | None = None,
        truncate_dim: int | None = None,
        normalize_embeddings: bool | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        """Keep what is asked for.

        Args:
            model: the folder that ``embedrt export`` wrote, a single .onnx file, or a Hub id.
            prefix: what is put before the query; None: the checkpoint's prompt for queries, if it has one.
            truncate_dim: keep the first so many components (Matryoshka).
            normalize_embeddings: True: length 1, after truncation.
            **options: ``variant``, ``device``, ``threads``, ``revision`` of :class:`embedrt.SentenceEncoder`.
        """
        settings = {"prefix": prefix, "truncate_dim": truncate_dim, "normalize_embeddings": normalize_embeddings}
        _Component.__init__(self, SentenceEncoder, model, options, **settings)

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """``embedding``: the vector of ``text``, (dim,)."""
        return {"embedding": self._encoder().encode_query(_one(text), **self._how).tolist()}

    @component.output_types(embedding=list[float])
    async def run_async(self, text: str) -> dict[str, Any]:
        """The same, in a thread."""
        return await asyncio.to_thread(self.run, text)


@component
class EmbedrtDocumentEmbedder(_Component[SentenceEncoder]):
    """Documents with their vectors."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        prefix: str | None = None,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        progress_bar: bool = False,
        truncate_dim: int | None = None,
        normalize_embeddings: bool | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        """Keep what is asked for.

        Args:
            model: the folder that ``embedrt export`` wrote, a single .onnx file, or a Hub id.
            prefix: what is put before each document; None: the checkpoint's prompt for documents, if it has one.
            meta_fields_to_embed: fields of ``meta`` that are read before the content.
            embedding_separator: what stands between all of these.
            progress_bar: a bar on stderr.
            truncate_dim: keep the first so many components (Matryoshka).
            normalize_embeddings: True: length 1, after truncation.
            **options: ``variant``, ``device``, ``threads``, ``revision`` of :class:`embedrt.SentenceEncoder`.
        """
        _Component.__init__(
            self, SentenceEncoder, model, options,
            prefix=prefix, meta_fields_to_embed=meta_fields_to_embed, embedding_separator=embedding_separator,
            progress_bar=progress_bar, truncate_dim=truncate_dim, normalize_embeddings=normalize_embeddings,
        )  # fmt: skip

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """``documents``: copies, with vectors of (dim,)."""
        vectors = self._encoder().encode_document(self._texts(documents), **self._how).tolist()
        return {"documents": [replace(one, embedding=vector) for one, vector in zip(documents, vectors, strict=True)]}

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """The same, in a thread."""
        return await asyncio.to_thread(self.run, documents)


@component
class EmbedrtSparseTextEmbedder(_Component[SparseEncoder]):
    """The terms of a query and their weights."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        prefix: str | None = None,
        max_active_dims: int | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        """Keep what is asked for.

        Args:
            model: as for :class:`EmbedrtTextEmbedder`, of kind sparse.
            prefix: what is put before the query; None: the checkpoint's prompt for queries, if it has one.
            max_active_dims: keep the so many heaviest terms; None: what the checkpoint says, mostly all.
            **options: ``variant``, ``device``, ``threads``, ``revision`` of :class:`embedrt.SparseEncoder`.
        """
        _Component.__init__(self, SparseEncoder, model, options, prefix=prefix, max_active_dims=max_active_dims)

    @component.output_types(sparse_embedding=SparseEmbedding)
    def run(self, text: str) -> dict[str, Any]:
        """``sparse_embedding``: the terms of ``text``."""
        return {"sparse_embedding": _sparse(self._encoder().encode_query(_one(text), **self._how))}

    @component.output_types(sparse_embedding=SparseEmbedding)
    async def run_async(self, text: str) -> dict[str, Any]:
        """The same, in a thread."""
        return await asyncio.to_thread(self.run, text)


@component
class EmbedrtSparseDocumentEmbedder(_Component[SparseEncoder]):
    """Documents with their terms and the weights of these."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        prefix: str | None = None,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        progress_bar: bool = False,
        max_active_dims: int | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        """Keep what is asked for: as :class:`EmbedrtDocumentEmbedder` and :class:`EmbedrtSparseTextEmbedder`."""
        _Component.__init__(
            self, SparseEncoder, model, options,
            prefix=prefix, meta_fields_to_embed=meta_fields_to_embed, embedding_separator=embedding_separator,
            progress_bar=progress_bar, max_active_dims=max_active_dims,
        )  # fmt: skip

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """``documents``: copies, with their terms."""
        vectors = self._encoder().encode_document(self._texts(documents), **self._how)
        found = [replace(one, sparse_embedding=_sparse(terms)) for one, terms in zip(documents, vectors, strict=True)]
        return {"documents": found}

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """The same, in a thread."""
        return await asyncio.to_thread(self.run, documents)


@component
class EmbedrtRanker(_Component[CrossEncoder]):
    """Documents in the order of a cross-encoder's scores."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        top_k: int | None = 10,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        **options: Unpack[ModelOptions],
    ) -> None:
        """Keep what is asked for.

        Args:
            model: as for :class:`EmbedrtTextEmbedder`, of kind cross-encoder.
            top_k: how many documents are given; None: all.
            meta_fields_to_embed: fields of ``meta`` that are read before the content.
            embedding_separator: what stands between all of these.
            **options: ``variant``, ``device``, ``threads``, ``revision`` of :class:`embedrt.CrossEncoder`.
        """
        _Component.__init__(
            self,
            CrossEncoder,
            model,
            options,
            top_k=top_k,
            meta_fields_to_embed=meta_fields_to_embed,
            embedding_separator=embedding_separator,
        )

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """``documents``: copies of the best, with their scores; ``top_k``: in place of the component's own."""
        best = self._settings["top_k"] if top_k is None else top_k
        ranked = self._encoder().rank(query, self._texts(documents), top_k=best)
        return {"documents": [replace(documents[entry["corpus_id"]], score=entry["score"]) for entry in ranked]}

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """The same, in a thread."""
        return await asyncio.to_thread(self.run, query, documents, top_k)


def _one(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text is a {type(text).__name__}, expected a str; documents go to a document embedder")
    return text


def _sparse(vector: SparseVector) -> SparseEmbedding:
    return SparseEmbedding(indices=vector.indices.tolist(), values=vector.values.tolist())
