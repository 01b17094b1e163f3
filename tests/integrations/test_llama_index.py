"""LlamaIndex's own index, retriever and nodes over our models."""

import asyncio
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.schema import NodeWithScore, TextNode

from embedrt import CrossEncoder, SentenceEncoder
from embedrt.errors import ArtifactNotFoundError, InputError, KindError
from embedrt.integrations.llama_index import EmbedrtEmbedding, EmbedrtReranker


def test_the_vectors_are_the_encoder_s_own(prompted: Path, texts: list[str]) -> None:
    model = EmbedrtEmbedding(model_name=str(prompted))
    with SentenceEncoder(prompted) as encoder:
        documents, query = encoder.encode_document(texts), encoder.encode_query(texts[0])
    np.testing.assert_array_equal(model.get_text_embedding_batch(texts), documents)
    np.testing.assert_array_equal(model.get_text_embedding(texts[0]), documents[0])
    np.testing.assert_array_equal(model.get_query_embedding(texts[0]), query)
    np.testing.assert_array_equal(asyncio.run(model.aget_text_embedding_batch(texts)), documents)
    np.testing.assert_array_equal(asyncio.run(model.aget_query_embedding(texts[0])), query)


def test_prompts_and_widths_of_the_caller(prompted: Path, texts: list[str]) -> None:
    model = EmbedrtEmbedding(model_name=str(prompted), query_prompt="hello ", text_prompt="", truncate_dim=4)
    with SentenceEncoder(prompted) as encoder:
        np.testing.assert_array_equal(
            model.get_query_embedding(texts[0]), encoder.encode(f"hello {texts[0]}", prompt="", truncate_dim=4)
        )
        np.testing.assert_array_equal(
            model.get_text_embedding(texts[0]), encoder.encode(texts[0], prompt="", truncate_dim=4)
        )


def test_many_texts_go_to_the_encoder_at_once(prompted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    encode = SentenceEncoder.encode_document

    def counted(encoder: SentenceEncoder, sentences: Sequence[str], **how: Any) -> Any:
        calls.append(len(sentences))
        return encode(encoder, sentences, **how)

    monkeypatch.setattr(SentenceEncoder, "encode_document", counted)
    EmbedrtEmbedding(model_name=str(prompted)).get_text_embedding_batch(["hello"] * 1500)
    assert calls == [1024, 476]


def test_an_index_finds_what_it_was_given(prompted: Path, texts: list[str]) -> None:
    model = EmbedrtEmbedding(model_name=str(prompted), query_prompt="passage: ")
    index = VectorStoreIndex.from_documents([Document(text=text) for text in texts], embed_model=model)
    for text in texts:
        [found] = index.as_retriever(similarity_top_k=1).retrieve(text)
        assert found.text == text
        assert found.score == pytest.approx(1, abs=1e-6)


def test_it_is_stored_and_made_again(prompted: Path, texts: list[str]) -> None:
    model = EmbedrtEmbedding(model_name=str(prompted), truncate_dim=4, threads=1)
    expected = model.get_text_embedding(texts[0])
    assert EmbedrtEmbedding.from_dict(model.to_dict()).get_text_embedding(texts[0]) == expected
    assert pickle.loads(pickle.dumps(model)).get_text_embedding(texts[0]) == expected


def test_the_reranker_ranks(reranker: Path, texts: list[str]) -> None:
    def nodes() -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text=text), score=0.5 - at / 10) for at, text in enumerate(texts)]

    with CrossEncoder(reranker) as model:
        expected = model.rank("reset a password", texts)
    found = EmbedrtReranker(model=str(reranker)).postprocess_nodes(nodes(), query_str="reset a password")
    assert [(one.text, one.score) for one in found] == [(texts[e["corpus_id"]], e["score"]) for e in expected[:2]]
    kept = EmbedrtReranker(model=str(reranker), top_n=None, keep_retrieval_score=True)
    found = asyncio.run(kept.apostprocess_nodes(nodes(), query_str="reset a password"))
    assert [one.metadata["retrieval_score"] for one in found] == [0.5 - e["corpus_id"] / 10 for e in expected]
    assert pickle.loads(pickle.dumps(kept)).postprocess_nodes(nodes(), query_str="cat")


def test_wrong_uses(reranker: Path, prompted: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass query_str or query_bundle"):
        EmbedrtReranker(model=str(reranker)).postprocess_nodes([NodeWithScore(node=TextNode(text="a"))])
    with pytest.raises(KindError, match="load it with SentenceEncoder"):
        EmbedrtReranker(model=str(prompted))
    with pytest.raises(ArtifactNotFoundError, match="there is no folder"):
        EmbedrtEmbedding(model_name=str(tmp_path / "none"))
