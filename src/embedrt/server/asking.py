"""What every route is given: the request, the models, and what the server was told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from embedrt.server.dialects import Dialect
from embedrt.server.exchange import Exchange, Response
from embedrt.server.fields import Fields
from embedrt.server.models import ServedModel
from embedrt.server.refusals import Refusal
from embedrt.server.registry import Registry
from embedrt.server.settings import Limits

__all__ = ["Asking", "Handler", "Route"]


@dataclass(slots=True)
class Asking:
    """A request on its way to a model."""

    exchange: Exchange
    registry: Registry
    limits: Limits
    truncate: bool
    """Whether texts are cut where the request does not say."""
    secured: bool = False
    """Whether API keys are asked for."""
    path_model: str | None = None
    """The model that the path names (``/models/NAME/…``)."""

    async def fields(self) -> Fields:
        """The body's fields.

        Raises:
            Refusal: it is compressed, or no JSON object.
        """
        body = await self.exchange.body(self.limits)
        encoding = self.exchange.headers.get(b"content-encoding", b"").decode("latin-1")
        if encoding.strip().lower() not in ("", "identity"):
            raise Refusal("malformed", f"The body has Content-Encoding {encoding}, expected none: send plain JSON")
        return Fields.parsed(body)

    def model(self, name: str | None = None) -> ServedModel:
        """The model of that name; without one the path's, else the first."""
        model = self.registry.named(self.path_model if name is None else name)
        self.exchange.model = model.description.name
        return model


Handler = Callable[[Asking], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers on a path."""

    handlers: dict[str, Handler]
    """By method."""
    dialect: Dialect
    """How its errors are written."""
    public: frozenset[str] = frozenset()
    """The methods that need no key."""
    label: str = "other"
    """Its name in metrics and logs."""
