"""``/embed_sparse`` of text-embeddings-inference on exported models."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
from embedrt_bench.compatibility.multi_vector import save_bge_m3

from embedrt import SentenceEncoder, SparseEncoder, SparseVector
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


def post(server: Server, body: dict[str, Any], path: str = "/embed_sparse") -> Any:
    """The content of an answer, or its status and message where it is no success."""
    content = json.dumps(body).encode()
    request = urllib.request.Request(server.address + path, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)["error"]


@pytest.fixture(scope="module")
def embed(server: Server) -> Callable[..., Any]:
    return partial(post, server)


def entries(vector: SparseVector) -> list[dict[str, float]]:
    return [{"index": term, "value": weight} for term, weight in vector.to_dict().items()]


def test_documents_and_queries(inference_free_artifact: Path, embed: Callable[..., Any]) -> None:
    with SparseEncoder(inference_free_artifact) as encoder:
        documents, queries = encoder.encode_document(TEXTS), encoder.encode_query(TEXTS)
    found = embed({"inputs": TEXTS})
    assert found == [entries(vector) for vector in documents]
    assert embed({"inputs": TEXTS, "prompt_name": "document"}) == found
    assert embed({"inputs": TEXTS}, path="/") == found
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


def test_a_model_of_several_kinds(tmp_path: Path) -> None:
    """BGE-M3's weights of tokens, the heaviest of equal ones, beside its dense vectors."""
    save_bge_m3(tmp_path / "checkpoint")
    embedrt_export.export(str(tmp_path / "checkpoint"), tmp_path / "m3", quiet=True)
    settings = ServerSettings(
        models=(ModelSource(name="m3", location=str(tmp_path / "m3")),),
        port=0,
        threads=2,
        log_level="error",
        limits=Limits(),
    )
    with SparseEncoder(tmp_path / "m3") as sparse, SentenceEncoder(tmp_path / "m3") as dense:
        terms, vectors = [entries(vector) for vector in sparse.encode(TEXTS)], dense.encode(TEXTS)
    with Server(settings) as running:
        assert post(running, {"inputs": TEXTS}) == terms
        found = post(running, {"inputs": TEXTS, "normalize": False}, "/embed")
    np.testing.assert_array_equal(np.array(found, np.float32), vectors)
    assert max(map(len, terms)) > 3
