"""A server from start to end: load, listen, answer, drain."""

import asyncio
import contextlib
import logging
import math
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

import uvicorn

from embedrt.server.app import App, Parts
from embedrt.server.engine import Engine
from embedrt.server.health import Health
from embedrt.server.jobs import Batch
from embedrt.server.logs import JsonLog, LibraryLogs
from embedrt.server.metrics import Metrics
from embedrt.server.protocol import protocol_within
from embedrt.server.registry import Registry
from embedrt.server.settings import ServerSettings
from embedrt.server.sockets import address_of, listening_socket
from embedrt.server.tracing import traces_to

__all__ = ["Server", "serve"]

_LEAD_SECONDS = 0.5
"""Between the news that a server stops and the end of listening: connections that are kept alive end with an answer instead
of under a request."""
_SWITCH_SECONDS = 0.0005
"""How long one thread may hold the interpreter while another wants it. A worker that comes back from a run waits so long
for the event loop at most; Python's own 5 ms are a third of a run."""


class Server:
    """Models behind a socket; runs in the thread that calls :meth:`run`, or beside others as a context manager."""

    def __init__(self, settings: ServerSettings) -> None:
        """Load the models and listen.

        Raises:
            ArtifactError: a model is not there, damaged or foreign.
            InputError: the place cannot be listened on, or a log file not be written.
            UnavailableError: something that was asked for is not installed.
        """
        self.settings = settings
        traces = traces_to(settings.otlp_endpoint)
        self.registry = Registry.load(settings)
        self.metrics = Metrics(waiting=lambda: self.engine.queue.waiting, active=lambda: self.app.active)
        workers = max(model.layout.workers for model in self.registry)
        self.engine = Engine(
            settings.limits, workers=workers, linger=settings.linger_seconds,
            stuck_after=settings.stuck_seconds, observe=self._ran, fault=self._not_renewed,
        )  # fmt: skip
        for model in self.registry:
            model.attach(self.engine)
            self.metrics.describe(model.description)
        self.health = Health(self.engine, self.registry.named(None), settings.health_seconds)
        self.log = JsonLog(settings.log_file, level=settings.log_level, dropped=self.metrics.unlogged)
        self.app = App(
            Parts(
                settings=settings, registry=self.registry, health=self.health,
                metrics=self.metrics, log=self.log, traces=traces,
            )
        )  # fmt: skip
        self._traces = traces
        self._socket: socket.socket = listening_socket(settings)
        self.address = address_of(self._socket)
        self._http = _Http(self._config(), self._begin_to_stop)
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()

    def run(self) -> None:
        """Answer requests until SIGTERM, SIGINT or :meth:`stop`; the log's end is the end."""
        _allow_open_files()
        switch = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        handler = LibraryLogs(self.log)
        library = logging.getLogger("uvicorn.error")
        library.addHandler(handler)
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        finally:
            self._ready.set()  # whoever waits for a server that failed to start must not wait for ever
            library.removeHandler(handler)
            sys.setswitchinterval(switch)
            self._traces.close()
            self.log.close()
            self._socket.close()
            if self.settings.unix_socket is not None:
                self.settings.unix_socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Drain and end, as SIGTERM does; may be called from any thread."""
        self._http.handle_exit(signal.SIGTERM, None)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.run, name="embedrt-server")
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join()

    async def _serve(self) -> None:
        self.engine.start()
        for model in self.registry:
            await self.engine.run(model.probe())
        self.log.write(
            "info", "started", address=self.address, models=[model.description.name for model in self.registry],
            workers=self.engine.crew.count,
        )  # fmt: skip
        watch = asyncio.create_task(self.health.watch(self._lost))
        try:
            asyncio.get_running_loop().call_soon(self._ready.set)
            await self._http.serve(sockets=[self._socket])
        finally:
            watch.cancel()
            finished = self.engine.close(self._http.seconds_left())
            self.log.write("info" if finished else "error", "stopped", finished=finished)

    def _begin_to_stop(self) -> None:
        """From here on health says no, and every answer ends its connection."""
        self.health.draining = True
        self.log.write("info", "draining", active=self.app.active)

    def _lost(self, reason: str) -> None:
        self.metrics.lost(reason)
        self.log.write("error", "worker replaced", reason=reason)

    def _not_renewed(self, error: Exception) -> None:
        self.log.fault("sessions not renewed", error)

    def _ran(self, batch: Batch, seconds: float) -> None:
        self.metrics.ran(batch, seconds)

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self.app,
            http=protocol_within(self.settings.limits, refused=self.app.refused),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=round(self.settings.keep_alive_seconds),
            timeout_graceful_shutdown=round(self.settings.drain_seconds),
        )


class _Http(uvicorn.Server):
    """uvicorn's server, which is told a moment before it stops listening that it will."""

    def __init__(self, config: uvicorn.Config, begin_to_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._begin_to_stop, self._deadline = begin_to_stop, math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, a second one ends at once."""
        if self._deadline < math.inf:
            self.should_exit = self.force_exit = True
            return
        lead = _LEAD_SECONDS if self.server_state.connections else 0.0
        self._deadline = time.monotonic() + lead + self._drain_seconds
        self._begin_to_stop()
        threading.Timer(lead, self._stop_listening).start()

    def seconds_left(self) -> float:
        """Of the time for what is under way, which answers and queue share; none once it is to end at once."""
        if self.force_exit:
            return 0.0
        return min(self._drain_seconds, max(0.0, self._deadline - time.monotonic()))

    @property
    def _drain_seconds(self) -> int:
        return self.config.timeout_graceful_shutdown or 0

    def _stop_listening(self) -> None:
        self.should_exit = True


def serve(settings: ServerSettings, *, listening: Callable[[Server], None] = lambda _server: None) -> None:
    """Serve until SIGTERM or SIGINT; ``listening`` is told when models are loaded and the place is known."""
    server = Server(settings)
    listening(server)
    server.run()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on every platform; asyncio's own loop does the same, slower
        return None
    return uvloop.new_event_loop


def _allow_open_files() -> None:
    """A connection is an open file: as many as the system lets this process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # where it may not be raised, the old limit holds
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
