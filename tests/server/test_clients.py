"""Clients that people use already, unchanged, against a real server: only their base URL is told to them."""

import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from embedrt import SentenceEncoder
from embedrt.server import Server

TEXTS = ["How do I reset my password?", "忘记密码怎么办？", "a cat sat on the mat", "hello " * 40]

pytestmark = [
    # what the clients themselves warn of is theirs
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def keyed(start: Callable[..., Server]) -> Any:
    """A server that asks for the key ``secret``."""
    with start(api_keys=("secret",), aliases={"text-embedding-3-small": "tiny"}) as server:
        yield server


def test_openai(keyed: Server, original: SentenceEncoder) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{keyed.address}/v1", api_key="secret", max_retries=0) as client:
        answer = client.embeddings.create(model="tiny", input=TEXTS)  # base64, as this client asks for by itself
        found = np.array([entry.embedding for entry in answer.data], dtype=np.float32)
        np.testing.assert_array_equal(found, original.encode(TEXTS))
        tokens = sum(len(row) for row in original.tokenize(TEXTS))
        assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == ("tiny", tokens, tokens)
        one = client.embeddings.create(model="tiny", input=TEXTS[0], encoding_format="float", dimensions=4)
        np.testing.assert_array_equal(
            np.array(one.data[0].embedding, dtype=np.float32),
            original.encode(TEXTS[0], truncate_dim=4, normalize_embeddings=True),
        )
        ids = client.embeddings.create(model="tiny", input=[original.tokenize(TEXTS[:1])[0].tolist()])
        np.testing.assert_array_equal(np.array(ids.data[0].embedding, dtype=np.float32), original.encode(TEXTS[0]))
        assert [model.id for model in client.models.list()] == ["tiny"]
        assert client.models.retrieve("tiny").owned_by == "embedrt"


def test_openai_s_errors(keyed: Server) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{keyed.address}/v1", api_key="secret", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            client.embeddings.create(model="gone", input="a")
        assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
        with pytest.raises(openai.BadRequestError, match="cannot be empty"):
            client.embeddings.create(model="tiny", input="")
        assert unknown.value.request_id
    with (
        openai.OpenAI(base_url=f"{keyed.address}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError, match="Incorrect or missing API key"),
    ):
        client.embeddings.create(model="tiny", input="a")


async def _asynchronously(address: str) -> Any:
    openai = pytest.importorskip("openai")
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="secret") as client:
        return (await client.embeddings.create(model="tiny", input=TEXTS)).data


def test_openai_asynchronously(keyed: Server, original: SentenceEncoder) -> None:
    import asyncio

    found = asyncio.run(_asynchronously(keyed.address))
    vectors = np.array([entry.embedding for entry in found], dtype=np.float32)
    np.testing.assert_array_equal(vectors, original.encode(TEXTS))


def test_langchain(keyed: Server, original: SentenceEncoder) -> None:
    langchain_openai = pytest.importorskip("langchain_openai")
    embeddings = langchain_openai.OpenAIEmbeddings(
        model="tiny",
        base_url=f"{keyed.address}/v1",
        api_key="secret",
        check_embedding_ctx_length=False,  # else it cuts texts with OpenAI's own tokenizer, which it downloads
    )
    documents = np.array(embeddings.embed_documents(TEXTS), dtype=np.float32)
    np.testing.assert_array_equal(documents, original.encode(TEXTS))
    query = np.array(embeddings.embed_query(TEXTS[1]), dtype=np.float32)
    np.testing.assert_array_equal(query, original.encode(TEXTS[1]))


def test_llama_index(keyed: Server, original: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "NLTK_DATA", "/nonexistent")  # nothing is to be downloaded
    module = pytest.importorskip("llama_index.embeddings.openai")
    embedding = module.OpenAIEmbedding(
        model_name="tiny", api_base=f"{keyed.address}/v1", api_key="secret", embed_batch_size=3
    )
    found = np.array(embedding.get_text_embedding_batch(TEXTS), dtype=np.float32)
    np.testing.assert_array_equal(found, original.encode([text.replace("\n", " ") for text in TEXTS]))
    query = np.array(embedding.get_query_embedding(TEXTS[0]), dtype=np.float32)
    np.testing.assert_array_equal(query, original.encode(TEXTS[0]))


_HUGGINGFACE = """
import json, sys
from huggingface_hub import InferenceClient

address, texts = sys.argv[1], json.loads(sys.argv[2])
found = {}
for path in ("", "/models/tiny", "/embed"):
    client = InferenceClient(model=address + path, token="secret")
    found[path] = [
        client.feature_extraction(texts[0]).tolist(),
        client.feature_extraction(texts, normalize=True, truncate=True, prompt_name="query").tolist(),
    ]
client = InferenceClient(model=address + "/similarity", token="secret")
found["scores"] = client.sentence_similarity(texts[0], other_sentences=texts[1:])
print(json.dumps(found))
"""


def test_huggingface_hub(keyed: Server, original: SentenceEncoder, run_python: Callable[..., Any]) -> None:
    """In a process of its own, since in offline mode, as tests are in, it asks nobody; there it asks only this server."""
    result = run_python(_HUGGINGFACE, keyed.address, json.dumps(TEXTS), HF_HUB_OFFLINE="0", HF_ENDPOINT=keyed.address)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    scores = found.pop("scores")
    for one, several in found.values():
        np.testing.assert_array_equal(np.array(one, dtype=np.float32), original.encode(TEXTS[:1]))
        np.testing.assert_array_equal(np.array(several, dtype=np.float32), original.encode(TEXTS, prompt_name="query"))
    vectors = original.encode(TEXTS).astype(np.float64)
    np.testing.assert_allclose(scores, vectors[1:] @ vectors[0], atol=1e-6)
