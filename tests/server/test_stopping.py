"""A stop loses nothing that was accepted."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from embedrt.server import Server

Ask = Callable[..., Any]
Different = Callable[[int], list[str]]
Start = Callable[..., Server]
WaitUntil = Callable[[Callable[[], bool]], None]


@pytest.fixture
def process(served: Path) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """``embedrt serve`` as an operator runs it, and something with its address."""
    command = [sys.executable, "-m", "embedrt", "serve", f"tiny={served}", "--port", "0", "--log-level", "warning"]
    command += ["--max-texts", "40000", "--max-queue", "200000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        said = running.stderr.readline()
        assert said.startswith("tiny at http://127.0.0.1:"), said

        class Place:
            address = said.split(" at ")[1].strip()

        yield running, Place
        running.kill()


def test_sigterm_under_load_answers_every_request_that_was_accepted(
    process: Any, ask: Ask, different: Different, wait_until: WaitUntil
) -> None:
    """Connections are kept alive until an answer says that it is the last: no request is lost between."""
    running, place = process
    wait_until(lambda: _reachable(ask, place))
    body = json.dumps({"inputs": different(50)}).encode()
    answered: list[int] = []

    def client() -> str:
        connection = http.client.HTTPConnection(place.address.removeprefix("http://"), timeout=20)
        last = ""
        while last != "close":
            connection.request("POST", "/embed", body)
            answer = connection.getresponse()
            answer.read()
            answered.append(answer.status)
            last = answer.getheader("connection", "")
        connection.close()
        return last

    with ThreadPoolExecutor(8) as clients:
        working = [clients.submit(client) for _ in range(8)]
        wait_until(lambda: len(answered) > 20)
        before = len(answered)
        running.send_signal(signal.SIGTERM)
        assert [one.result() for one in working] == ["close"] * 8
    assert set(answered) == {200}
    assert len(answered) >= before
    assert running.wait(20) == 0


def test_a_stop_answers_what_is_under_way_and_says_so(
    process: Any, ask: Ask, different: Different, wait_until: WaitUntil
) -> None:
    running, place = process
    wait_until(lambda: _reachable(ask, place))
    with ThreadPoolExecutor(4) as clients:
        body = {"inputs": different(40_000)}
        large = [clients.submit(ask, place, "POST", "/embed", body) for _ in range(3)]
        wait_until(lambda: b"embedrt_active_requests 4.0" in ask(place, "GET", "/metrics").body)
        running.send_signal(signal.SIGTERM)
        wait_until(lambda: not _reachable(ask, place))
        draining = ask(place, "GET", "/health")
        assert (draining.status, draining.json["error"]) == (503, "the server is shutting down")
        assert draining.headers["connection"] == "close"
        assert {answer.result().status for answer in large} == {200}
    assert running.wait(20) == 0


def test_a_connection_that_was_idle_at_the_stop_is_answered_once_more(
    process: Any, ask: Ask, wait_until: WaitUntil
) -> None:
    running, place = process
    wait_until(lambda: _reachable(ask, place))
    connection = http.client.HTTPConnection(place.address.removeprefix("http://"), timeout=20)
    connection.request("GET", "/info")
    assert connection.getresponse().read()
    running.send_signal(signal.SIGTERM)
    time.sleep(0.25)
    connection.request("POST", "/embed", b'{"inputs": "cat"}')
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("connection")) == (200, "close")
    connection.close()
    assert running.wait(20) == 0


@pytest.mark.parametrize("signals", [1, 2])
def test_a_run_without_an_end_holds_no_stop_up(start: Start, ask: Ask, signals: int, wait_until: WaitUntil) -> None:
    """The time for what is under way is over once, or not waited for; what waits is dropped."""
    release, left, ran = threading.Event(), list[float](), list[Any]()
    with ThreadPoolExecutor(1) as client, start(drain_seconds=1 if signals == 1 else 30, threads=1) as server:
        run, close = server.registry.named(None).run, server.engine.close

        def hang(batch: Any) -> Any:
            ran.append(batch)
            release.wait(60)
            return run(batch)

        def closing(timeout: float) -> bool:
            left.append(timeout)
            return close(timeout)

        server.registry.named(None).run = hang  # type: ignore[method-assign]
        server.engine.close = closing  # type: ignore[method-assign]
        client.submit(ask, server, "POST", "/embed", {"inputs": ["cat", "a cat sat"]})
        wait_until(lambda: bool(ran))
        for _ in range(signals):
            server.stop()
        assert server._thread is not None
        server._thread.join(10)
        assert not server._thread.is_alive()
        release.set()
    assert left[0] < 0.5
    assert server.engine.queue.waiting == 0


def _reachable(ask: Ask, place: Any) -> bool:
    try:
        return bool(ask(place, "GET", "/health").status == 200)
    except OSError:
        return False
