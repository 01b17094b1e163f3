"""Chroma's own collections over our models."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.errors import InvalidArgumentError

from embedrt import SentenceEncoder
from embedrt.errors import InputError, KindError
from embedrt.integrations.chroma import EmbedrtEmbeddingFunction

Run = Callable[..., subprocess.CompletedProcess[str]]
REOPEN = """
import sys, json, chromadb
import embedrt.integrations.chroma
collection = chromadb.PersistentClient(sys.argv[1]).get_collection("notes")
print(json.dumps(collection.query(query_texts=[sys.argv[2]], n_results=1)["ids"]))
"""


def test_the_vectors_are_the_encoder_s_own(prompted: Path, texts: list[str]) -> None:
    function = EmbedrtEmbeddingFunction(prompted)
    with SentenceEncoder(prompted) as encoder:
        np.testing.assert_array_equal(function(texts), encoder.encode_document(texts))
        np.testing.assert_array_equal(function.embed_query(texts), encoder.encode_query(texts))


def test_a_collection_finds_what_it_was_given(
    prompted: Path, texts: list[str], tmp_path: Path, run_python: Run
) -> None:
    function = EmbedrtEmbeddingFunction(prompted, query_prompt="passage: ", threads=1)
    collection = chromadb.PersistentClient(tmp_path).create_collection("notes", embedding_function=function)  # type: ignore[arg-type]
    collection.add(ids=[str(at) for at in range(len(texts))], documents=texts)
    stored: Any = collection.get(include=["embeddings"])["embeddings"]
    with SentenceEncoder(prompted) as encoder:
        # Chroma divides by the length once more where it measures cosines
        np.testing.assert_allclose(stored, encoder.encode_document(texts), atol=1e-7)
    found = collection.query(query_texts=texts, n_results=1)["ids"]
    assert found == [[str(at)] for at in range(len(texts))]
    ended = run_python(REOPEN, tmp_path, texts[3])  # another process, which is told of no function
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == [["3"]]


@pytest.mark.parametrize(("measure", "space"), [("cosine", "cosine"), ("dot", "ip"), ("euclidean", "l2")])
def test_a_collection_measures_as_the_checkpoint_does(
    tmp_path: Path, write_artifact: Callable[..., Path], measure: str, space: str
) -> None:
    function = EmbedrtEmbeddingFunction(write_artifact(tmp_path / "model", serving={"similarity": measure}))
    assert function.default_space() == space
    client = chromadb.EphemeralClient()
    collection: Any = client.create_collection(f"by-{measure}", embedding_function=function)  # type: ignore[arg-type]
    assert collection.configuration["hnsw"]["space"] == space


def test_its_settings_make_it_again(prompted: Path, texts: list[str]) -> None:
    asked: dict[str, Any] = {
        "query_prompt": "a",
        "document_prompt": "",
        "truncate_dim": 4,
        "normalize_embeddings": True,
    }
    function = EmbedrtEmbeddingFunction(prompted, **asked, threads=1)
    config = json.loads(json.dumps(function.get_config()))
    assert config == {"model": str(prompted), **asked, "threads": 1}
    np.testing.assert_array_equal(EmbedrtEmbeddingFunction.build_from_config(config)(texts), function(texts))


def test_stored_vectors_stay_what_they_are(prompted: Path) -> None:
    function = EmbedrtEmbeddingFunction(prompted)
    config = function.get_config()
    function.validate_config_update(config, {**config, "model": "elsewhere", "threads": 1, "query_prompt": "a"})
    with pytest.raises(
        InputError, match=r"truncate_dim is None for the vectors that this collection holds.*would be 4"
    ):
        function.validate_config_update(config, {**config, "truncate_dim": 4})


def test_what_chroma_checks_of_another_function(prompted: Path, tmp_path: Path) -> None:
    own = EmbedrtEmbeddingFunction(prompted)
    normalized = EmbedrtEmbeddingFunction(prompted, normalize_embeddings=True)
    narrow = EmbedrtEmbeddingFunction(prompted, truncate_dim=4)
    client: Any = chromadb.PersistentClient(str(tmp_path))
    collection = client.create_collection("notes", embedding_function=own)
    collection.add(ids=["a"], documents=["cat"])
    with pytest.raises(InputError, match="normalize_embeddings is"):
        collection.modify(configuration={"embedding_function": normalized})
    client.get_collection("notes", embedding_function=normalized).add(ids=["b"], documents=["cat"])
    with pytest.raises(InvalidArgumentError, match="dimension of 8, got 4"):
        client.get_collection("notes", embedding_function=narrow).add(ids=["c"], documents=["cat"])


def test_a_model_of_another_kind(reranker: Path) -> None:
    with pytest.raises(KindError, match="load it with CrossEncoder"):
        EmbedrtEmbeddingFunction(reranker)
