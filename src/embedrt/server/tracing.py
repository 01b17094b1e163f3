"""OpenTelemetry traces: a span a request, with its stages inside; nothing is imported and nothing done unless asked for."""

import importlib.util
import time
from typing import Any, Protocol

from embedrt.errors import MissingDependencyError
from embedrt.server.exchange import Exchange

__all__ = ["NoTraces", "Traces", "traces_to"]

_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_NANOSECONDS = 1e9


class Traces(Protocol):
    """Where finished requests are told to."""

    def record(self, exchange: Exchange, method: str, status: int) -> None:
        """A request was answered."""

    def close(self) -> None:
        """Send what is left."""


class NoTraces:
    """Nobody listens."""

    def record(self, exchange: Exchange, method: str, status: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _OpenTelemetry:
    """Spans are made when a request is over: its stages are known then, and nothing is held while it runs."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider, self._tracer = provider, provider.get_tracer("embedrt")
        self._kind, self._within = SpanKind.SERVER, set_span_in_context
        self._failed = Status(StatusCode.ERROR)
        self._propagator = TraceContextTextMapPropagator()

    def record(self, exchange: Exchange, method: str, status: int) -> None:
        wall = time.time() - time.monotonic()  # from the monotonic clock to that of the traces

        def at(moment: float) -> int:
            return int((wall + moment) * _NANOSECONDS)

        carrier = {
            name: exchange.headers.get(name.encode(), b"").decode("latin-1") for name in ("traceparent", "tracestate")
        }
        attributes = {
            "http.request.method": method, "http.route": exchange.route, "http.response.status_code": status,
            "embedrt.model": exchange.model or "", "embedrt.texts": exchange.texts, "embedrt.tokens": exchange.tokens,
        }  # fmt: skip
        span = self._tracer.start_span(
            f"{method} {exchange.route}", context=self._propagator.extract(carrier), kind=self._kind,
            attributes=attributes, start_time=at(exchange.started),
        )  # fmt: skip
        if status >= 500:
            span.set_status(self._failed)
        job = exchange.job
        if job is not None and job.left == 0:
            began = job.entered - exchange.tokenization
            for name, start, end in (
                ("tokenize", began, job.entered), ("queue", job.entered, job.started), ("infer", job.started, job.finished),
            ):  # fmt: skip
                self._tracer.start_span(name, context=self._within(span), start_time=at(start)).end(at(end))
        span.end(at(time.monotonic()))

    def close(self) -> None:
        self._provider.shutdown()


def traces_to(endpoint: str | None) -> Traces:
    """Traces to an OTLP collector at ``endpoint`` (``http://host:4318/v1/traces``); none where it is None.

    Raises:
        MissingDependencyError: OpenTelemetry is not installed.
    """
    if endpoint is None:
        return NoTraces()
    if not all(map(_installed, _NEEDED)):
        raise MissingDependencyError(
            'traces were asked for, but OpenTelemetry is not installed: type pip install "embedrt[serve,otel]"'
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "embedrt"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return _OpenTelemetry(provider)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is not there
        return False
