"""Rerankers and classifiers over HTTP: the routes of text-embeddings-inference and Cohere against CrossEncoder itself."""

import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import CrossEncoder
from embedrt.errors import KindError
from embedrt.server import ModelSource, Server, ServerSettings

QUERY = "where is the cat"
DOCUMENTS = ["hello world", "a cat sat on the mat", "你好世界", "cat"]
LABELS = ("low", "middle", "high")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, write_reranker: Callable[..., Path]) -> Path:
    return write_reranker(tmp_path_factory.mktemp("served") / "classifier", labels=LABELS, activation="identity")


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory, write_reranker: Callable[..., Path]) -> Path:
    """Labels that do not exclude each other, and no token types."""
    folder = tmp_path_factory.mktemp("served") / "topics"
    return write_reranker(folder, labels=("politics", "sport"), activation="sigmoid", types=False)


@pytest.fixture(scope="module")
def server(tiny_reranker: Path, classifier: Path, topics: Path, tiny: Path) -> Iterator[Server]:
    places = {"reranker": tiny_reranker, "classifier": classifier, "topics": topics, "dense": tiny}
    sources = tuple(ModelSource(name=name, location=str(place)) for name, place in places.items())
    with Server(ServerSettings(models=sources, port=0, threads=2, log_level="error")) as running:
        yield running


def ask(server: Server, path: str, body: Any = None, method: str = "POST") -> tuple[int, Any]:
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body).encode())
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None
    finally:
        connection.close()


def test_rerank(server: Server, reranker: CrossEncoder) -> None:
    body = {"query": QUERY, "texts": DOCUMENTS}
    status, ranks = ask(server, "/rerank", body)
    expected = reranker.rank(QUERY, DOCUMENTS, activation_fn="sigmoid")
    assert status == 200
    assert [rank["index"] for rank in ranks] == [entry["corpus_id"] for entry in expected]
    np.testing.assert_allclose([rank["score"] for rank in ranks], [entry["score"] for entry in expected], rtol=1e-6)
    _, shown = ask(server, "/rerank", body | {"raw_scores": True, "return_text": True})
    raw = reranker.rank(QUERY, DOCUMENTS, activation_fn="identity", return_documents=True)
    assert shown == [
        {"index": entry["corpus_id"], "text": entry["text"], "score": pytest.approx(entry["score"], rel=1e-6)}
        for entry in raw
    ]


def test_the_root_does_what_a_model_is_for(server: Server) -> None:
    pairs, texts = {"inputs": [[QUERY, text] for text in DOCUMENTS]}, {"inputs": DOCUMENTS}
    for name, route, body in (
        ("reranker", "rerank", {"query": QUERY, "texts": DOCUMENTS}),
        ("classifier", "predict", pairs),
        ("dense", "embed", texts),
    ):
        status, found = ask(server, f"/models/{name}", body)
        assert (status, found) == ask(server, f"/models/{name}/{route}", body)
        assert status == 200
        if name == "reranker":  # the first of them
            assert ask(server, "/", body) == (status, found)


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_cohere(server: Server, reranker: CrossEncoder, path: str) -> None:
    body = {"model": "reranker", "query": QUERY, "documents": DOCUMENTS, "top_n": 2, "return_documents": True}
    status, content = ask(server, path, body)
    assert status == 200
    assert content["results"] == [
        {
            "index": entry["corpus_id"],
            "relevance_score": pytest.approx(entry["score"], rel=1e-6),
            "document": {"text": entry["text"]},
        }
        for entry in reranker.rank(QUERY, DOCUMENTS, top_k=2, return_documents=True)
    ]


def test_predict_gives_shares_of_one(server: Server, classifier: Path) -> None:
    pairs = [[QUERY, text] for text in DOCUMENTS]
    expected = CrossEncoder(classifier).predict(pairs, activation_fn="softmax")
    status, rows = ask(server, "/models/classifier/predict", {"inputs": pairs})
    assert status == 200
    for row, scores in zip(rows, expected, strict=True):
        assert [entry["score"] for entry in row] == sorted((entry["score"] for entry in row), reverse=True)
        found = {entry["label"]: entry["score"] for entry in row}
        np.testing.assert_allclose([found[label] for label in LABELS], scores, rtol=1e-5)
    _, raw = ask(server, "/models/classifier/predict", {"inputs": pairs[0], "raw_scores": True})
    logits = CrossEncoder(classifier).predict(pairs[0])
    assert {entry["label"]: entry["score"] for entry in raw} == pytest.approx(
        dict(zip(LABELS, logits.tolist(), strict=True))
    )


def test_labels_that_do_not_exclude_each_other(server: Server, topics: Path) -> None:
    _, row = ask(server, "/models/topics/predict", {"inputs": [QUERY, "cat"]})
    expected = CrossEncoder(topics).predict([QUERY, "cat"])
    assert {entry["label"]: entry["score"] for entry in row} == pytest.approx(
        dict(zip(("politics", "sport"), expected.tolist(), strict=True))
    )


def test_texts_alone_and_pairs_together(server: Server, classifier: Path, logits_of: Callable[..., Any]) -> None:
    inputs = [["cat"], ["cat", "hello world"], ["hello"]]
    _, rows = ask(server, "/models/classifier/predict", {"inputs": inputs, "raw_scores": True})
    for row, logits in zip(rows, logits_of(classifier, inputs, labels=3), strict=True):
        assert {entry["label"]: entry["score"] for entry in row} == pytest.approx(
            dict(zip(LABELS, logits.tolist(), strict=True)), rel=1e-5
        )


def test_a_pair_has_the_same_bits_among_others(server: Server) -> None:
    def score(text: str) -> float:
        return float(ask(server, "/rerank", {"query": QUERY, "texts": [text], "raw_scores": True})[1][0]["score"])

    texts = [f"{'cat ' * (number % 6)}hello" for number in range(24)]
    alone = [score(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(score, texts)) == alone
    _, together = ask(server, "/rerank", {"query": QUERY, "texts": texts, "raw_scores": True})
    assert {rank["index"]: rank["score"] for rank in together} == dict(enumerate(alone))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rerank", {"query": QUERY, "texts": ["cat " * 50]}),
        ("/v1/rerank", {"query": QUERY, "documents": ["cat " * 50]}),
        ("/v2/rerank", {"query": QUERY, "documents": ["cat " * 50]}),
        ("/models/classifier/predict", {"inputs": [QUERY, "cat " * 50]}),
    ],
)
def test_pairs_that_are_too_long_can_be_refused(server: Server, path: str, body: dict[str, Any]) -> None:
    assert ask(server, path, body)[0] == 200
    status, content = ask(server, path, body | {"truncate": False})
    assert status == 422
    assert "Input validation error: a pair has more than 16 tokens" in content.values()


def test_what_it_says_of_itself(server: Server) -> None:
    _, info = ask(server, "/info", method="GET")
    assert info["model_type"] == {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}
    _, info = ask(server, "/models/classifier/info", method="GET")
    assert info["model_type"]["classifier"]["label2id"] == {"low": 0, "middle": 1, "high": 2}


def test_health_is_proved_by_a_pair(tiny_reranker: Path) -> None:
    source = ModelSource(name="reranker", location=str(tiny_reranker))
    with Server(ServerSettings(models=(source,), port=0, threads=1, log_level="error")) as fresh:
        fresh.engine.crew.last_success = 0.0
        assert ask(fresh, "/health", method="GET")[0] == 200
        assert fresh.engine.crew.last_success > 0


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/embed", {"inputs": "cat"}, 424, "Model is not an embedding model"),
        ("/models/classifier/rerank", {"query": "a", "texts": ["b"]}, 424, "model is not a re-ranker model"),
        ("/models/dense/rerank", {"query": "a", "texts": ["b"]}, 424, "model is not a re-ranker model"),
        ("/models/dense/predict", {"inputs": "a"}, 424, "Model is not a classifier model"),
        ("/rerank", {"query": "a", "texts": []}, 400, "`texts` cannot be empty"),
        ("/rerank", {"query": 1, "texts": ["b"]}, 422, "`query` holds a number where a string is expected"),
        ("/rerank", {"query": "a", "texts": ["b", 1]}, 422, "`texts` must be an array of strings"),
        ("/rerank", {"query": "a", "texts": ["cat " * 30], "truncate": False}, 422, "a pair has more than 16 tokens"),
        ("/rerank", {"query": "a", "texts": ["b"], "truncation_direction": "left"}, 422, "pairs are cut on the right"),
        ("/rerank", {"query": "a", "texts": ["b"], "prompt_name": "gone"}, 422, "`prompt_name` is 'gone'"),
        ("/predict", {"inputs": [["a", "b", "c"]]}, 422, "a sequence is one string or a pair of strings"),
    ],
)  # fmt: skip
def test_refusals(server: Server, path: str, body: Any, status: int, message: str) -> None:
    found, content = ask(server, path, body)
    assert (found, message in content["error"]) == (status, True), content


def test_what_fits_exactly_is_not_too_long(server: Server) -> None:
    body = {"query": "a", "texts": ["cat " * 12], "truncate": False}
    assert ask(server, "/rerank", body)[0] == 200


def test_kinds_without_routes_are_refused(
    tmp_path: Path, write_reranker: Callable[..., Path], edit_manifest: Callable[..., None]
) -> None:
    folder = write_reranker(tmp_path / "other")
    edit_manifest(
        folder,
        lambda content: content["serving"].update(kind="multi-vector", multi_vector={"dimension": 1}, reranking=None),
    )
    settings = ServerSettings(models=(ModelSource(name="other", location=str(folder)),), port=0)
    with pytest.raises(KindError, match="is a multi-vector model, the server takes dense and cross-encoder") as refused:
        Server(settings)
    assert str(refused.value).endswith(" ones: load it with MultiVectorEncoder")
    assert refused.value.kinds == ("multi-vector",)  # by which the command line names the command
