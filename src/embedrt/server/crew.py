"""Worker threads that run batches, and the watch over them: one that died or hangs is replaced.

A thread cannot be ended from outside. One that hangs is given up: its texts run again on another worker, once, and what it may
still give is thrown away. Its place is taken by a new thread with sessions of its own.
"""

import threading
import time
from collections.abc import Callable, Iterable

from embedrt.errors import EmbedrtError
from embedrt.server.fair_queue import FairQueue
from embedrt.server.jobs import Batch, Job

__all__ = ["Crew", "Fault", "Observe", "WorkerLostError"]

_END_SECONDS = 0.05
"""For workers that do nothing to end."""
Deliver = Callable[[Iterable[Job]], None]
Observe = Callable[[Batch, float], None]
"""Told of each finished batch and the seconds that it took."""
Fault = Callable[[Exception], None]
"""Told why a model's sessions could not be opened again."""


class WorkerLostError(EmbedrtError):
    """The worker that ran a text died or hung, twice."""


class _Worker(threading.Thread):
    """Runs one batch after another."""

    def __init__(self, crew: "Crew", number: int) -> None:
        super().__init__(name=f"embedrt-{number}", daemon=True)
        self.number = number
        self.batch: Batch | None = None
        self.since = 0.0
        self.dismissed = False
        self._crew = crew

    def run(self) -> None:
        queue = self._crew.queue
        while not self.dismissed and (batch := queue.take()) is not None:
            self.since, self.batch = time.monotonic(), batch
            self._crew.work(batch)
            self.batch = None


class Crew:
    """As many workers as there are processors."""

    def __init__(
        self,
        queue: FairQueue,
        *,
        count: int,
        stuck_after: float,
        deliver: Deliver,
        observe: Observe = lambda _batch, _seconds: None,
        fault: Fault = lambda _error: None,
    ) -> None:
        """A run that takes longer than ``stuck_after`` seconds is one that hangs."""
        self.queue, self._count, self._stuck_after = queue, count, stuck_after
        self._deliver, self._observe, self._fault = deliver, observe, fault
        self._workers: list[_Worker] = []
        self.last_success = 0.0
        """When an inference last ended well, on the monotonic clock."""
        self.last_loss = 0.0
        """When a worker was last found dead or hanging."""
        self.losses = {"died": 0, "stuck": 0}

    @property
    def count(self) -> int:
        """Workers that there are to be."""
        return self._count

    def start(self) -> None:
        """Begin to work."""
        self._workers = [self._started(number) for number in range(self._count)]

    def work(self, batch: Batch) -> None:
        """Run one batch, and tell whoever waits."""
        began = time.monotonic()
        try:
            results = batch.key.runner.run(batch)
        except Exception as error:  # noqa: BLE001  whatever a run raises belongs to those who wait for its texts
            ended = self.queue.fail(batch, error)
        else:
            ended = self.queue.finish(batch, results)
            self.last_success = time.monotonic()
            self._observe(batch, self.last_success - began)
        if ended:
            self._deliver(ended)

    def broken(self) -> bool:
        """Whether a worker is dead or hangs at this moment."""
        return any(self._loss(worker) for worker in self._workers)

    def check(self) -> list[str]:
        """Replace workers that died or hang; why each was."""
        lost = []
        for place, worker in enumerate(self._workers):
            reason = self._loss(worker)
            if reason:
                lost.append(reason)
                self.losses[reason] += 1
                self.last_loss = time.monotonic()
                self._give_up(worker, reason)
                self._workers[place] = self._started(worker.number)
        return lost

    def close(self, timeout: float) -> bool:
        """Finish what is queued; whether that was done in ``timeout`` seconds. What waits then is dropped."""
        self.queue.close()
        deadline = time.monotonic() + max(timeout, _END_SECONDS)
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        dropped = self.queue.drop()
        return not dropped and not any(worker.is_alive() for worker in self._workers)

    def _started(self, number: int) -> _Worker:
        worker = _Worker(self, number)
        worker.start()
        return worker

    def _loss(self, worker: _Worker) -> str | None:
        if not worker.is_alive():
            return "died"
        hanging = worker.batch is not None and time.monotonic() - worker.since > self._stuck_after
        return "stuck" if hanging else None

    def _give_up(self, worker: _Worker, reason: str) -> None:
        worker.dismissed = True
        batch = worker.batch
        if batch is None:
            return
        try:
            batch.key.runner.renew()
        except Exception as error:  # noqa: BLE001  the old sessions are all that there is, and may do
            self._fault(error)
        loss = WorkerLostError(f"the worker that ran this text {'died' if reason == 'died' else 'hung'}, twice")
        if ended := self.queue.fail(batch, loss):
            self._deliver(ended)
