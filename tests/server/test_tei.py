"""The routes of text-embeddings-inference: bodies, headers, and the exact answer to everything that is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import SentenceEncoder
from embedrt.text.tokenizer import TextTokenizer

Ask = Callable[..., Any]
TEXTS = ["How do I reset my password?", "忘记密码怎么办？", "a cat sat on the mat", "hello " * 40, "!"]


def test_embed(server: Any, ask: Ask, original: SentenceEncoder) -> None:
    for path in ("/embed", "/", "/models/tiny/embed", "/models/tiny", "/models/tiny/"):
        answer = ask(server, "POST", path, {"inputs": TEXTS})
        assert answer.status == 200, answer.body
        np.testing.assert_array_equal(np.array(answer.json, dtype=np.float32), original.encode(TEXTS))
    one = ask(server, "POST", "/embed", {"inputs": TEXTS[0]}).json
    np.testing.assert_array_equal(np.array(one, dtype=np.float32), original.encode(TEXTS[:1]))


def test_embed_many(server: Any, ask: Ask, original: SentenceEncoder) -> None:
    texts = [f"{'a cat ' * (index % 5)}!" for index in range(200)]
    found = np.array(ask(server, "POST", "/embed", {"inputs": texts}).json, dtype=np.float32)
    np.testing.assert_array_equal(found, original.encode(texts))


def test_embed_says_what_it_took(server: Any, ask: Ask) -> None:
    headers = ask(server, "POST", "/embed", {"inputs": ["hello world", "cat"]}).headers
    assert (headers["x-compute-type"], headers["x-compute-characters"], headers["x-compute-tokens"]) == (
        "cpu",
        "14",
        "7",
    )
    stages = [int(headers[f"x-{name}-time"]) for name in ("tokenization", "queue", "inference")]
    assert 0 <= sum(stages) <= int(headers["x-total-time"]) + 3
    assert headers["x-compute-time"] == headers["x-total-time"]


@pytest.mark.parametrize(("model", "seed"), [("tiny", 0), ("plain", 1)])
def test_the_path_names_a_model(server: Any, ask: Ask, request: pytest.FixtureRequest, model: str, seed: int) -> None:
    folder = request.getfixturevalue({"tiny": "served", "plain": "plain"}[model])
    with SentenceEncoder(folder) as encoder:
        expected = encoder.encode(TEXTS, prompt_name="query")
    found = ask(server, "POST", f"/models/{model}/embed", {"inputs": TEXTS, "prompt_name": "query"}).json
    np.testing.assert_array_equal(np.array(found, dtype=np.float32), expected)
    assert ask(server, "GET", f"/models/{model}/info").json["served_model_name"] == model


def test_token_ids_and_dimensions(server: Any, ask: Ask, original: SentenceEncoder) -> None:
    rows = [ids.tolist() for ids in original.tokenize(TEXTS)]
    found = ask(server, "POST", "/embed", {"inputs": [rows[0], TEXTS[1]], "dimensions": 3}).json
    cut = original.encode(TEXTS[:2], truncate_dim=3, normalize_embeddings=True)
    np.testing.assert_array_equal(np.array(found, dtype=np.float32), cut)


def test_a_prompt_is_left_out_only_where_a_text_begins_with_it(server: Any, ask: Ask, plain: Path) -> None:
    with SentenceEncoder(plain) as encoder:
        prompted, long = encoder.encode(["a cat"], prompt_name="query"), " ".join(["hello"] * 13 + ["cat"] * 7)
        whole, end = [encoder.tokenize([text])[0].tolist() for text in ("query: a cat", "a cat sat on the mat")]
        without, cut = encoder.encode(["a cat sat on the mat"]), encoder.encode([" ".join(long.split()[-14:])])
    body: dict[str, Any]
    for body, expected in (
        ({"inputs": [whole]}, prompted),  # as ids they begin with the prompt
        ({"inputs": [end]}, without),
        ({"inputs": ["a cat"], "truncation_direction": "left"}, prompted),
        ({"inputs": [long], "truncation_direction": "left"}, cut),
        ({"inputs": [end, "a cat", end]}, np.concatenate([without, prompted, without])),
    ):
        found = ask(server, "POST", "/models/plain/embed", body | {"prompt_name": "query"}).json
        np.testing.assert_array_equal(np.array(found, dtype=np.float32), expected)


def test_texts_are_cut_where_it_is_asked_for(server: Any, ask: Ask, original: SentenceEncoder) -> None:
    text = " ".join(["hello"] * 13 + ["cat"] * 7)  # 20 words; 14 of them are kept
    right, left = " ".join(text.split()[:14]), " ".join(text.split()[-14:])
    for side, kept in (("right", right), (None, right), ("left", left), ("Left", left)):
        found = ask(server, "POST", "/embed", {"inputs": text, "truncate": True, "truncation_direction": side}).json
        np.testing.assert_array_equal(np.array(found, dtype=np.float32), original.encode([kept]))
    assert ask(server, "POST", "/embed", {"inputs": right, "truncate": False}).status == 200


def test_texts_that_are_too_long_can_be_refused(start: Callable[..., Any], ask: Ask) -> None:
    with start(truncate=False) as strict:
        assert ask(strict, "POST", "/embed", {"inputs": "a " * 20, "truncate": True}).status == 200
        answer = ask(strict, "POST", "/embed", {"inputs": "a " * 20})
        openai = ask(strict, "POST", "/v1/embeddings", {"model": "tiny", "input": "a " * 20})
        assert ask(strict, "GET", "/info").json["auto_truncate"] is False
    message = "Input validation error: `inputs` must have less than 16 tokens. Given: 22"
    assert (answer.status, answer.json) == (422, {"error": message, "error_type": "Validation"})
    assert (openai.status, openai.json["error"]["message"]) == (400, message)


def test_embed_all(server: Any, ask: Ask, original: SentenceEncoder) -> None:
    found = ask(server, "POST", "/embed_all", {"inputs": TEXTS[:3]}).json
    expected = original.encode(TEXTS[:3], output_value="token_embeddings")
    assert len(found) == 3
    for rows, tokens in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.array(rows, dtype=np.float32), tokens)


def test_similarity(server: Any, ask: Ask, original: SentenceEncoder) -> None:
    body = {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}}
    vectors = original.encode(TEXTS).astype(np.float64)
    found = ask(server, "POST", "/similarity", body).json
    np.testing.assert_allclose(found, vectors[1:] @ vectors[0], atol=1e-6)
    prompted = ask(server, "POST", "/similarity", body | {"parameters": {"prompt_name": "query"}}).json
    vectors = original.encode(TEXTS, prompt_name="query").astype(np.float64)
    np.testing.assert_allclose(prompted, vectors[1:] @ vectors[0], atol=1e-6)


def test_tokenize_and_decode(server: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(server, "POST", "/tokenize", {"inputs": ["cats 猫!", "猫" * 20]}).json
    keys = ("id", "text", "special", "start", "stop")
    assert [tuple(token[key] for key in keys) for token in found[0]] == [
        (2, "[CLS]", True, None, None),
        (17, "cat", False, 0, 3),
        (40, "s", False, 3, 4),
        (39, "猫", False, 5, 8),  # in bytes
        (23, "!", False, 8, 9),
        (3, "[SEP]", True, None, None),
    ]
    assert [token["id"] for token in found[1]] == [2, *[39] * 20, 3]  # nothing is cut
    bare = ask(server, "POST", "/tokenize", {"inputs": "cat", "add_special_tokens": False, "prompt_name": "query"}).json
    assert [token["text"] for token in bare[0]] == ["query", ":", "cat"]
    ids = [token["id"] for token in found[0]]
    whole = "[CLS] cat ##s 猫 ! [SEP]"  # this tokenizer calls no token special
    assert ask(server, "POST", "/decode", {"ids": ids}).json == [whole]
    assert ask(server, "POST", "/decode", {"ids": [ids, [16]]}).json == [whole, "a"]
    asked: list[bool] = []

    def decode(_self: TextTokenizer, _ids: list[int], *, skip_special_tokens: bool) -> str:
        asked.append(skip_special_tokens)
        return "text"

    monkeypatch.setattr(TextTokenizer, "decode", decode)
    more: dict[str, bool]
    for more in ({}, {"skip_special_tokens": False}, {"skip_special_tokens": True}):
        assert ask(server, "POST", "/decode", {"ids": [16], **more}).json == ["text"]
    assert asked == [True, False, True]


def test_info(server: Any, ask: Ask, original: SentenceEncoder) -> None:
    content = ask(server, "GET", "/info").json
    assert content.pop("model_id").endswith("tiny")
    assert len(content.pop("model_sha")) == 64
    assert content.pop("version").count(".") == 2
    assert content == {
        "model_dtype": "fp32",
        "served_model_name": "tiny",
        "model_type": {"embedding": {"pooling": "mean"}},
        "max_concurrent_requests": 512,
        "max_input_length": 16,
        "max_batch_tokens": 512,
        "max_batch_requests": None,
        "max_client_batch_size": 2048,
        "auto_truncate": True,
        "tokenization_workers": 1,
        "sha": None,
        "docker_label": None,
    }


def test_info_names_no_pooling_that_nobody_named(server: Any, ask: Ask) -> None:
    assert ask(server, "GET", "/models/plain/info").json["model_type"] == {"embedding": {"pooling": "unknown"}}


def _error(message: str, kind: str = "Validation") -> dict[str, str]:
    return {"error": message, "error_type": kind}


_EMPTY = "`inputs` cannot be empty"
_MANY = "batch size 2049 > maximum allowed batch size 2048"
_SIDE = "`truncation_direction` must be left or right"
_PAIRS = "`inputs`: a sequence is one string or a pair of strings"
_WRONG = {
    "rerank": "Backend error: model is not a re-ranker model",
    "predict": "Backend error: Model is not a classifier model",
    "embed_sparse": "Backend error: Model is not an embedding model with SPLADE pooling",
}
BAD: list[tuple[str, Any, int, dict[str, str]]] = [
    ("/embed", [], 400, _error("The JSON body is an array, expected an object")),
    ("/embed", {}, 422, _error("`inputs` is missing")),
    ("/embed", {"inputs": []}, 400, _error(_EMPTY, "Empty")),
    ("/embed", {"inputs": ""}, 400, _error(_EMPTY, "Empty")),
    ("/embed", {"inputs": ["a", ""]}, 400, _error(_EMPTY, "Empty")),
    ("/embed", {"inputs": ["a"] * 2049}, 422, _error(_MANY)),
    ("/embed", {"inputs": "a", "normalize": 1}, 422, _error("`normalize` holds a number where true or false is expected")),
    ("/embed", {"inputs": "a", "truncate": "yes"}, 422, _error("`truncate` holds a string where true or false is expected")),
    ("/embed", {"inputs": "a", "truncation_direction": "up"}, 422, _error(_SIDE)),
    ("/embed", {"inputs": "a", "truncation_direction": []}, 422, _error(_SIDE)),
    ("/embed", {"inputs": "a", "dimensions": 9}, 422, _error("`dimensions` is 9, expected 1 to 8")),
    ("/embed", {"inputs": [43]}, 422, _error("`inputs`: token ids are whole numbers from 0 to 42")),
    (
        "/embed",
        {"inputs": "a", "prompt_name": "gone"},
        422,
        _error("`prompt_name` is 'gone', expected one of the model's prompts: passage, query"),
    ),
    ("/models/gone/embed", {"inputs": "a"}, 404, _error(
        "The model 'gone' does not exist; this server has tiny, plain, text-embedding-3-small")),
    ("/models/plain/embed_all", {"inputs": "a"}, 424, _error(
        "Backend error: the graph gives no token embeddings: export the checkpoint with --token-embeddings", "Backend")),
    ("/embed_all", {"inputs": []}, 400, _error(_EMPTY, "Empty")),
    ("/similarity", {"inputs": "a"}, 422, _error("`inputs` holds a string where an object is expected")),
    ("/similarity", {"inputs": {"source_sentence": "a"}}, 422, _error("`sentences` is missing")),
    ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 400, _error(
        "`inputs.sentences` cannot be empty", "Empty")),
    ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["a"] * 2048}}, 422, _error(_MANY)),
    ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["a"]}, "parameters": 1}, 422, _error(
        "`parameters` holds a number where an object is expected")),
    ("/tokenize", {"inputs": 1}, 422, _error("`inputs` holds a number where an array is expected")),
    ("/tokenize", {"inputs": ["a", 1]}, 422, _error("`inputs` must be an array of strings")),
    ("/tokenize", {"inputs": []}, 400, _error(_EMPTY, "Empty")),
    ("/tokenize", {"inputs": ["a"] * 2049}, 422, _error(_MANY)),
    ("/decode", {"ids": []}, 400, _error("`ids` cannot be empty", "Empty")),
    ("/decode", {"ids": [[]]}, 400, _error("`ids` cannot be empty", "Empty")),
    ("/decode", {"ids": ["a"]}, 422, _error("`ids` holds a string where a token id, or an array of them, is expected")),
    ("/decode", {"ids": [99]}, 422, _error("`ids`: token ids are whole numbers from 0 to 42")),
    ("/rerank", {"query": "a", "texts": []}, 400, _error("`texts` cannot be empty", "Empty")),
    ("/rerank", {"query": "a", "texts": "b"}, 422, _error("`texts` holds a string where an array is expected")),
    ("/rerank", {"texts": ["b"]}, 422, _error("`query` is missing")),
    ("/rerank", {"query": "a", "texts": ["b"]}, 424, _error(_WRONG["rerank"], "Backend")),
    ("/predict", {"inputs": ["a", "b", "c"]}, 422, _error(_PAIRS)),
    ("/predict", {"inputs": [["a"], "b"]}, 422, _error("`inputs` must be a string, a pair of strings, or an array of them")),
    ("/predict", {"inputs": []}, 400, _error(_EMPTY, "Empty")),
    ("/predict", {"inputs": [["a", "b"], ["c"]]}, 424, _error(_WRONG["predict"], "Backend")),
    ("/embed_sparse", {"inputs": "a"}, 424, _error(_WRONG["embed_sparse"], "Backend")),
    ("/embed_sparse", {"inputs": []}, 400, _error(_EMPTY, "Empty")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "expected"), BAD, ids=lambda value: json.dumps(value)[:40])
def test_bad_input(server: Any, ask: Ask, path: str, body: Any, status: int, expected: dict[str, str]) -> None:
    answer = ask(server, "POST", path, body)
    assert (answer.status, answer.json) == (status, expected)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/embed", "/embed_all", "/similarity", "/tokenize", "/decode", "/rerank", "/predict"])
def test_what_is_no_json(server: Any, ask: Ask, path: str) -> None:
    answer = ask(server, "POST", path, b'{"inputs": "\xff"}')
    assert answer.status == 400
    assert answer.json["error"].startswith("We could not parse the JSON body of your request")
    assert answer.json["error_type"] == "Validation"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/embed", 405), ("PUT", "/", 405), ("GET", "/gone", 404)]
)
def test_bad_routes(server: Any, ask: Ask, method: str, path: str, status: int) -> None:
    answer = ask(server, method, path)
    assert answer.status == status
    assert list(answer.json) == ["error", "error_type"]
