"""The ASGI application: from a request to its route, who may ask, and what is told of it afterwards."""

import dataclasses
import itertools
import os
import re
import time
from collections.abc import MutableMapping
from typing import Any

from embedrt.server import dialects
from embedrt.server.asking import Asking, Route
from embedrt.server.exchange import Exchange, Receive, Response, Send
from embedrt.server.health import Health
from embedrt.server.keys import ApiKeys
from embedrt.server.logs import JsonLog
from embedrt.server.metrics import CONTENT_TYPE, Metrics
from embedrt.server.refusals import HungUpError, Reason, Refusal
from embedrt.server.registry import Registry
from embedrt.server.routes import MODEL, routes
from embedrt.server.settings import ServerSettings
from embedrt.server.tracing import Traces

__all__ = ["App", "Parts"]

_HUNG_UP = 499
"""What logs and metrics call a request whose client did not wait."""
_IDENTITY = re.compile(rb"[\x21-\x7e]{1,128}")
_OPENAI_PATHS = ("/v1/", "/embeddings")
_OF_A_MODEL, _LISTED_MODEL = "/models/", "/v1/models/"
_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])


@dataclasses.dataclass(slots=True, kw_only=True)
class Parts:
    """What a server consists of."""

    settings: ServerSettings
    registry: Registry
    health: Health
    metrics: Metrics
    log: JsonLog
    traces: Traces


class App:
    """Answers requests."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._settings, self._limits = parts, parts.settings, parts.settings.limits
        self._keys = ApiKeys(parts.settings.api_keys)
        self._routes = routes(self._health, self._metrics)
        self._prefix, self._serial = os.urandom(4).hex(), itertools.count()
        self.active = 0
        """Requests under way."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request; there is nothing but HTTP here."""
        exchange, method = Exchange(scope, receive, send), scope["method"]
        exchange.identity = self._identity(exchange)
        self.active += 1
        try:
            status = await self._answered(exchange, method)
        finally:
            self.active -= 1
        self._tell(exchange, method, status)

    def refused(self, reason: Reason) -> str:
        """Count what the protocol refused before it was a request, and give its answer an id."""
        self._parts.metrics.refused(reason)
        return self._own_identity()

    async def _answered(self, exchange: Exchange, method: str) -> int:
        dialect: dialects.Dialect = dialects.openai if exchange.path.startswith(_OPENAI_PATHS) else dialects.tei
        try:
            route, model = self._route(exchange)
            dialect = route.dialect
            response = await self._response(exchange, route, model, method)
        except Refusal as refusal:
            self._parts.metrics.refused(refusal.reason)
            response = dialect(refusal)
        except HungUpError:
            self._parts.metrics.refused("hung_up")
            return _HUNG_UP
        except Exception as error:  # noqa: BLE001  the last resort: one request fails, the others go on
            self._parts.metrics.refused("internal")
            self._parts.log.fault("fault", error, id=exchange.identity, route=exchange.route)
            response = dialect(Refusal("internal", "The server had an error while processing your request"))
        response.close = response.close or self._parts.health.draining
        await exchange.answer(response)
        return response.status

    def _route(self, exchange: Exchange) -> tuple[Route, str | None]:
        """What answers on the path, and the model that the path names."""
        path, model = exchange.path, None
        route = self._routes.get(path)
        if route is None and path.startswith(_LISTED_MODEL):
            route, model = MODEL, path[len(_LISTED_MODEL) :]
        elif route is None and path.startswith(_OF_A_MODEL):
            model, _, rest = path[len(_OF_A_MODEL) :].rpartition("/")
            route = self._routes.get("/" + rest) if model else None
            if route is None or route.public:  # nothing but the name: as at / itself
                route, model = self._routes["/"], path[len(_OF_A_MODEL) :].rstrip("/")
        if route is None:
            raise Refusal("unknown_route", "There is no such route here; /docs lists those that there are")
        exchange.route = route.label
        return route, model

    async def _response(self, exchange: Exchange, route: Route, model: str | None, method: str) -> Response:
        public = method in route.public
        if not public and not self._keys.accepts(exchange.headers.get(b"authorization")):
            raise Refusal("unauthorized", "Incorrect or missing API key: send the header Authorization: Bearer KEY")
        handler = route.handlers.get(method)
        if handler is None:
            self._parts.metrics.refused("wrong_method")
            return _not_allowed(route, method)
        if exchange.content_length > self._limits.body:
            await self._refuse_body(exchange)
        if not public and self.active > self._limits.requests:
            raise Refusal("overloaded", "Model is overloaded")
        asking = Asking(
            exchange, self._parts.registry, self._limits,
            truncate=self._settings.truncate, secured=bool(self._settings.api_keys), path_model=model,
        )  # fmt: skip
        return await handler(asking)

    async def _refuse_body(self, exchange: Exchange) -> None:
        """A body that says itself that it is too large; read to its end where that is near."""
        if exchange.content_length <= 8 * self._limits.body:
            await exchange.body(self._limits)
        raise Refusal("too_large", f"the body is larger than {self._limits.body} bytes")

    async def _health(self, asking: Asking) -> Response:
        del asking
        await self._parts.health.require()
        return Response(b"", headers=[])

    async def _metrics(self, asking: Asking) -> Response:
        del asking
        return Response(self._parts.metrics.text(), headers=[(b"content-type", CONTENT_TYPE)])

    def _identity(self, exchange: Exchange) -> str:
        """The client's own id of the request where it has one, else one of ours."""
        given = exchange.headers.get(b"x-request-id")
        if given is not None and _IDENTITY.fullmatch(given):
            return given.decode("ascii")
        return self._own_identity()

    def _own_identity(self) -> str:
        return f"{self._prefix}-{next(self._serial):x}"

    def _tell(self, exchange: Exchange, method: str, status: int) -> None:
        """Metrics, logs and traces of a request that is over."""
        seconds = time.monotonic() - exchange.started
        known = method if method in _METHODS else "other"
        self._parts.metrics.answered(exchange, known, status, seconds)
        self._parts.traces.record(exchange, known, status)
        job = exchange.job
        self._parts.log.write(
            "info" if status < 500 else "error", "request",
            id=exchange.identity, method=known, route=exchange.route, status=status, model=exchange.model,
            milliseconds=round(1e3 * seconds, 2), texts=exchange.texts, tokens=exchange.tokens,
            queue_milliseconds=round(1e3 * (job.started - job.entered), 2) if job else None,
            inference_milliseconds=round(1e3 * (job.finished - job.started), 2) if job else None,
        )  # fmt: skip


def _not_allowed(route: Route, method: str) -> Response:
    response = route.dialect(Refusal("wrong_method", f"{method[:20]} is not allowed here"))
    response.headers.append((b"allow", ", ".join(route.handlers).encode()))
    return response
