"""Haystack's own pipelines, documents and stores over our models."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

from embedrt import CrossEncoder, SentenceEncoder, SparseEncoder
from embedrt.errors import InputError, KindError
from embedrt.integrations.haystack import (
    EmbedrtDocumentEmbedder,
    EmbedrtRanker,
    EmbedrtSparseDocumentEmbedder,
    EmbedrtSparseTextEmbedder,
    EmbedrtTextEmbedder,
)


@pytest.fixture
def documents(texts: list[str]) -> list[Document]:
    return [Document(content=text, meta={"title": f"cat {at}", "page": at}) for at, text in enumerate(texts)]


def test_the_vectors_are_the_encoder_s_own(prompted: Path, texts: list[str], documents: list[Document]) -> None:
    found = EmbedrtDocumentEmbedder(str(prompted)).run(documents)["documents"]
    with SentenceEncoder(prompted) as encoder:
        np.testing.assert_array_equal([one.embedding for one in found], encoder.encode_document(texts))
        np.testing.assert_array_equal(
            EmbedrtTextEmbedder(str(prompted)).run(texts[0])["embedding"], encoder.encode_query(texts[0])
        )
    assert [(one.content, one.meta, one.id) for one in found] == [(one.content, one.meta, one.id) for one in documents]
    assert all(one.embedding is None for one in documents)
    assert EmbedrtDocumentEmbedder(str(prompted)).run([]) == {"documents": []}


def test_what_is_read_of_a_document(prompted: Path, documents: list[Document]) -> None:
    embedder = EmbedrtDocumentEmbedder(
        str(prompted),
        prefix="hello ",
        meta_fields_to_embed=["title", "author"],
        embedding_separator=" : ",
        truncate_dim=4,
    )
    [found] = embedder.run(documents[:1])["documents"]
    [nothing] = embedder.run([Document(content=None)])["documents"]
    with SentenceEncoder(prompted) as encoder:
        read = f"hello cat 0 : {documents[0].content}"
        np.testing.assert_array_equal(found.embedding, encoder.encode(read, prompt="", truncate_dim=4))
        np.testing.assert_array_equal(nothing.embedding, encoder.encode("hello ", prompt="", truncate_dim=4))


def _pipeline(prompted: Path, store: InMemoryDocumentStore) -> Pipeline:
    pipeline = Pipeline()
    pipeline.add_component("embedder", EmbedrtTextEmbedder(prompted, prefix="passage: ", threads=1))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    return pipeline


def test_a_pipeline_finds_what_was_stored(prompted: Path, texts: list[str], documents: list[Document]) -> None:
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(EmbedrtDocumentEmbedder(str(prompted)).run(documents)["documents"])
    pipeline = _pipeline(prompted, store)
    for text in texts:
        [found] = pipeline.run({"embedder": {"text": text}})["retriever"]["documents"]
        assert found.content == text


def test_a_pipeline_is_stored_and_made_again(prompted: Path, texts: list[str]) -> None:
    stored = _pipeline(prompted, InMemoryDocumentStore()).dumps()
    again = Pipeline.loads(stored, allowed_modules=["embedrt.integrations.haystack"])
    component: Any = again.get_component("embedder")
    assert component.to_dict()["init_parameters"] == {
        "model": str(prompted), "prefix": "passage: ", "truncate_dim": None, "normalize_embeddings": None, "threads": 1,
    }  # fmt: skip
    with SentenceEncoder(prompted) as encoder:
        np.testing.assert_array_equal(component.run(texts[0])["embedding"], encoder.encode_document(texts[0]))


@pytest.mark.parametrize("kind", [EmbedrtDocumentEmbedder, EmbedrtSparseDocumentEmbedder])
def test_every_argument_is_stored(kind: Any) -> None:
    asked = {"prefix": "a", "meta_fields_to_embed": ["title"], "embedding_separator": "-", "progress_bar": True}
    asked |= {"truncate_dim": 4, "normalize_embeddings": True} if kind is EmbedrtDocumentEmbedder else {}
    asked |= {"max_active_dims": 3} if kind is EmbedrtSparseDocumentEmbedder else {}
    asked |= {"variant": "int8", "device": "auto", "threads": 1, "revision": "main"}
    stored = kind("somewhere", **asked).to_dict()
    assert stored["init_parameters"] == {"model": "somewhere", **asked}
    assert kind.from_dict(stored).to_dict() == stored


def test_sparse_vectors(splade: Path, texts: list[str], documents: list[Document]) -> None:
    found = EmbedrtSparseDocumentEmbedder(str(splade)).run(documents)["documents"]
    query = EmbedrtSparseTextEmbedder(str(splade), max_active_dims=3).run(texts[0])["sparse_embedding"]
    with SparseEncoder(splade) as encoder:
        for one, expected in zip(found, encoder.encode_document(texts), strict=True):
            assert one.sparse_embedding.indices == expected.indices.tolist()
            assert one.sparse_embedding.values == expected.values.tolist()
        heaviest = encoder.encode_query(texts[0], max_active_dims=3)
    assert (query.indices, query.values) == (heaviest.indices.tolist(), heaviest.values.tolist())
    assert len(query.indices) == 3


def test_the_ranker(reranker: Path, texts: list[str], documents: list[Document]) -> None:
    with CrossEncoder(reranker) as model:
        expected = [(texts[e["corpus_id"]], e["score"]) for e in model.rank("reset a password", texts)]
        titled = model.rank("cat", [f"{one.meta['title']}\n{one.content}" for one in documents], top_k=1)
    ranker = EmbedrtRanker(str(reranker), top_k=2)
    found = ranker.run("reset a password", documents)["documents"]
    assert [(one.content, one.score) for one in found] == expected[:2]
    found = asyncio.run(ranker.run_async("reset a password", documents, top_k=4))["documents"]
    assert [(one.content, one.score) for one in found] == expected[:4]
    [best] = EmbedrtRanker(str(reranker), top_k=1, meta_fields_to_embed=["title"]).run("cat", documents)["documents"]
    assert (best.meta["page"], best.score) == (titled[0]["corpus_id"], titled[0]["score"])
    assert EmbedrtRanker(str(reranker)).run("cat", []) == {"documents": []}


def test_async_is_the_same(prompted: Path, splade: Path, texts: list[str], documents: list[Document]) -> None:
    for embedder in (EmbedrtTextEmbedder(str(prompted)), EmbedrtSparseTextEmbedder(str(splade))):
        assert asyncio.run(embedder.run_async(texts[0])) == embedder.run(texts[0])
    for writer in (EmbedrtDocumentEmbedder(str(prompted)), EmbedrtSparseDocumentEmbedder(str(splade))):
        assert asyncio.run(writer.run_async(documents)) == writer.run(documents)


def test_wrong_uses(prompted: Path, reranker: Path, documents: list[Document]) -> None:
    wrong: Any = documents
    with pytest.raises(TypeError, match=r"text is a list, expected a str; documents go to a document embedder"):
        EmbedrtTextEmbedder(str(prompted)).run(wrong)
    texts: Any = ["a text"]
    with pytest.raises(
        TypeError, match=r"documents\[0\] is a str, expected a Document; a text goes to a text embedder"
    ):
        EmbedrtDocumentEmbedder(str(prompted)).run(texts)
    with pytest.raises(KindError, match="load it with SentenceEncoder"):
        EmbedrtRanker(str(prompted)).warm_up()
    with pytest.raises(InputError, match="top_k is 0"):
        EmbedrtRanker(str(reranker)).run("cat", documents, top_k=0)
