"""Logs: what happened, never a word of a text, and nothing stops for them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedrt.errors import InputError
from embedrt.server import Server
from embedrt.server.logs import JsonLog

Ask = Callable[..., Any]
Different = Callable[[int], list[str]]
Start = Callable[..., Server]
WaitUntil = Callable[[Callable[[], bool]], None]


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
    assert fault_line["places"][-1].startswith("test_logs.py:")
    assert "secretword" not in path.read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_stops_logs_and_nothing_else(start: Start, ask: Ask, wait_until: WaitUntil) -> None:
    with start(log_level="info", log_file=Path("/dev/full")) as server:
        for _ in range(5):
            assert ask(server, "POST", "/embed", {"inputs": "a"}).status == 200
        wait_until(lambda: _dropped(ask(server, "GET", "/metrics").body.decode()) >= 6)


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
