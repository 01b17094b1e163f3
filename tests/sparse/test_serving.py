"""``/embed_sparse`` of text-embeddings-inference on exported models."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from embedrt import SparseEncoder, SparseVector
from embedrt.server import Limits, ModelSource, Server, ServerSettings

TEXTS = ["how do i reset my password ?", "the cat sleeps on the roof", "rain rain river", " ", "king " * 50]


@pytest.fixture(scope="module")
def server(splade_artifact: Path, inference_free_artifact: Path) -> Iterator[Server]:
    """An inference-free model, which answers by default, and another one."""
    sources = (
        ModelSource(name="free", location=str(inference_free_artifact)),
        ModelSource(name="splade", location=str(splade_artifact), variant="int8"),
    )
    settings = ServerSettings(models=sources, port=0, threads=2, log_level="error", limits=Limits())
    with Server(settings) as running:
        yield running


@pytest.fixture(scope="module")
def embed(server: Server) -> Callable[..., Any]:
    """The content of an answer, or its status where it is no success."""

    def post(body: dict[str, Any], path: str = "/embed_sparse") -> Any:
        request = urllib.request.Request(
            server.address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)["error"]

    return post


def entries(vector: SparseVector) -> list[dict[str, float]]:
    return [{"index": term, "value": weight} for term, weight in vector.to_dict().items()]


def test_documents_and_queries(inference_free_artifact: Path, embed: Callable[..., Any]) -> None:
    with SparseEncoder(inference_free_artifact) as encoder:
        documents, queries = encoder.encode_document(TEXTS), encoder.encode_query(TEXTS)
    found = embed({"inputs": TEXTS})
    assert found == [entries(vector) for vector in documents]
    assert embed({"inputs": TEXTS, "prompt_name": "document"}) == found
    assert embed({"inputs": TEXTS, "prompt_name": "query"}) == [entries(vector) for vector in queries]
    assert embed({"inputs": TEXTS[0]}) == [entries(documents[0])]
    assert [len(row) for row in embed({"inputs": ["rain rain river", " "], "prompt_name": "query"})] == [2, 0]


def test_what_cannot_be_answered(embed: Callable[..., Any]) -> None:
    assert embed({"inputs": "a", "prompt_name": "nothing"})[0] == 422
    assert embed({"inputs": "a"}, "/embed") == (424, "Backend error: Model is not an embedding model")
    for side in ("query", "document"):
        status, message = embed({"inputs": "king " * 50, "prompt_name": side, "truncate": False})
        assert (status, "must have less than" in message) == (422, True)


def test_another_variant(splade_artifact: Path, server: Server, embed: Callable[..., Any]) -> None:
    """Every model of a server runs its own way, and gives what its encoder gives."""
    assert server.registry.named("splade").description.kind == "sparse"
    with SparseEncoder(splade_artifact, variant="int8") as encoder:
        expected = [entries(vector) for vector in encoder.encode(TEXTS)]
    assert embed({"inputs": TEXTS}, "/models/splade/embed_sparse") == expected
