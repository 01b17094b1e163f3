"""uvicorn's HTTP protocol, with the patience of a server that strangers talk to.

uvicorn waits for ever for the rest of a request's headers, which may grow for ever, and for an answer to be taken. Here they have
a time and a size, answers a time, there are so many connections and no more, and what is no HTTP is answered in JSON.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from embedrt.server.refusals import Reason
from embedrt.server.settings import Limits

__all__ = ["protocol_within"]

_LARGEST_HEAD = 65_536  # bytes of a request's line and headers


Refused = Callable[[Reason], str]


def protocol_within(limits: Limits, *, refused: Refused) -> Callable[..., HttpToolsProtocol]:
    """The protocol's class for these limits; ``refused`` is told why it refuses something, and gives the answer's id."""

    class Guarded(_Guarded):
        _limits, _refused = limits, staticmethod(refused)

    return Guarded


class _Guarded(HttpToolsProtocol):
    """One connection."""

    _limits: Limits
    _refused: Refused
    _deadline: asyncio.TimerHandle | None = None
    _head: int | None = 0
    """Bytes of the head that is being read; None while there is none."""
    _untaken: asyncio.TimerHandle | None = None
    """Runs while an answer, or the last of it before the connection's end, waits for the client to take it."""

    def connection_made(self, transport: Any) -> None:
        """A client is there; too many of them, and it is sent away."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._refuse(503, "too many connections")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_waiting()
        self._was_taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests; those of an endless head end the connection."""
        if self._head is not None:
            self._head += len(data)
        idle = self.timeout_keep_alive_task
        super().data_received(data)
        # rests of an answered request, or empty lines, are no reason to stay longer; uvicorn takes them for one
        if idle is not None and self._is_idle():
            self.timeout_keep_alive_task = self.loop.call_at(idle.when(), self.timeout_keep_alive_handler)
        if self._head is not None and self._head > _LARGEST_HEAD and not self.transport.is_closing():
            self._refuse(431, f"the request's headers are larger than {_LARGEST_HEAD} bytes")

    def on_message_begin(self) -> None:
        """A request begins: its head must follow soon."""
        super().on_message_begin()
        if self._deadline is None:
            self._head = 0
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._stop_waiting()
        self._head = None
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """More of an answer waits than is good: the client must take it soon."""
        super().pause_writing()
        self._must_be_taken()

    def resume_writing(self) -> None:
        """It was taken; at the connection's end the rest must be too."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._was_taken()

    def on_response_complete(self) -> None:
        """An answer is written, and the connection perhaps at its end."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._must_be_taken()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more was asked for."""
        super().timeout_keep_alive_handler()
        self._must_be_taken()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._refuse(400, msg)

    def _must_be_taken(self) -> None:
        if self._untaken is None:
            self._untaken = self.loop.call_later(self._limits.answer_seconds, self.transport.abort)

    def _was_taken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def _is_idle(self) -> bool:
        """Whether nothing is asked for: all requests are answered, and no other has begun."""
        return self._deadline is None and self.cycle.response_complete and not self.transport.is_closing()

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self._limits.header_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(408, f"the request's headers did not arrive within {self._limits.header_seconds:g} seconds")

    def _refuse(self, status: int, message: str) -> None:
        """Answer without the application, and end the connection."""
        self._stop_waiting()
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        body = orjson.dumps({"error": error})
        phrase, reason = _STATUSES[status]
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {self._refused(reason)}\r\n"
        )
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()
        self._must_be_taken()


_STATUSES: dict[int, tuple[str, Reason]] = {
    400: ("Bad Request", "malformed"),
    408: ("Request Timeout", "too_slow"),
    431: ("Request Header Fields Too Large", "too_large"),
    503: ("Service Unavailable", "overloaded"),
}
"""How a status is called, and its reason in the metrics."""
