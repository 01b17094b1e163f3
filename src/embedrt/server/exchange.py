"""One HTTP request, and what becomes of it: its body within limits, its answer, and what is logged and measured of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from embedrt.server.jobs import Job
from embedrt.server.refusals import HungUpError, Refusal
from embedrt.server.settings import Limits

__all__ = ["Exchange", "Response"]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
_JSON = (b"content-type", b"application/json")
_DRAINED = 8
"""Bodies up to so many times the limit are read to their end before they are refused: a client that is still
writing when the connection closes never sees the answer."""


class Response:
    """An answer, ready to be sent."""

    __slots__ = ("body", "close", "headers", "status")

    def __init__(self, body: bytes, *, status: int = 200, headers: Headers | None = None, close: bool = False) -> None:
        """JSON where ``headers`` do not say otherwise; ``close`` ends the connection."""
        self.body, self.status, self.close = body, status, close
        self.headers = headers if headers is not None else [_JSON]


class Exchange:
    """A request and what is known of its fate."""

    __slots__ = (
        "characters",
        "content_length",
        "headers",
        "identity",
        "job",
        "model",
        "path",
        "receive",
        "route",
        "scope",
        "send",
        "started",
        "texts",
        "tokenization",
        "tokens",
    )

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.path: str = scope["path"]
        self.route, self.identity = "other", ""
        self.started = time.monotonic()
        self.job: Job | None = None
        self.model: str | None = None
        self.texts = self.characters = self.tokens = 0
        self.tokenization = 0.0
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        length = self.headers.get(b"content-length", b"0")
        self.content_length = int(length) if length.isdigit() else 0

    async def body(self, limits: Limits) -> bytes:
        """The whole body.

        Raises:
            Refusal: it is too large, or too slow.
            HungUpError: the client left before its end.
        """
        message = await self._first(limits.body_seconds)
        if not message.get("more_body") and len(message.get("body", b"")) <= limits.body:
            return self._chunk(message)
        try:
            async with asyncio.timeout(limits.body_seconds):
                return await self._rest(message, limits)
        except TimeoutError:
            raise _too_slow(limits.body_seconds) from None

    async def _first(self, seconds: float) -> MutableMapping[str, Any]:
        """The first part of the body; most bodies are one, and are there already when they are asked for."""
        try:
            async with asyncio.timeout(seconds):
                return await self.receive()
        except TimeoutError:
            raise _too_slow(seconds) from None

    async def _rest(self, message: MutableMapping[str, Any], limits: Limits) -> bytes:
        chunks, size = [], 0
        while True:
            chunk = self._chunk(message)
            size += len(chunk)
            if size <= limits.body:
                chunks.append(chunk)
            if not message.get("more_body") or size > _DRAINED * limits.body:
                break
            message = await self.receive()
        if size > limits.body:
            raise Refusal("too_large", f"the body is larger than {limits.body} bytes")
        return b"".join(chunks)

    def _chunk(self, message: MutableMapping[str, Any]) -> bytes:
        if message["type"] == "http.disconnect":
            raise HungUpError
        chunk: bytes = message.get("body", b"")
        return chunk

    async def hung_up(self) -> None:
        """Returns when the client has."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def answer(self, response: Response) -> None:
        """Send the answer."""
        headers = [*response.headers, (b"content-length", str(len(response.body)).encode())]
        headers.append((b"x-request-id", self.identity.encode()))
        if response.close:
            headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if self.scope["method"] == "HEAD" else response.body
        await self.send({"type": "http.response.body", "body": body})


def _too_slow(seconds: float) -> Refusal:
    return Refusal("too_slow", f"the body did not arrive within {seconds:g} seconds")
