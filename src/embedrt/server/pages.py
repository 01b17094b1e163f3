"""The pages for people: one to try the server, one that shows its OpenAPI document. No network, no build."""

from functools import cache
from importlib.resources import files

import orjson

from embedrt.server.asking import Asking
from embedrt.server.exchange import Response
from embedrt.server.openapi import document

__all__ = ["docs", "index", "openapi"]

_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", _POLICY),
]


async def index(asking: Asking) -> Response:
    """``GET /``."""
    del asking
    return Response(_page("index.html"), headers=[*_HEADERS])


async def docs(asking: Asking) -> Response:
    """``GET /docs``."""
    del asking
    return Response(_page("docs.html"), headers=[*_HEADERS])


async def openapi(asking: Asking) -> Response:
    """``GET /openapi.json``."""
    limits = asking.limits
    return Response(orjson.dumps(document(limits, secured=asking.secured)))


@cache
def _page(name: str) -> bytes:
    return (files("embedrt.server") / "static" / name).read_bytes()
