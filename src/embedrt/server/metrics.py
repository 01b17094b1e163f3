"""What Prometheus reads at ``/metrics``: one object a server, its figures bound to their labels before the first request."""

from collections.abc import Callable
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from embedrt.server.exchange import Exchange
from embedrt.server.jobs import Batch
from embedrt.server.models import Description

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters, gauges and histograms."""

    def __init__(self, *, waiting: Callable[[], float], active: Callable[[], float]) -> None:
        """``waiting`` texts and ``active`` requests are asked for when Prometheus reads."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "embedrt_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self._errors = Counter(
            "embedrt_errors", "Requests that were refused or failed, by reason.", ["reason"], registry=registry
        )
        self._seconds = Histogram(
            "embedrt_request_seconds", "From the first line of a request to its answer.", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._texts = Counter("embedrt_texts", "Texts that were run.", ["model"], registry=registry)
        self._tokens = Counter("embedrt_tokens", "Tokens that were run.", ["model"], registry=registry)
        self._tokenization = self._stage("embedrt_tokenization_seconds", "Tokenization of a request's texts.")
        self._queue = self._stage("embedrt_queue_seconds", "From the queue to the first run of a request's texts.")
        self._inference = self._stage(
            "embedrt_inference_seconds", "From the first run of a request's texts to the last."
        )
        self._batch_tokens = Histogram("embedrt_batch_tokens", "Tokens of a run.", buckets=_TOKENS, registry=registry)
        self._batch_texts = Histogram("embedrt_batch_texts", "Texts of a run.", buckets=_TEXTS, registry=registry)
        self._batch_seconds = Histogram("embedrt_batch_seconds", "Time of a run.", buckets=_SECONDS, registry=registry)
        Gauge("embedrt_queue_texts", "Texts that wait for a worker.", registry=registry).set_function(waiting)
        Gauge("embedrt_active_requests", "Requests under way.", registry=registry).set_function(active)
        self._lost = Counter("embedrt_workers_lost", "Workers that were replaced.", ["reason"], registry=registry)
        self._unlogged = Counter("embedrt_log_lines_dropped", "Log lines that could not be written.", registry=registry)
        for reason in ("died", "stuck"):
            self._lost.labels(reason)
        self._model_info = Gauge(
            "embedrt_model_info", "The models that are served.",
            ["model", "kind", "variant", "precision", "dimension", "max_tokens", "sha256"], registry=registry,
        )  # fmt: skip
        self._bind()

    def _stage(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=_SECONDS, registry=self._registry)

    def _bind(self) -> None:
        """Looking a label up costs as much as counting: remember what was found."""
        self._counted = lru_cache(1024)(lambda route, method, status: self._requests.labels(route, method, str(status)))
        self._timed = lru_cache(64)(self._seconds.labels)
        self._texts_of = lru_cache(256)(self._texts.labels)
        self._tokens_of = lru_cache(256)(self._tokens.labels)

    def describe(self, model: Description) -> None:
        """Say that a model is served."""
        self._model_info.labels(
            model.name, model.kind, model.variant or "", model.precision, str(model.dimension),
            str(model.max_tokens or ""), model.sha256 or "",
        ).set(1)  # fmt: skip

    def answered(self, exchange: Exchange, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._counted(exchange.route, method, status).inc()
        self._timed(exchange.route).observe(seconds)
        job = exchange.job
        if job is not None and job.left == 0 and exchange.model is not None:
            self._tokenization.observe(exchange.tokenization)
            self._queue.observe(job.started - job.entered)
            self._inference.observe(job.finished - job.started)
            self._texts_of(exchange.model).inc(exchange.texts)
            self._tokens_of(exchange.model).inc(exchange.tokens)

    def refused(self, reason: str) -> None:
        """Count a request that was not served."""
        self._errors.labels(reason).inc()

    def ran(self, batch: Batch, seconds: float) -> None:
        """Count a run; called on workers."""
        self._batch_tokens.observe(batch.tokens)
        self._batch_texts.observe(len(batch.members))
        self._batch_seconds.observe(seconds)

    def lost(self, reason: str) -> None:
        """Count a worker that was replaced."""
        self._lost.labels(reason).inc()

    def unlogged(self, lines: int) -> None:
        """Count log lines that went nowhere."""
        self._unlogged.inc(lines)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
