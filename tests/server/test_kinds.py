"""Routes of every kind of model answer in full as soon as a model can do it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from embedrt.server import Server

Ask = Callable[..., Any]
DOCUMENTS = ["a cat", "hello world", "the invoice"]


@pytest.fixture(scope="module")
def everything(start: Callable[..., Server]) -> Iterator[Server]:
    """A server whose model ranks by length, labels by first letter, and has sparse vectors."""

    async def rank(_query: str, inputs: Any, *, raw_scores: bool, exchange: Any) -> Sequence[float]:
        return [float(len(text)) * (10 if raw_scores else 1) for text in inputs.items]

    async def predict(
        pairs: Sequence[Sequence[str]], *, truncate: bool, raw_scores: bool, exchange: Any
    ) -> Sequence[dict[str, float]]:
        return [{"low": 0.25, "high": 0.75} if len(pair) == 1 else {"pair": 1.0} for pair in pairs]

    async def embed_sparse(inputs: Any, exchange: Any) -> Sequence[Sequence[tuple[int, float]]]:
        return [[(len(text), 0.5)] for text in inputs.items]

    with start() as server:
        model = server.registry.named(None)
        for function in (rank, predict, embed_sparse):
            setattr(model, function.__name__, function)
        yield server


def test_rerank(everything: Server, ask: Ask) -> None:
    body = {"query": "q", "texts": DOCUMENTS}
    ranks = ask(everything, "POST", "/rerank", body).json
    assert ranks == [{"index": 1, "score": 11.0}, {"index": 2, "score": 11.0}, {"index": 0, "score": 5.0}]
    shown = ask(everything, "POST", "/rerank", body | {"return_text": True, "raw_scores": True}).json
    assert shown[2] == {"index": 0, "text": "a cat", "score": 50.0}


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_cohere_rerank(everything: Server, ask: Ask, path: str) -> None:
    body = {"model": "tiny", "query": "q", "documents": [DOCUMENTS[0], {"text": DOCUMENTS[1]}], "top_n": 1}
    content = ask(everything, "POST", path, body | {"return_documents": True}).json
    assert content["results"] == [{"index": 1, "relevance_score": 11.0, "document": {"text": "hello world"}}]
    assert set(content) == {"id", "results", "meta"}
    assert "document" not in ask(everything, "POST", path, body).json["results"][0]


def test_predict(everything: Server, ask: Ask) -> None:
    best_first = [{"score": 0.75, "label": "high"}, {"score": 0.25, "label": "low"}]
    pair = [{"score": 1.0, "label": "pair"}]
    for inputs, expected in (("a", best_first), (["a", "b"], pair), ([["a"], ["a", "b"]], [best_first, pair])):
        assert ask(everything, "POST", "/predict", {"inputs": inputs}).json == expected


def test_embed_sparse(everything: Server, ask: Ask) -> None:
    found = ask(everything, "POST", "/embed_sparse", {"inputs": ["ab", "c"]}).json
    assert found == [[{"index": 2, "value": 0.5}], [{"index": 1, "value": 0.5}]]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"query": "q", "documents": ["a"]}, 424, "Backend error: model is not a re-ranker model"),
        ({"query": "q", "documents": []}, 400, "`documents` cannot be empty"),
        ({"query": "q", "documents": [1]}, 422, "`documents` must be strings, or objects with a text"),
        ({"query": "q", "documents": [{"title": "a"}]}, 422, "`documents` must be strings, or objects with a text"),
        ({"query": "q", "documents": ["a"], "top_n": 0}, 422, "`top_n` is 0, expected at least 1"),
        ({"documents": ["a"]}, 422, "`query` is missing"),
        ({"model": "gone", "query": "q", "documents": ["a"]}, 404,
         "The model 'gone' does not exist; this server has tiny, plain, text-embedding-3-small"),
    ],
)  # fmt: skip
def test_cohere_bad_input(server: Any, ask: Ask, body: Any, status: int, message: str) -> None:
    answer = ask(server, "POST", "/v1/rerank", body)
    assert (answer.status, answer.json) == (status, {"message": message})
