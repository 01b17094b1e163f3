"""What an operator sees: health, metrics, logs, and a stop that loses nothing."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from embedrt.errors import InputError, MissingDependencyError
from embedrt.server import Server
from embedrt.server.logs import JsonLog
from embedrt.server.tracing import traces_to

Ask = Callable[..., Any]
Different = Callable[[int], list[str]]
Start = Callable[..., Server]
_LEGS = "a worker died or hangs, and is being replaced"


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_health(server: Server, ask: Ask) -> None:
    for path in ("/health", "/ping"):
        answer = ask(server, "GET", path)
        assert (answer.status, answer.body) == (200, b"")
    assert ask(server, "HEAD", "/health").status == 200


def test_health_runs_an_inference_where_there_was_none_lately(start: Start, ask: Ask) -> None:
    with start(health_seconds=0.05) as server:
        model = server.registry.named(None)
        ran, run = [], model.run

        def remembering(batch: Any) -> Any:
            ran.append(batch)
            return run(batch)

        model.run = remembering  # type: ignore[method-assign]
        time.sleep(0.06)
        assert ask(server, "GET", "/health").status == 200
        assert len(ran) == 1

        def failing(_batch: Any) -> Any:
            raise RuntimeError("the weights are gone")

        model.run = failing  # type: ignore[method-assign,assignment]
        time.sleep(0.06)
        answer = ask(server, "GET", "/health")
        assert (answer.status, answer.json["error_type"]) == (503, "Unhealthy")
        assert answer.json["error"] == "no inference ended well lately, and one that was tried did not either"
        model.run = run  # type: ignore[method-assign]
        assert ask(server, "GET", "/health").status == 200


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("reason", ["died", "stuck"])
def test_a_lost_worker_turns_health_and_is_replaced(start: Start, ask: Ask, reason: str) -> None:
    release, once = threading.Event(), iter([True])
    with start(stuck_seconds=0.3) as server:
        model = server.registry.named(None)
        run = model.run

        def lose_one(batch: Any) -> Any:
            if next(once, False):
                if reason == "died":
                    raise SystemExit
                release.wait(20)
            return run(batch)

        model.run = lose_one  # type: ignore[method-assign]
        with ThreadPoolExecutor(1) as clients:
            answer = clients.submit(ask, server, "POST", "/embed", {"inputs": ["a cat", "hello"]})
            statuses = set()

            def found() -> bool:
                seen = ask(server, "GET", "/health")
                statuses.add((seen.status, seen.body))
                return answer.done()

            _wait_until(found)
            assert answer.result().status == 200
        assert (
            503,
            json.dumps({"error": _LEGS, "error_type": "Unhealthy"}, separators=(",", ":")).encode(),
        ) in statuses
        _wait_until(lambda: ask(server, "GET", "/health").status == 200)
        metrics = ask(server, "GET", "/metrics").body
        assert f'embedrt_workers_lost_total{{reason="{reason}"}} 1.0'.encode() in metrics
        release.set()


def test_a_poison_text_fails_alone(start: Start, ask: Ask) -> None:
    with start() as server:
        model = server.registry.named(None)
        run = model.run

        def refuse(batch: Any) -> Any:
            if any(39 in job.tokens.row(row) for job, row in batch.members):  # 猫
                raise RuntimeError("secret words of a text")
            return run(batch)

        model.run = refuse  # type: ignore[method-assign]
        with ThreadPoolExecutor(8) as clients:
            bodies = [{"inputs": "猫" if index == 5 else "cat"} for index in range(12)]
            answers = list(clients.map(lambda body: ask(server, "POST", "/embed", body), bodies))
        assert [answer.status for answer in answers] == [200] * 5 + [424] + [200] * 6
        expected = {"error": "Backend error: RuntimeError while the model ran", "error_type": "Backend"}
        assert answers[5].json == expected
        openai = ask(server, "POST", "/v1/embeddings", {"model": "tiny", "input": "猫"})
        assert (openai.status, openai.json["error"]["code"]) == (424, "backend_error")


def test_metrics(start: Start, ask: Ask) -> None:
    with start() as server:
        ask(server, "POST", "/v1/embeddings", {"model": "tiny", "input": ["hello world", "cat"]})
        ask(server, "POST", "/embed", {"inputs": []})
        ask(server, "GET", "/a/path/of/a/scanner")
        assert ask(server, "GET", "/embed").status == 405
        no_http = ask(server, "TLS?", "/")
        text = ask(server, "GET", "/metrics").body.decode()
    lines = set(text.splitlines())
    assert (no_http.status, bool(no_http.headers["x-request-id"])) == (400, True)
    assert {
        'embedrt_requests_total{method="POST",route="/v1/embeddings",status="200"} 1.0',
        'embedrt_requests_total{method="POST",route="/embed",status="400"} 1.0',
        'embedrt_requests_total{method="GET",route="other",status="404"} 1.0',
        'embedrt_errors_total{reason="empty"} 1.0',
        'embedrt_errors_total{reason="unknown_route"} 1.0',
        'embedrt_errors_total{reason="wrong_method"} 1.0',
        'embedrt_errors_total{reason="malformed"} 1.0',
        'embedrt_texts_total{model="tiny"} 2.0',
        'embedrt_tokens_total{model="tiny"} 7.0',
        "embedrt_queue_texts 0.0",
        "embedrt_active_requests 1.0",  # this one
        "embedrt_tokenization_seconds_count 1.0",
        "embedrt_queue_seconds_count 1.0",
        "embedrt_inference_seconds_count 1.0",
        'embedrt_workers_lost_total{reason="stuck"} 0.0',
        "embedrt_log_lines_dropped_total 0.0",
    } <= lines
    assert "embedrt_batch_tokens_count 3.0" in lines  # two lengths, and the inference at the start
    info = next(line for line in lines if line.startswith("embedrt_model_info{"))
    for label in ('model="tiny"', 'kind="dense"', 'variant="fp32"', 'dimension="8"', 'max_tokens="16"'):
        assert label in info


def _logged(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_logs_hold_what_happened_and_no_word_of_it(start: Start, ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with start(log_level="info", log_file=path) as server:
        ask(server, "POST", "/embed", {"inputs": ["secretword", "cat"]}, x_request_id="id-1")
        ask(server, "POST", "/v1/embeddings", {"model": "secretword", "input": 5})
        ask(server, "GET", "/secretword?key=secretword")
        ask(server, "POST", "/embed", b'{"secretword')
    text = path.read_text(encoding="utf-8")
    assert "secretword" not in text
    events = _logged(path)
    assert [event["event"] for event in events] == ["started", *["request"] * 4, "draining", "stopped"]
    first = events[1]
    assert (first["id"], first["status"], first["texts"], first["tokens"]) == ("id-1", 200, 2, 6)
    assert first["milliseconds"] >= first["queue_milliseconds"] + first["inference_milliseconds"] - 1
    assert [event["status"] for event in events[1:5]] == [200, 404, 404, 400]
    assert events[-1]["finished"] is True


def test_a_fault_is_one_failed_request_and_a_line_without_its_words(start: Start, ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with start(log_file=path) as server:
        model = server.registry.named(None)

        def fault(_results: Any) -> Any:
            raise ZeroDivisionError("secretword")

        model.similarities = fault  # type: ignore[method-assign,assignment]
        body = {"inputs": {"source_sentence": "a", "sentences": ["b"]}}
        answer = ask(server, "POST", "/similarity", body)
        assert (answer.status, answer.json["error_type"]) == (500, "Backend")
        assert ask(server, "POST", "/embed", {"inputs": "a"}).status == 200
    fault_line = next(event for event in _logged(path) if event["event"] == "fault")
    assert fault_line["kind"] == "ZeroDivisionError"
    assert fault_line["places"][-1].startswith("test_operations.py:")
    assert "secretword" not in path.read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_stops_logs_and_nothing_else(start: Start, ask: Ask) -> None:
    with start(log_level="info", log_file=Path("/dev/full")) as server:
        for _ in range(5):
            assert ask(server, "POST", "/embed", {"inputs": "a"}).status == 200
        _wait_until(lambda: _dropped(ask(server, "GET", "/metrics").body.decode()) >= 6)


def _dropped(metrics: str) -> float:
    return float(metrics.split("\nembedrt_log_lines_dropped_total ")[1].split()[0])


def test_a_reader_of_logs_that_stopped_reading_stops_nothing() -> None:
    reading, writing = os.pipe()
    dropped: list[int] = []
    log = JsonLog(Path(f"/dev/fd/{writing}"), level="info", dropped=dropped.append)
    for _ in range(30_000):
        log.write("info", "request", filler="x" * 100)
    assert sum(dropped) > 1000
    os.close(reading)  # the writer's write fails now, and it can end
    log.close()
    os.close(writing)


def test_a_log_that_cannot_be_written(start: Start, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"log file .*gone/log cannot be opened: No such file"):
        start(log_file=tmp_path / "gone" / "log")
    with pytest.raises(InputError, match="log level is 'loud', expected one of debug, info, warning, error"):
        start(log_level="loud")


def test_a_place_that_is_taken(start: Start, server: Server) -> None:
    port = int(server.address.rsplit(":", 1)[1])
    with pytest.raises(InputError, match=f"127.0.0.1 port {port} cannot be listened on: Address already in use"):
        start(port=port)


def test_a_unix_socket(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with start(unix_socket=path) as server:
        assert server.address == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o660
        assert _get(path).startswith(b"HTTP/1.1 200")
        with pytest.raises(InputError, match=r"Unix socket .* cannot be listened on: Address already in use"):
            start(unix_socket=path)
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as left_behind:  # what a server that was killed leaves
        left_behind.bind(str(path))
    with start(unix_socket=path):
        assert _get(path).startswith(b"HTTP/1.1 200")
    path.write_text("no socket", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be listened on"):
        start(unix_socket=path)
    assert path.read_text(encoding="utf-8") == "no socket"


def _get(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
        return received


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
    process: Any, ask: Ask, different: Different
) -> None:
    """Connections are kept alive until an answer says that it is the last: no request is lost between."""
    running, place = process
    _wait_until(lambda: _reachable(ask, place))
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
        _wait_until(lambda: len(answered) > 20)
        before = len(answered)
        running.send_signal(signal.SIGTERM)
        assert [one.result() for one in working] == ["close"] * 8
    assert set(answered) == {200}
    assert len(answered) >= before
    assert running.wait(20) == 0


def test_a_stop_answers_what_is_under_way_and_says_so(process: Any, ask: Ask, different: Different) -> None:
    running, place = process
    _wait_until(lambda: _reachable(ask, place))
    with ThreadPoolExecutor(4) as clients:
        body = {"inputs": different(40_000)}
        large = [clients.submit(ask, place, "POST", "/embed", body) for _ in range(3)]
        _wait_until(lambda: b"embedrt_active_requests 4.0" in ask(place, "GET", "/metrics").body)
        running.send_signal(signal.SIGTERM)
        _wait_until(lambda: not _reachable(ask, place))
        draining = ask(place, "GET", "/health")
        assert (draining.status, draining.json["error"]) == (503, "the server is shutting down")
        assert draining.headers["connection"] == "close"
        assert {answer.result().status for answer in large} == {200}
    assert running.wait(20) == 0


def test_a_connection_that_was_idle_at_the_stop_is_answered_once_more(process: Any, ask: Ask) -> None:
    running, place = process
    _wait_until(lambda: _reachable(ask, place))
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
def test_a_run_without_an_end_holds_no_stop_up(start: Start, ask: Ask, signals: int) -> None:
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
        _wait_until(lambda: bool(ran))
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


def test_traces(start: Start, ask: Ask) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from embedrt.server.tracing import _OpenTelemetry

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with start() as server:
        server.app._parts.traces = _OpenTelemetry(provider)
        ask(server, "POST", "/embed", {"inputs": ["a", "cat"]}, traceparent=f"00-{trace}-{parent}-01")
        ask(server, "GET", "/info")
        _wait_until(lambda: len(exporter.get_finished_spans()) == 5)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert list(spans) == ["tokenize", "queue", "infer", "POST /embed", "GET /info"]
    asked = spans["POST /embed"]
    assert asked.context is not None
    assert asked.parent is not None
    assert (f"{asked.context.trace_id:032x}", f"{asked.parent.span_id:016x}") == (trace, parent)
    assert asked.attributes is not None
    assert (asked.attributes["embedrt.texts"], asked.attributes["http.response.status_code"]) == (2, 200)
    for name in ("tokenize", "queue", "infer"):
        span = spans[name]
        assert span.parent is not None
        assert span.parent.span_id == asked.context.span_id
        assert asked.start_time <= span.start_time <= span.end_time <= asked.end_time  # type: ignore[operator]


def test_traces_need_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedrt.server.tracing._NEEDED", ("opentelemetry_that_is_not_there.sdk",))
    with pytest.raises(MissingDependencyError, match=r'type pip install "embedrt\[serve,otel\]"'):
        traces_to("http://127.0.0.1:4318/v1/traces")
