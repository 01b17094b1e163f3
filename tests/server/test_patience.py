"""Connections that would stay open for ever: each ends by a time of the server's."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from embedrt.server import Server


def _connected(server: Server) -> socket.socket:
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


def _until_nobody_is_connected(server: Server) -> None:
    deadline = time.monotonic() + 10
    while server._http.server_state.connections:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def hurried(start: Callable[..., Server]) -> Iterator[Server]:
    with start(keep_alive_seconds=1) as server:
        yield server


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        (b"POST /gone HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n", b"x"),
        (b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n", b"\r\n"),
    ],
    ids=["a body after its answer", "an empty line"],
)
def test_bytes_after_an_answer_do_not_keep_a_connection(hurried: Server, asked: bytes, more: bytes) -> None:
    with _connected(hurried) as connection:
        connection.sendall(asked)
        assert connection.recv(65536).startswith(b"HTTP/1.1 ")
        connection.sendall(more)
        assert connection.recv(65536) == b""


def test_another_request_does(hurried: Server) -> None:
    asked = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"
    with _connected(hurried) as connection:
        connection.sendall(asked)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"\r\n" + asked)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
