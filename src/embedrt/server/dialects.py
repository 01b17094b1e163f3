"""A refusal in the words of each API: status, headers and body."""

from collections.abc import Callable

import orjson

from embedrt.server.exchange import Response
from embedrt.server.refusals import Reason, Refusal

__all__ = ["Dialect", "cohere", "openai", "tei"]

Dialect = Callable[[Refusal], Response]
RETRY_AFTER = b"1"
"""Seconds: a queue of the default size is worked off in less."""
_JSON = (b"content-type", b"application/json")

_OPENAI: dict[Reason, tuple[int, str, str | None]] = {
    "malformed": (400, "invalid_request_error", None),
    "validation": (400, "invalid_request_error", None),
    "empty": (400, "invalid_request_error", None),
    "tokenizer": (400, "invalid_request_error", None),
    "backend": (424, "server_error", "backend_error"),
    "overloaded": (429, "requests", "rate_limit_exceeded"),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "too_slow": (408, "invalid_request_error", "request_timeout"),
    "unauthorized": (401, "invalid_request_error", "invalid_api_key"),
    "unknown_route": (404, "invalid_request_error", "unknown_url"),
    "unknown_model": (404, "invalid_request_error", "model_not_found"),
    "wrong_method": (405, "invalid_request_error", "method_not_allowed"),
    "unhealthy": (503, "server_error", "unhealthy"),
    "draining": (503, "server_error", "shutting_down"),
    "internal": (500, "server_error", "internal_error"),
}
_TEI: dict[Reason, tuple[int, str]] = {
    "malformed": (400, "Validation"),
    "validation": (422, "Validation"),
    "empty": (400, "Empty"),
    "tokenizer": (422, "Tokenizer"),
    "backend": (424, "Backend"),
    "overloaded": (429, "Overloaded"),
    "too_large": (413, "Validation"),
    "too_slow": (408, "Validation"),
    "unauthorized": (401, "Unauthorized"),
    "unknown_route": (404, "Validation"),
    "unknown_model": (404, "Validation"),
    "wrong_method": (405, "Validation"),
    "unhealthy": (503, "Unhealthy"),
    "draining": (503, "Unhealthy"),
    "internal": (500, "Backend"),
}
_ENDS_CONNECTION: frozenset[Reason] = frozenset(["too_large", "too_slow", "draining"])


def openai(refusal: Refusal) -> Response:
    """``{"error": {"message", "type", "param", "code"}}``."""
    status, kind, code = _OPENAI[refusal.reason]
    error = {"message": refusal.message, "type": kind, "param": refusal.param, "code": code}
    return _response({"error": error}, status, refusal)


def tei(refusal: Refusal) -> Response:
    """``{"error", "error_type"}``."""
    status, kind = _TEI[refusal.reason]
    return _response({"error": refusal.message, "error_type": kind}, status, refusal)


def cohere(refusal: Refusal) -> Response:
    """``{"message"}``, with text-embeddings-inference's statuses."""
    return _response({"message": refusal.message}, _TEI[refusal.reason][0], refusal)


def _response(content: object, status: int, refusal: Refusal) -> Response:
    headers = [_JSON]
    if status == 429:
        headers.append((b"retry-after", RETRY_AFTER))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return Response(orjson.dumps(content), status=status, headers=headers, close=refusal.reason in _ENDS_CONNECTION)
