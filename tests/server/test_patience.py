"""Connections that would stay open for ever: each ends by a time of the server's."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from embedrt.server import Server

_DOCS = b"GET /docs HTTP/1.1\r\nhost: a\r\n\r\n"


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


def test_answers_that_nobody_takes(start: Callable[..., Server]) -> None:
    """Many small ones, of which the system takes some megabytes, and the server the first that is beyond them."""
    with start(limits={"answer_seconds": 0.2}) as server, _connected(server) as connection:
        connection.sendall(_DOCS)
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(_DOCS * 20_000)
        _until_nobody_is_connected(server)
        assert server.app.active == 0


def test_the_rest_of_an_answer_that_nobody_takes(start: Callable[..., Server]) -> None:
    """Too little to hold the server's own writing up, and the connection is to end with it."""
    with start(limits={"answer_seconds": 0.2}) as server, _connected(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        connection.recv(65536)
        (protocol,) = server._http.server_state.connections
        protocol.loop.call_soon_threadsafe(protocol.transport.set_write_buffer_limits, 1 << 30)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(_DOCS * 5_000 + _DOCS.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        _until_nobody_is_connected(server)
