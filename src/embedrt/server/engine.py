"""Where the event loop meets the workers: jobs go into the queue here, and their ends come back to whoever waits."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from embedrt.server.crew import Crew, Fault, Observe
from embedrt.server.exchange import Exchange
from embedrt.server.fair_queue import FairQueue, QueueClosedError, QueueFullError
from embedrt.server.jobs import Job
from embedrt.server.refusals import HungUpError, Refusal
from embedrt.server.settings import Limits

__all__ = ["Engine"]

_FEW_CHARACTERS = 2000
"""Tokenized on the event loop: about a millisecond at most, and handing it to a thread costs a tenth of one."""
_PATIENCE = 0.05
"""Seconds of waiting after which the connection is watched: most answers are there by then, and cost less than a watch."""
_Value = TypeVar("_Value")


class Engine:
    """Queue, workers and the thread that tokenizes, shared by all models of a process."""

    def __init__(
        self, limits: Limits, *, workers: int, linger: float, stuck_after: float, observe: Observe, fault: Fault
    ) -> None:
        self.limits = limits
        self.queue = FairQueue(capacity=limits.queue, linger=linger)
        self.crew = Crew(
            self.queue, count=workers, stuck_after=stuck_after, deliver=self._deliver, observe=observe, fault=fault
        )  # fmt: skip
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="embedrt-tokenize")
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to work for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self.crew.start()

    def close(self, timeout: float) -> bool:
        """Finish what is queued; whether that was done in ``timeout`` seconds. What waits then is dropped."""
        self._aside.shutdown(wait=False, cancel_futures=True)
        return self.crew.close(timeout)

    async def prepare(self, characters: int, work: Callable[[], _Value]) -> _Value:
        """``work`` on texts of so many characters, here if they are few, else on a thread beside the event loop."""
        if characters <= _FEW_CHARACTERS:
            return work()
        assert self._loop is not None  # noqa: S101  the server starts it before it listens
        return await self._loop.run_in_executor(self._aside, work)

    async def run(self, job: Job, exchange: Exchange | None = None) -> Job:
        """Queue a job and wait for its end; a client who hangs up meanwhile takes it out of the queue.

        Raises:
            Refusal: the queue is full, the server stops, or the model failed.
            HungUpError: the client is gone.
        """
        loop = asyncio.get_running_loop()
        job.future = loop.create_future()
        self._put(job)
        watch = _Watch(loop, job, exchange)
        try:
            await job.future
        except BaseException:
            self.queue.cancel(job)
            raise
        finally:
            watch.end()
        if job.error is not None:
            raise Refusal("backend", f"Backend error: {type(job.error).__name__} while the model ran") from job.error
        return job

    def _put(self, job: Job) -> None:
        try:
            self.queue.put(job)
        except QueueFullError as error:
            raise Refusal("overloaded", "Model is overloaded") from error
        except QueueClosedError as error:
            raise Refusal("draining", str(error)) from error

    def _deliver(self, jobs: Iterable[Job]) -> None:
        """Called on a worker: have the event loop wake those who wait."""
        assert self._loop is not None  # noqa: S101
        try:
            self._loop.call_soon_threadsafe(_settle, jobs)
        except RuntimeError:  # the loop was closed: nobody waits any more
            return


class _Watch:
    """Looks whether the client is still there, once it has waited for a while."""

    __slots__ = ("_exchange", "_job", "_loop", "_task", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, job: Job, exchange: Exchange | None) -> None:
        self._loop, self._job, self._exchange = loop, job, exchange
        self._task: asyncio.Task[None] | None = None
        self._timer = loop.call_later(_PATIENCE, self._begin) if exchange is not None else None

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._look())

    async def _look(self) -> None:
        assert self._exchange is not None  # noqa: S101  there is no timer without one
        await self._exchange.hung_up()
        if not self._job.future.done():
            self._job.future.set_exception(HungUpError())


def _settle(jobs: Iterable[Job]) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_result(None)
