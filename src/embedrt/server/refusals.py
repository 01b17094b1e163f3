"""Why a request is not answered, in one word; :mod:`dialects` says it in the words of each API."""

from typing import Literal

from embedrt.errors import EmbedrtError

__all__ = ["HungUpError", "Reason", "Refusal", "wrong_kind"]

Reason = Literal[
    "malformed",  # the body is not JSON
    "validation",  # it is, and says something that cannot be done
    "empty",  # nothing to do
    "tokenizer",  # a text that the tokenizer cannot take
    "backend",  # the model cannot do this, or failed at it
    "overloaded",  # too much is waiting already
    "too_large",  # more bytes than a body may have
    "too_slow",  # the body did not arrive in time
    "unauthorized",
    "unknown_route",
    "unknown_model",
    "wrong_method",
    "unhealthy",
    "draining",
    "internal",
]


class Refusal(EmbedrtError):  # noqa: N818  it is an answer, not a fault
    """A request that gets an error for an answer."""

    def __init__(self, reason: Reason, message: str, *, param: str | None = None) -> None:
        """``message`` is shown to the client and must not quote texts; ``param`` is the field of the body that is to blame."""
        super().__init__(message)
        self.reason, self.message, self.param = reason, message, param


class HungUpError(EmbedrtError):
    """The client is gone: there is nobody to answer."""


def wrong_kind(message: str) -> Refusal:
    """The answer of a model that cannot do what was asked, in text-embeddings-inference's words."""
    return Refusal("backend", f"Backend error: {message}")
