"""What else an operator sees: metrics, traces, places to listen at."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedrt.errors import InputError, MissingDependencyError
from embedrt.server import Server
from embedrt.server.tracing import traces_to

Ask = Callable[..., Any]
Different = Callable[[int], list[str]]
Start = Callable[..., Server]
WaitUntil = Callable[[Callable[[], bool]], None]


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


def test_traces(start: Start, ask: Ask, wait_until: WaitUntil) -> None:
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
        wait_until(lambda: len(exporter.get_finished_spans()) == 5)
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
