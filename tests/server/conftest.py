"""Servers on free ports of this machine, started once for many tests, and a client that hides nothing."""

import http.client
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from embedrt import SentenceEncoder
from embedrt.server import Limits, ModelSource, Server, ServerSettings

PROMPTS = {"query": "query: ", "passage": "passage: "}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _ask(server: Server, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """One request on a connection of its own; a body that is not bytes goes as JSON."""
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, sent, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)
    finally:
        connection.close()


def _settings(*sources: ModelSource, **more: Any) -> ServerSettings:
    """Settings for a test: a free port, two workers, limits by keyword ``limits={...}``."""
    limits = Limits(**more.pop("limits", {}))
    return ServerSettings(models=sources, **{"port": 0, "threads": 2, "log_level": "error", **more, "limits": limits})


def _different(count: int) -> list[str]:
    words = (
        "how",
        "do",
        "i",
        "reset",
        "my",
        "password",
        "where",
        "is",
        "the",
        "invoice",
        "a",
        "cat",
        "sat",
        "on",
        "mat",
    )
    return [" ".join(some) for some in itertools.islice(itertools.product(words, repeat=4), count)]


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="session")
def different() -> Callable[[int], list[str]]:
    """So many texts of four words: equal ones of a request would be one in the queue."""
    return _different


@pytest.fixture(scope="session")
def ask() -> Callable[..., Answer]:
    return _ask


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Asks again and again, for 15 seconds."""
    return _wait_until


@pytest.fixture(scope="session")
def start(served: Path) -> Callable[..., Server]:
    """A server that is not running yet; ``with start() as server`` runs it."""

    def started(*sources: ModelSource, **more: Any) -> Server:
        return Server(_settings(*(sources or (ModelSource(name="tiny", location=str(served)),)), **more))

    return started


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, write_artifact: Callable[..., Path]) -> Path:
    """An artifact with prompts, and with token embeddings in its graph."""
    return write_artifact(
        tmp_path_factory.mktemp("served") / "tiny",
        variants={"fp32": {"token_embeddings": True}},
        serving={"prompts": PROMPTS, "pooling": ("mean",)},
    )


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, write_artifact: Callable[..., Path]) -> Path:
    """An artifact with other weights, without token embeddings, whose prompts are left out of pooling."""
    return write_artifact(
        tmp_path_factory.mktemp("served") / "plain",
        variants={"fp32": {"seed": 1, "pooling_mask": True}},
        serving={"prompts": PROMPTS, "include_prompt": False},
    )


@pytest.fixture(scope="session")
def server(start: Callable[..., Server], served: Path, plain: Path) -> Iterator[Server]:
    """A server of two models that tests only ask."""
    sources = (ModelSource(name="tiny", location=str(served)), ModelSource(name="plain", location=str(plain)))
    with start(*sources, aliases={"text-embedding-3-small": "tiny"}) as running:
        yield running


@pytest.fixture(scope="session")
def original(served: Path) -> Iterator[SentenceEncoder]:
    """The encoder of :func:`served`."""
    with SentenceEncoder(served, threads=1) as encoder:
        yield encoder
