"""Clients that send too much, too slowly, or what is no HTTP; and those without a key."""

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from embedrt.errors import InputError
from embedrt.server import Limits, Server, dense, tei
from embedrt.server.keys import ApiKeys, keys_in
from embedrt.text.tokenizer import TextTokenizer

Ask = Callable[..., Any]
_LARGE = {"error": {"message": "the body is larger than 2000000 bytes", "type": "invalid_request_error", "param": None,
                    "code": "request_too_large"}}  # fmt: skip


def _raw(server: Server, sent: bytes, *, then: float = 0.0, more: bytes = b"") -> tuple[bytes, Any]:
    """The status line and the JSON of what comes back until the server ends the connection."""
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        time.sleep(then)
        if more:
            connection.sendall(more)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0], json.loads(body)


@pytest.mark.parametrize("size", [2_000_001, 5_000_000])
def test_a_body_that_is_too_large(server: Server, ask: Ask, size: int) -> None:
    answer = ask(server, "POST", "/v1/embeddings", b"x" * size)
    assert (answer.status, answer.json, answer.headers["connection"]) == (413, _LARGE, "close")
    tei = ask(server, "POST", "/embed", b"x" * size)
    assert (tei.status, tei.json) == (413, {"error": _LARGE["error"]["message"], "error_type": "Validation"})


def test_a_body_that_is_far_too_large_is_not_even_read(server: Server) -> None:
    status, content = _raw(server, b"POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n")
    assert (status, content) == (b"HTTP/1.1 413 Request Entity Too Large", _LARGE)


def test_a_chunked_body_that_is_too_large(server: Server) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = b"POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    status, content = _raw(server, head + chunk * 40 + b"0\r\n\r\n")
    assert (status, content) == (b"HTTP/1.1 413 Request Entity Too Large", _LARGE)


@pytest.mark.parametrize(
    ("path", "texts"), [("/rerank", "texts"), ("/v1/rerank", "documents"), ("/v2/rerank", "documents")]
)
def test_a_query_is_a_text_too(server: Server, ask: Ask, path: str, texts: str) -> None:
    answer = ask(server, "POST", path, {"query": "a" * 200_001, texts: ["b"]})
    assert answer.status == 422
    assert "a text has 200001 characters, at most 200000 are allowed" in answer.json.values()


def test_tokens_of_a_request(start: Callable[..., Server], ask: Ask) -> None:
    with start(limits={"tokens": 10}) as server:
        for inputs, status in ((["a cat"] * 2, 200), (["a cat"] * 3, 422)):
            assert ask(server, "POST", "/tokenize", {"inputs": inputs}).status == status
        many = ask(server, "POST", "/tokenize", {"inputs": ["a cat"] * 3})
        assert many.json["error"] == "the inputs have more than the 10 tokens that are allowed in a request"
        assert ask(server, "POST", "/decode", {"ids": [16] * 10}).status == 200
        many = ask(server, "POST", "/decode", {"ids": [[16] * 6, [16] * 5]})
        message = "the inputs have 11 tokens, at most 10 are allowed in a request"
        assert (many.status, many.json["error"]) == (422, message)


@pytest.mark.parametrize(
    ("path", "body", "method"),
    [("/tokenize", {"inputs": "a " * 2000}, "pieces"), ("/decode", {"ids": [16] * 3000}, "decode")],
)
def test_long_texts_are_cut_beside_the_event_loop(
    server: Server, ask: Ask, monkeypatch: pytest.MonkeyPatch, path: str, body: Any, method: str
) -> None:
    original, threads = getattr(TextTokenizer, method), list[str]()

    def remembering(*given: Any, **named: Any) -> Any:
        threads.append(threading.current_thread().name)
        return original(*given, **named)

    monkeypatch.setattr(TextTokenizer, method, remembering)
    assert ask(server, "POST", path, body).status == 200
    assert [name.startswith("embedrt-tokenize") for name in threads] == [True]


def test_a_vector_a_token(server: Server, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written a few vectors at a time, whatever their texts; and not without an end."""
    whole, written, dumps = (
        ask(server, "POST", "/embed_all", {"inputs": ["a cat sat", "cat"]}),
        list[int](),
        orjson.dumps,
    )

    def remembering(content: Any, **named: Any) -> bytes:
        if isinstance(content, np.ndarray | list):
            written.append(len(content))
        return dumps(content, **named)

    monkeypatch.setattr(tei, "_PIECE", 2)
    monkeypatch.setattr(orjson, "dumps", remembering)
    assert ask(server, "POST", "/embed_all", {"inputs": ["a cat sat", "cat"]}).json == whole.json
    assert written == [2, 2, 1, 2, 1]
    monkeypatch.setattr(dense, "_MOST_NUMBERS", 63)
    answer = ask(server, "POST", "/embed_all", {"inputs": ["a cat sat", "cat"]})
    message = "the answer would have 64 numbers, at most 63 are sent: send fewer or shorter texts"
    assert (answer.status, answer.json) == (422, {"error": message, "error_type": "Validation"})


@pytest.fixture
def hurried(start: Callable[..., Server]) -> Any:
    """A server that waits for nobody."""
    with start(limits={"header_seconds": 0.2, "body_seconds": 0.2, "connections": 3}) as server:
        yield server


@pytest.mark.parametrize("sent", [b"", b"POST /embed HT", b"POST /embed HTTP/1.1\r\nhost: a\r\nx-slow: "])
def test_a_slow_head(hurried: Server, sent: bytes) -> None:
    status, content = _raw(hurried, sent)
    assert status == b"HTTP/1.1 408 Request Timeout"
    assert content["error"]["message"] == "the request's headers did not arrive within 0.2 seconds"


@pytest.mark.parametrize("sent", [b"", b'{"inp'])
def test_a_slow_body(hurried: Server, sent: bytes) -> None:
    status, content = _raw(hurried, b"POST /embed HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n" + sent)
    assert status == b"HTTP/1.1 408 Request Timeout"
    assert content == {"error": "the body did not arrive within 0.2 seconds", "error_type": "Validation"}


def test_a_slow_head_after_an_answer(hurried: Server) -> None:
    """A connection that is kept alive is no way around it."""
    host, port = hurried.address.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /health HT")
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_slow_clients_hold_nobody_up(hurried: Server, ask: Ask) -> None:
    with ThreadPoolExecutor(2) as slow:
        waiting = [slow.submit(_raw, hurried, b"POST /embed HTTP/1.1\r\nhost: a\r\n") for _ in range(2)]
        assert ask(hurried, "POST", "/embed", {"inputs": "cat"}).status == 200
        assert {one.result()[0] for one in waiting} == {b"HTTP/1.1 408 Request Timeout"}


def test_too_many_connections(start: Callable[..., Server]) -> None:
    with start(limits={"connections": 1}) as server:
        host, port = server.address.removeprefix("http://").rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as first:
            first.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
            assert first.recv(65536).startswith(b"HTTP/1.1 200")
            assert _raw(server, b"")[0] == b"HTTP/1.1 503 Service Unavailable"


def test_endless_headers(server: Server) -> None:
    status, content = _raw(server, b"GET /health HTTP/1.1\r\nx-a: " + b"a" * 70_000)
    assert status == b"HTTP/1.1 431 Request Header Fields Too Large"
    assert content["error"]["message"] == "the request's headers are larger than 65536 bytes"


def test_what_is_no_http(server: Server) -> None:
    status, content = _raw(server, b"\x16\x03\x01 TLS?\r\n\r\n")
    assert status == b"HTTP/1.1 400 Bad Request"
    assert content["error"]["type"] == "invalid_request_error"


def test_requests_at_a_time(start: Callable[..., Server], ask: Ask) -> None:
    with start(limits={"requests": 1}) as server:
        model = server.registry.named(None)
        run = model.run
        inside: list[Any] = []

        def ask_again(batch: Any) -> Any:
            if not inside:
                inside.append(ask(server, "POST", "/v1/embeddings", {"model": "tiny", "input": "cat"}))
                inside.append(ask(server, "GET", "/metrics"))
            return run(batch)

        model.run = ask_again  # type: ignore[method-assign]
        assert ask(server, "POST", "/embed", {"inputs": "cat"}).status == 200
    refused, metrics = inside
    error = {"message": "Model is overloaded", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    assert (refused.status, refused.json, refused.headers["retry-after"]) == (429, {"error": error}, "1")
    assert metrics.status == 200  # whoever watches the server is never sent away


@pytest.fixture(scope="module")
def keyed(start: Callable[..., Server]) -> Any:
    with start(api_keys=("first", "second-ключ")) as server:
        yield server


@pytest.mark.parametrize("key", [b"Bearer first", b"bearer  first ", "Bearer second-ключ".encode()])
def test_right_keys(keyed: Server, ask: Ask, key: bytes) -> None:
    assert ask(keyed, "POST", "/embed", {"inputs": "cat"}, authorization=key.decode("latin-1")).status == 200


@pytest.mark.parametrize("key", [None, "Bearer", "Bearer ", "Bearer firs", "Bearer firstt", "Basic first", "first"])
def test_wrong_keys(keyed: Server, ask: Ask, key: str | None) -> None:
    headers = {} if key is None else {"authorization": key}
    message = "Incorrect or missing API key: send the header Authorization: Bearer KEY"
    for method, path in (("POST", "/v1/embeddings"), ("GET", "/v1/models")):
        answer = ask(keyed, method, path, {}, **headers)
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
        assert (answer.status, answer.json) == (401, {"error": error})
        assert answer.headers["www-authenticate"] == "Bearer"
    for method, path in (("POST", "/embed"), ("POST", "/"), ("GET", "/info"), ("POST", "/models/tiny/embed")):
        answer = ask(keyed, method, path, {}, **headers)
        assert (answer.status, answer.json) == (401, {"error": message, "error_type": "Unauthorized"})


def test_what_needs_no_key(keyed: Server, ask: Ask) -> None:
    for path in ("/health", "/ping", "/metrics", "/docs", "/openapi.json", "/"):
        assert ask(keyed, "GET", path).status == 200


def test_every_key_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """No early end tells which key was near."""
    import hmac

    compared: list[bytes] = []
    compare = hmac.compare_digest

    def counting(first: bytes, second: bytes) -> bool:
        compared.append(second)
        return compare(first, second)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    keys = ApiKeys(["a", "b", "c"])
    assert keys.accepts(b"Bearer a")
    assert len(compared) == 3
    assert {len(digest) for digest in compared} == {32}


def test_spaces_are_no_part_of_a_key() -> None:
    assert ApiKeys([" a \n"]).accepts(b"Bearer a ")


def test_keys_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# of the team\n one \n\ntwo\n", encoding="utf-8")
    assert keys_in(path) == ["one", "two"]
    path.write_text("one\n", encoding="utf-8-sig")
    assert keys_in(path) == ["one"]
    path.write_text("# none\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no API key"):
        keys_in(path)
    with pytest.raises(InputError, match="cannot be read"):
        keys_in(tmp_path / "gone")


def test_limits_that_cannot_be() -> None:
    with pytest.raises(InputError, match="the limit of body is 0, expected more than 0"):
        Limits(body=0)
    with pytest.raises(InputError, match="a request may have 100 texts and the queue holds 50"):
        Limits(texts=100, queue=50)
