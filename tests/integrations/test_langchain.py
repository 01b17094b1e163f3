"""LangChain's own vector store and documents over our models."""

import asyncio
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from embedrt import CrossEncoder, SentenceEncoder
from embedrt.errors import ArtifactNotFoundError, KindError
from embedrt.integrations.langchain import EmbedrtEmbeddings, EmbedrtReranker


def test_the_vectors_are_the_encoder_s_own(prompted: Path, texts: list[str]) -> None:
    embeddings = EmbedrtEmbeddings(prompted)
    with SentenceEncoder(prompted) as encoder:
        np.testing.assert_array_equal(embeddings.embed_documents(texts), encoder.encode_document(texts))
        np.testing.assert_array_equal(embeddings.embed_query(texts[0]), encoder.encode_query(texts[0]))
        assert embeddings.embed_query(texts[0]) != embeddings.embed_documents(texts[:1])[0]  # each has its prompt
    assert embeddings.embed_documents([]) == []
    assert type(embeddings.embed_query(texts[0])[0]) is float


def test_prompts_and_widths_of_the_caller(prompted: Path, texts: list[str]) -> None:
    embeddings = EmbedrtEmbeddings(
        prompted, query_prompt="hello ", document_prompt="", truncate_dim=4, normalize_embeddings=True
    )
    with SentenceEncoder(prompted) as encoder:
        how: Any = {"truncate_dim": 4, "normalize_embeddings": True}
        np.testing.assert_array_equal(
            embeddings.embed_query(texts[0]), encoder.encode(f"hello {texts[0]}", prompt="", **how)
        )
        np.testing.assert_array_equal(embeddings.embed_documents(texts), encoder.encode(texts, prompt="", **how))


def test_a_vector_store_finds_what_it_was_given(prompted: Path, texts: list[str]) -> None:
    store = InMemoryVectorStore.from_texts(texts, EmbedrtEmbeddings(prompted, query_prompt="passage: "))
    for text in texts:
        [(found, score)] = store.similarity_search_with_score(text, k=1)
        assert found.page_content == text
        assert score == pytest.approx(1, abs=1e-6)
    [found] = asyncio.run(store.asimilarity_search(texts[2], k=1))
    assert found.page_content == texts[2]


def test_a_chain_may_be_pickled(prompted: Path, texts: list[str]) -> None:
    embeddings = EmbedrtEmbeddings(prompted, truncate_dim=4, threads=1)
    again = pickle.loads(pickle.dumps(embeddings))
    assert again.embed_documents(texts) == embeddings.embed_documents(texts)


def test_the_reranker_ranks_and_keeps_metadata(reranker: Path, texts: list[str]) -> None:
    documents = [Document(page_content=text, metadata={"page": page}) for page, text in enumerate(texts)]
    found = EmbedrtReranker(model=reranker).compress_documents(documents, "reset a password")
    with CrossEncoder(reranker) as model:
        expected = model.rank("reset a password", texts, top_k=3)
    assert [one.metadata["page"] for one in found] == [entry["corpus_id"] for entry in expected]
    assert [one.metadata["relevance_score"] for one in found] == [entry["score"] for entry in expected]
    assert [one.page_content for one in found] == [texts[entry["corpus_id"]] for entry in expected]
    assert all("relevance_score" not in one.metadata for one in documents)
    assert len(EmbedrtReranker(model=str(reranker), top_n=None).compress_documents(documents, "cat")) == len(texts)
    assert EmbedrtReranker(model=str(reranker)).compress_documents([], "cat") == []


def test_a_model_of_another_kind_or_none(prompted: Path, tmp_path: Path) -> None:
    with pytest.raises(KindError, match="load it with SentenceEncoder"):
        EmbedrtReranker(model=str(prompted))
    with pytest.raises(ArtifactNotFoundError, match="there is no folder"):
        EmbedrtEmbeddings(tmp_path / "none")
