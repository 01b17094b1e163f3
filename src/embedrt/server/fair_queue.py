"""Texts of many clients in one queue: whose turn it is, and what runs together.

Jobs lead in turn. The leader's texts of one length are joined by other jobs' texts of exactly that length, one a job and
round, up to the token budget: two thousand texts of one client hold nobody up for longer than a run, and the texts of many
clients fill runs together. When nothing runs, a text never waits for company; beside a run it waits ``linger`` seconds at most.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence

from embedrt.errors import EmbedrtError
from embedrt.server.jobs import Batch, Job, Key, Result

__all__ = ["FairQueue", "QueueClosedError", "QueueFullError"]


class QueueFullError(EmbedrtError):
    """More texts than the queue is allowed to hold."""


class QueueClosedError(EmbedrtError):
    """The server is going down."""


class _Group:
    """The texts of one key that wait."""

    __slots__ = ("count", "jobs")

    def __init__(self) -> None:
        self.count = 0
        self.jobs: deque[Job] = deque()  # each once; those that have no such text any more are dropped when met


class FairQueue:
    """Where texts wait for workers; every method may be called from any thread."""

    def __init__(self, *, capacity: int, linger: float = 0.002) -> None:
        """``capacity`` in texts, ``linger`` in seconds."""
        self.capacity, self._linger = capacity, linger
        self.waiting = 0
        """Texts that no worker has taken."""
        self.running = 0
        """Batches that workers have taken and not finished."""
        self._rotation: deque[Job] = deque()
        self._groups: dict[Key, _Group] = {}
        lock = threading.Lock()
        self._lock = lock
        self._arrived, self._filled = threading.Condition(lock), threading.Condition(lock)
        self._idle = 0  # workers that wait for _arrived
        self._lingering: Key | None = None  # what the one worker that waits for _filled would take
        self._closed = False

    def put(self, job: Job) -> None:
        """Queue a job's texts.

        Raises:
            QueueFullError: there is no room for them.
            QueueClosedError: the queue was closed.
        """
        with self._lock:
            if self._closed:
                raise QueueClosedError("the server is shutting down")
            if self.waiting + job.left > self.capacity:
                raise QueueFullError(f"{self.waiting} texts are waiting, {self.capacity} may")
            job.entered = time.monotonic()
            self._rotation.append(job)
            for key, rows in job.rows.items():
                self._join(key, job, len(rows))
            self._wake()

    def take(self) -> Batch | None:
        """The next batch, as soon as there is one; None when the queue was closed and is empty."""
        with self._lock:
            while True:
                leader = self._leader()
                if leader is None:
                    if self._closed:
                        return None
                    self._sleep()
                    continue
                key = next(iter(leader.rows))
                left = self._patience(leader, key)
                if left <= 0:
                    return self._collected(leader, key)
                self._await_company(key, left)

    def finish(self, batch: Batch, results: Sequence[Result]) -> list[Job]:
        """Give the members their results; the jobs that have all of theirs now."""
        with self._lock:
            if not self._ended_run(batch):
                return []
            now = time.monotonic()
            done = []
            for (job, row), result in zip(batch.members, results, strict=True):
                if job.ended:
                    continue
                job.results[row] = result
                job.left -= 1
                if job.left == 0:
                    job.end(now)
                    done.append(job)
            return done

    def fail(self, batch: Batch, error: BaseException) -> list[Job]:
        """A run failed, or its worker did: each text runs once more by itself; the jobs of those that have done so already."""
        with self._lock:
            if not self._ended_run(batch):
                return []
            batch.abandoned = True
            failed = []
            for job, row in batch.members:
                if job.ended:
                    continue
                if batch.key.alone:
                    self._drop(job)
                    job.end(time.monotonic(), error)
                    failed.append(job)
                else:
                    self._again(job, batch.key.by_itself(), row)
            self._wake()
            return failed

    def cancel(self, job: Job) -> None:
        """Nobody waits for this job any more: its texts that have not begun never run."""
        with self._lock:
            if not job.ended:
                self._drop(job)
                job.end(time.monotonic())

    def close(self) -> None:
        """Take no more jobs; workers finish those that are there."""
        with self._lock:
            self._closed = True
            self._arrived.notify_all()
            self._filled.notify_all()

    def drop(self) -> bool:
        """Give up what waits; whether anything did."""
        with self._lock:
            waiting = [job for job in self._rotation if job.rows]
            for job in waiting:
                self._drop(job)
                job.end(time.monotonic())
            return bool(waiting)

    def _leader(self) -> Job | None:
        while self._rotation:
            if self._rotation[0].rows:
                return self._rotation[0]
            self._rotation.popleft()
        return None

    def _patience(self, leader: Job, key: Key) -> float:
        """Seconds for which a run of ``key`` may still wait for company."""
        if self.running == 0 or self._closed or key.alone or self._groups[key].count >= key.capacity:
            return 0.0
        return leader.entered + self._linger - time.monotonic()

    def _await_company(self, key: Key, seconds: float) -> None:
        if self._lingering is not None:  # one waits already, and wakes the next when it has taken its batch
            self._sleep()
            return
        self._lingering = key
        self._filled.wait(seconds)
        self._lingering = None

    def _collected(self, leader: Job, key: Key) -> Batch:
        group = self._groups[key]
        now = time.monotonic()
        members = [(leader, self._pop(leader, key, now))]
        while group.count and len(members) < key.capacity:
            job = group.jobs.popleft()
            if key in job.rows:
                members.append((job, self._pop(job, key, now)))
                group.jobs.append(job)
        if not group.count:
            del self._groups[key]
        self._rotation.popleft()
        if leader.rows:
            self._rotation.append(leader)
        wide = self.running == 0 and self.waiting == 0
        self.running += 1
        if self.waiting and self._idle:
            self._arrived.notify()
        return Batch(key, members, wide=wide)

    def _pop(self, job: Job, key: Key, now: float) -> int:
        rows = job.rows[key]
        row = rows.popleft()
        if not rows:
            del job.rows[key]
        job.started = job.started or now
        self._groups[key].count -= 1
        self.waiting -= 1
        return row

    def _join(self, key: Key, job: Job, count: int) -> None:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
        group.jobs.append(job)
        group.count += count
        self.waiting += count

    def _again(self, job: Job, key: Key, row: int) -> None:
        job.rows[key] = deque((row,))
        self._join(key, job, 1)
        if job not in self._rotation:
            self._rotation.appendleft(job)

    def _drop(self, job: Job) -> None:
        for key, rows in job.rows.items():
            self.waiting -= len(rows)
            group = self._groups[key]
            group.count -= len(rows)
            if not group.count:
                del self._groups[key]
        job.rows = {}

    def _ended_run(self, batch: Batch) -> bool:
        """Whether the batch still counts; then it does no more."""
        if batch.abandoned:
            return False
        self.running -= 1
        if self.running == 0 and self._lingering is not None:
            self._filled.notify()
        return True

    def _wake(self) -> None:
        lingering = self._lingering
        if lingering is None:
            if self._idle:
                self._arrived.notify()
        elif (group := self._groups.get(lingering)) is None or group.count >= lingering.capacity:
            self._filled.notify()

    def _sleep(self) -> None:
        self._idle += 1
        self._arrived.wait()
        self._idle -= 1
