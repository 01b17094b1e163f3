"""Many clients at once: the same bits as alone, nobody starved, and nothing run for those who left."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from embedrt import SentenceEncoder
from embedrt.server import Server
from embedrt.server.jobs import Batch, Result

Ask = Callable[..., Any]
Different = Callable[[int], list[str]]
WaitUntil = Callable[[Callable[[], bool]], None]
WORDS = (
    *("how", "do", "i", "reset", "my", "password", "where", "is", "the", "invoice"),
    *("a", "cat", "sat", "on", "mat", "hello", "world"),
)


class _Gate:
    """Holds runs back until it is opened, and remembers them."""

    def __init__(self, model: Any) -> None:
        self.open, self.batches = threading.Event(), list[Batch]()
        self._run = model.run

    def run(self, batch: Batch) -> Sequence[Result]:
        self.batches.append(batch)
        assert self.open.wait(20)
        found: Sequence[Result] = self._run(batch)
        return found


@pytest.fixture
def gated(start: Callable[..., Server]) -> Iterator[tuple[Server, _Gate]]:
    """A server of one worker whose runs wait for the gate."""
    with start(threads=1, limits={"queue": 4000}) as server:
        model = server.registry.named(None)
        gate = _Gate(model)
        model.run = gate.run  # type: ignore[method-assign]
        try:
            yield server, gate
        finally:
            gate.open.set()


def _embed(ask: Ask, server: Server, texts: list[str]) -> Any:
    answer = ask(server, "POST", "/embed", {"inputs": texts})
    assert answer.status == 200, answer.body
    return np.array(answer.json, dtype=np.float32)


def test_any_company_gives_the_bits_of_encode(server: Server, ask: Ask, original: SentenceEncoder) -> None:
    random = np.random.default_rng(0)
    requests = [
        [" ".join(random.choice(WORDS, random.integers(1, 18))) for _ in range(random.choice([1, 1, 1, 5, 40]))]
        for _ in range(120)
    ]
    with ThreadPoolExecutor(16) as clients:
        found = list(clients.map(lambda texts: _embed(ask, server, texts), requests))
    for texts, vectors in zip(requests, found, strict=True):
        np.testing.assert_array_equal(vectors, np.stack([original.encode(text) for text in texts]))


def test_texts_of_many_clients_run_together(gated: tuple[Server, _Gate], ask: Ask, wait_until: WaitUntil) -> None:
    server, gate = gated
    with ThreadPoolExecutor(20) as clients:
        first = clients.submit(_embed, ask, server, ["cat"])
        wait_until(lambda: len(gate.batches) == 1)
        others = [clients.submit(_embed, ask, server, [f"hello {word}"]) for word in WORDS]
        wait_until(lambda: server.engine.queue.waiting == len(WORDS))
        gate.open.set()
        for answer in (first, *others):
            assert answer.result().shape == (1, 8)
    assert [len(batch.members) for batch in gate.batches] == [1, len(WORDS)]


def test_equal_texts_of_a_request_are_one_in_the_queue(
    gated: tuple[Server, _Gate], ask: Ask, original: SentenceEncoder
) -> None:
    server, gate = gated
    gate.open.set()
    texts = ["hello world", "cat", "hello world", "Hello  World", "cat", "a cat sat"]
    answer = ask(server, "POST", "/v1/embeddings", {"input": texts, "model": "tiny"}).json
    assert sum(len(batch.members) for batch in gate.batches) == 3
    found = np.array([entry["embedding"] for entry in answer["data"]], dtype=np.float32)
    np.testing.assert_array_equal(found, np.stack([original.encode(text) for text in texts]))
    assert answer["usage"]["prompt_tokens"] == sum(len(row) for row in original.tokenize(texts))


def test_two_thousand_texts_do_not_starve_a_single_one(
    gated: tuple[Server, _Gate], ask: Ask, different: Different, wait_until: WaitUntil
) -> None:
    server, gate = gated
    with ThreadPoolExecutor(2) as clients:
        large = clients.submit(_embed, ask, server, different(2000))
        wait_until(lambda: len(gate.batches) == 1)
        small = clients.submit(_embed, ask, server, ["a cat sat on the mat"])
        running = len(gate.batches[0].members)
        wait_until(lambda: server.engine.queue.waiting == 2000 - running + 1)
        gate.open.set()
        assert small.result().shape == (1, 8)
        assert large.result().shape == (2000, 8)
    places = [index for index, batch in enumerate(gate.batches) if batch.key.length == 8]
    assert places == [2]  # after the run that was under way, and one of the large request
    assert len(gate.batches) > 10


def test_a_client_that_hung_up_is_skipped(
    gated: tuple[Server, _Gate], ask: Ask, different: Different, wait_until: WaitUntil
) -> None:
    server, gate = gated
    with ThreadPoolExecutor(1) as clients:
        first = clients.submit(_embed, ask, server, ["cat"])
        wait_until(lambda: len(gate.batches) == 1)
        leaving = _connected(server)
        body = json.dumps({"inputs": different(30)}).encode()
        leaving.sendall(b"POST /embed HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        wait_until(lambda: server.engine.queue.waiting == 30)
        leaving.close()
        wait_until(lambda: server.engine.queue.waiting == 0)
        gate.open.set()
        first.result()
    assert len(gate.batches) == 1
    assert b'embedrt_errors_total{reason="hung_up"} 1.0' in ask(server, "GET", "/metrics").body


def _connected(server: Server) -> socket.socket:
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


def test_ten_thousand_queued(
    gated: tuple[Server, _Gate], ask: Ask, different: Different, wait_until: WaitUntil
) -> None:
    """What the queue cannot hold is refused at once, what it holds is answered, and it is empty again afterwards."""
    server, gate = gated
    with ThreadPoolExecutor(20) as clients:
        first = clients.submit(_embed, ask, server, ["cat"])
        wait_until(lambda: len(gate.batches) == 1)
        body = {"inputs": different(500)}
        answers = [clients.submit(ask, server, "POST", "/embed", body) for _ in range(20)]
        wait_until(lambda: sum(answer.done() for answer in answers) == 12)
        refused = [answer.result() for answer in answers if answer.done()]
        assert {(answer.status, answer.headers["retry-after"]) for answer in refused} == {(429, "1")}
        assert {answer.body for answer in refused} == {b'{"error":"Model is overloaded","error_type":"Overloaded"}'}
        assert server.engine.queue.waiting == 4000
        gate.open.set()
        assert sorted(answer.result().status for answer in answers) == [200] * 8 + [429] * 12
        first.result()
    assert ask(server, "POST", "/embed", body).status == 200
    assert (server.engine.queue.waiting, server.engine.queue.running) == (0, 0)
