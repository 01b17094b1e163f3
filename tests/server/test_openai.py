"""OpenAI's routes: bodies, bits, and the exact answer to everything that is wrong."""

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from embedrt import SentenceEncoder
from embedrt.errors import InputError
from embedrt.server import ModelSource, Server

Ask = Callable[..., Any]
TEXTS = ["How do I reset my password?", "忘记密码怎么办？", "a cat sat on the mat", "hello " * 40, "!"]


def _vectors(answer: Any) -> npt.NDArray[np.float32]:
    """From floats or base64, as a client would read them."""
    assert answer.status == 200, answer.body
    return np.array([_vector(entry["embedding"]) for entry in answer.json["data"]], dtype=np.float32)


def _vector(embedding: Any) -> npt.NDArray[np.float32]:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), dtype="<f4")
    return np.array(embedding, dtype=np.float32)


@pytest.fixture(params=["float", "base64"])
def embeddings(request: pytest.FixtureRequest, server: Any, ask: Ask) -> Ask:
    """``POST /v1/embeddings`` in both formats."""

    def post(given: Any, **more: Any) -> Any:
        body = {"model": "tiny", "input": given, "encoding_format": request.param, **more}
        return ask(server, "POST", "/v1/embeddings", body)

    return post


def test_vectors_are_bit_for_bit_those_of_encode(embeddings: Ask, original: SentenceEncoder) -> None:
    alone = np.stack([original.encode(text) for text in TEXTS])
    np.testing.assert_array_equal(_vectors(embeddings(TEXTS)), alone)
    for text, vector in zip(TEXTS, alone, strict=True):
        np.testing.assert_array_equal(_vectors(embeddings(text)), vector[None])


def test_many_texts_come_in_their_order(embeddings: Ask, original: SentenceEncoder) -> None:
    texts = [" ".join(TEXTS[2].split()[: 1 + index % 6]) + " !" * (index % 5) for index in range(300)]
    answer = embeddings(texts)
    assert [entry["index"] for entry in answer.json["data"]] == list(range(300))
    np.testing.assert_array_equal(_vectors(answer), original.encode(texts))


def test_the_body_is_openai_s(server: Any, ask: Ask) -> None:
    answer = ask(server, "POST", "/v1/embeddings", {"model": "text-embedding-3-small", "input": ["hello world", "cat"]})
    assert answer.headers["content-type"] == "application/json"
    content = answer.json
    assert [list(entry) for entry in content.pop("data")] == [["object", "index", "embedding"]] * 2
    assert content == {"object": "list", "model": "tiny", "usage": {"prompt_tokens": 7, "total_tokens": 7}}


def test_token_ids(embeddings: Ask, original: SentenceEncoder) -> None:
    rows = [ids.tolist() for ids in original.tokenize(TEXTS)]
    np.testing.assert_array_equal(_vectors(embeddings(rows)), original.encode(TEXTS))
    np.testing.assert_array_equal(_vectors(embeddings(rows[0])), original.encode(TEXTS[:1]))
    mixed = embeddings([rows[0], TEXTS[1]])
    np.testing.assert_array_equal(_vectors(mixed), original.encode(TEXTS[:2]))
    assert mixed.json["usage"]["total_tokens"] == len(rows[0]) + len(rows[1])


def test_too_many_token_ids_are_cut_as_a_text_is(embeddings: Ask, original: SentenceEncoder) -> None:
    whole = [2, *[16] * 40, 3]  # [CLS] a a a … [SEP]: 16 tokens are kept
    np.testing.assert_array_equal(_vectors(embeddings(whole)), original.encode(["a " * 40]))


def test_dimensions_are_the_first_and_normalized_again(embeddings: Ask, original: SentenceEncoder) -> None:
    found = _vectors(embeddings(TEXTS, dimensions=3))
    cut = original.encode(TEXTS)[:, :3].astype(np.float64)
    np.testing.assert_allclose(found, cut / np.sqrt(np.square(cut).sum(axis=1, keepdims=True)), atol=1e-6)
    np.testing.assert_array_equal(_vectors(embeddings(TEXTS, dimensions=8)), original.encode(TEXTS))


def test_prompts(embeddings: Ask, original: SentenceEncoder) -> None:
    expected = original.encode(TEXTS, prompt_name="query")
    np.testing.assert_array_equal(_vectors(embeddings(TEXTS, prompt_name="query")), expected)
    assert np.abs(expected - original.encode(TEXTS)).max() > 0.01


def test_prompts_that_the_server_was_given(
    start: Callable[..., Server], ask: Ask, served: Path, original: SentenceEncoder
) -> None:
    prompts = {"question": "the question : "}
    source = ModelSource(name="tiny", location=str(served), prompts=prompts, default_prompt_name="question")
    with start(source) as server:
        body = {"model": "tiny", "input": TEXTS}
        unnamed = ask(server, "POST", "/v1/embeddings", body)
        named = ask(server, "POST", "/v1/embeddings", body | {"prompt_name": "query"})
    np.testing.assert_array_equal(_vectors(unnamed), original.encode(TEXTS, prompt="the question : "))
    np.testing.assert_array_equal(_vectors(named), original.encode(TEXTS, prompt_name="query"))
    lost = ModelSource(name="tiny", location=str(served), default_prompt_name="gone")
    with pytest.raises(
        InputError, match="the default prompt is to be 'gone', expected one of the prompts: passage, query"
    ):
        start(lost)


@pytest.mark.parametrize("body", [{}, {"model": None, "encoding_format": None}])
def test_the_first_model_answers_where_none_is_named(
    server: Any, ask: Ask, original: SentenceEncoder, body: dict[str, None]
) -> None:
    answer = ask(server, "POST", "/v1/embeddings", {"input": TEXTS, **body})
    np.testing.assert_array_equal(_vectors(answer), original.encode(TEXTS))
    assert answer.json["model"] == "tiny"


def test_fields_of_others_are_ignored(embeddings: Ask) -> None:
    assert embeddings("hello", user="me", input_type="query", extra={"a": 1}).status == 200


def test_models(server: Any, ask: Ask) -> None:
    content = ask(server, "GET", "/v1/models").json
    assert content["object"] == "list"
    assert [(entry["id"], entry["object"], entry["owned_by"]) for entry in content["data"]] == [
        ("tiny", "model", "embedrt"),
        ("plain", "model", "embedrt"),
    ]
    assert ask(server, "GET", "/v1/models/plain").json == content["data"][1]
    assert ask(server, "GET", "/v1/models/text-embedding-3-small").json == content["data"][0]


def _error(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


_UNREADABLE = "We could not parse the JSON body of your request: "
_IDS = "`input`: token ids are whole numbers from 0 to 42"
_MANY = "batch size 2049 > maximum allowed batch size 2048"
_NO_MODEL = "The model 'gone' does not exist; this server has tiny, plain, text-embedding-3-small"
_EITHER = "a string, or an array of token ids, is expected"
BAD: list[tuple[Any, int, dict[str, Any]]] = [
    ([], 400, _error("The JSON body is an array, expected an object")),
    ("text", 400, _error("The JSON body is a string, expected an object")),
    (None, 400, _error("The JSON body is null, expected an object")),
    ({"model": 5, "input": "hello"}, 400, _error("`model` holds a number where a string is expected", "model")),
    ({"model": "gone", "input": "hello"}, 404, _error(_NO_MODEL, "model", "model_not_found")),
    ({"model": "tiny"}, 400, _error("`input` is missing", "input")),
    ({"model": "tiny", "input": None}, 400, _error("`input` is missing", "input")),
    ({"model": "tiny", "input": ""}, 400, _error("`input` cannot be empty", "input")),
    ({"model": "tiny", "input": []}, 400, _error("`input` cannot be empty", "input")),
    ({"model": "tiny", "input": ["hello", ""]}, 400, _error("`input` cannot be empty", "input")),
    ({"model": "tiny", "input": [[]]}, 400, _error("`input` cannot be empty", "input")),
    (
        {"model": "tiny", "input": 5},
        400,
        _error("`input` holds a number where a string, an array of strings, or token ids is expected", "input"),
    ),
    ({"model": "tiny", "input": [None]}, 400, _error(f"`input` holds null where {_EITHER}", "input")),
    ({"model": "tiny", "input": [{"a": 1}]}, 400, _error(f"`input` holds an object where {_EITHER}", "input")),
    ({"model": "tiny", "input": [1.5]}, 400, _error(f"`input` holds a number where {_EITHER}", "input")),
    ({"model": "tiny", "input": [True]}, 400, _error(_IDS, "input")),
    ({"model": "tiny", "input": [-1]}, 400, _error(_IDS, "input")),
    ({"model": "tiny", "input": [43]}, 400, _error(_IDS, "input")),
    ({"model": "tiny", "input": [10**30]}, 400, _error(_IDS, "input")),
    ({"model": "tiny", "input": [[1, "x"]]}, 400, _error(_IDS, "input")),
    ({"model": "tiny", "input": ["a"] * 2049}, 400, _error(_MANY, "input")),
    (
        {"model": "tiny", "input": "a" * 200_001},
        400,
        _error("a text has 200001 characters, at most 200000 are allowed", "input"),
    ),
    (
        {"model": "tiny", "input": "a", "encoding_format": "hex"},
        400,
        _error("`encoding_format` must be one of float, base64", "encoding_format"),
    ),
    (
        {"model": "tiny", "input": "a", "encoding_format": [1]},
        400,
        _error("`encoding_format` must be one of float, base64", "encoding_format"),
    ),
    ({"model": "tiny", "input": "a", "dimensions": 0}, 400, _error("`dimensions` is 0, expected 1 to 8", "dimensions")),
    ({"model": "tiny", "input": "a", "dimensions": 9}, 400, _error("`dimensions` is 9, expected 1 to 8", "dimensions")),
    (
        {"model": "tiny", "input": "a", "dimensions": "3"},
        400,
        _error("`dimensions` holds a string where a whole number is expected", "dimensions"),
    ),
    (
        {"model": "tiny", "input": "a", "dimensions": True},
        400,
        _error("`dimensions` holds true or false where a whole number is expected", "dimensions"),
    ),
    (
        {"model": "tiny", "input": "a", "user": 5},
        400,
        _error("`user` holds a number where a string is expected", "user"),
    ),
    (
        {"model": "tiny", "input": "a", "prompt_name": "gone"},
        400,
        _error("`prompt_name` is 'gone', expected one of the model's prompts: passage, query", "prompt_name"),
    ),
]


@pytest.mark.parametrize(("body", "status", "expected"), BAD, ids=lambda value: json.dumps(value)[:40])
def test_bad_input(server: Any, ask: Ask, body: Any, status: int, expected: dict[str, Any]) -> None:
    sent = json.dumps(body).replace("1000000000000000000000000000000", "18446744073709551615").encode()
    answer = ask(server, "POST", "/v1/embeddings", sent)
    assert (answer.status, answer.json) == (status, expected)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"input": "\\ud800"}', b"[" * 100_000, b'{"a": NaN}'])
def test_what_is_no_json(server: Any, ask: Ask, body: bytes) -> None:
    answer = ask(server, "POST", "/v1/embeddings", body)
    error = answer.json["error"]
    assert error.pop("message").startswith(_UNREADABLE)
    assert (answer.status, error) == (400, {"type": "invalid_request_error", "param": None, "code": None})


def test_a_compressed_body(server: Any, ask: Ask) -> None:
    body = {"input": "hello"}
    packed = ask(server, "POST", "/v1/embeddings", gzip.compress(json.dumps(body).encode()), content_encoding="gzip")
    message = "The body has Content-Encoding gzip, expected none: send plain JSON"
    assert (packed.status, packed.json) == (400, _error(message))
    assert ask(server, "POST", "/v1/embeddings", body, content_encoding="Identity").status == 200


def test_the_tokens_of_a_request_have_a_limit(start: Callable[..., Any], ask: Ask) -> None:
    with start(limits={"tokens": 10}) as small:
        answer = ask(small, "POST", "/v1/embeddings", {"model": "tiny", "input": ["a cat sat"] * 3})
    assert (answer.status, answer.json) == (
        400,
        _error("the inputs have 15 tokens, at most 10 are allowed in a request"),
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/v1/embeddings", 405, _error("GET is not allowed here", code="method_not_allowed")),
        ("DELETE", "/v1/models", 405, _error("DELETE is not allowed here", code="method_not_allowed")),
        (
            "POST",
            "/v1/chat/completions",
            404,
            _error("There is no such route here; /docs lists those that there are", code="unknown_url"),
        ),
        ("GET", "/v1/models/gone", 404, _error(_NO_MODEL, "model", "model_not_found")),
    ],
)
def test_bad_routes(server: Any, ask: Ask, method: str, path: str, status: int, expected: dict[str, Any]) -> None:
    answer = ask(server, method, path)
    assert (answer.status, answer.json) == (status, expected)
    assert ("allow" in answer.headers) == (status == 405)


def test_a_request_has_an_id(server: Any, ask: Ask) -> None:
    ours = [ask(server, "GET", "/v1/models").headers["x-request-id"] for _ in range(2)]
    assert len(set(ours)) == 2
    assert ask(server, "GET", "/v1/models", x_request_id="theirs-1").headers["x-request-id"] == "theirs-1"
    assert ask(server, "GET", "/v1/models", x_request_id="a b").headers["x-request-id"] not in ("a b", *ours)
