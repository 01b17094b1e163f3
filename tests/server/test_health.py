"""Health: lost workers are replaced, a poison text fails alone."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from embedrt.server import Server

Ask = Callable[..., Any]
Different = Callable[[int], list[str]]
Start = Callable[..., Server]
WaitUntil = Callable[[Callable[[], bool]], None]
_LEGS = "a worker died or hangs, and is being replaced"


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
def test_a_lost_worker_turns_health_and_is_replaced(start: Start, ask: Ask, reason: str, wait_until: WaitUntil) -> None:
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

            wait_until(found)
            assert answer.result().status == 200
        assert (
            503,
            json.dumps({"error": _LEGS, "error_type": "Unhealthy"}, separators=(",", ":")).encode(),
        ) in statuses
        wait_until(lambda: ask(server, "GET", "/health").status == 200)
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
