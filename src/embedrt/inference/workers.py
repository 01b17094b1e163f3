"""Threads that encoders of one process share, so that several of them do not want more processors than there are.

A pool belongs to a number of threads; encoders that agree on it (all that were not told otherwise) use the same one. It
ends with the last encoder that holds it. A forked process begins without pools: threads do not survive a fork.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

__all__ = ["Busy", "WorkerLease"]

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}
_holders: dict[int, int] = {}
_busy = 0


class WorkerLease:
    """A claim on the pool of ``count`` threads, which is started when it is first needed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._held_in: int | None = None  # the process, since a fork takes the pools away

    def pool(self) -> ThreadPoolExecutor:
        """The pool."""
        with _lock:
            if self._held_in != os.getpid():
                self._held_in = os.getpid()
                _holders[self.count] = _holders.get(self.count, 0) + 1
            if self.count not in _pools:
                _pools[self.count] = ThreadPoolExecutor(self.count, thread_name_prefix="embedrt")
            return _pools[self.count]

    def release(self) -> None:
        """Give the claim back; the last one ends the threads, after what they are running."""
        with _lock:
            if self._held_in != os.getpid():
                return
            self._held_in = None
            _holders[self.count] -= 1
            last = _pools.pop(self.count) if _holders[self.count] == 0 else None
        if last is not None:
            last.shutdown()


class Busy:
    """While a caller is inside, others learn that the processors are shared.

    >>> with Busy() as first, Busy() as second:
    ...     first.alone, second.alone
    (True, False)
    """

    def __init__(self) -> None:
        self.alone = False

    def __enter__(self) -> Self:
        global _busy  # noqa: PLW0603  one count for all encoders of the process
        with _lock:
            self.alone = _busy == 0
            _busy += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _busy  # noqa: PLW0603
        with _lock:
            _busy -= 1


def _forget() -> None:
    """In a forked child: nobody runs, and the parent's locks may be held for ever."""
    global _lock, _busy
    _lock, _busy = threading.Lock(), 0
    _pools.clear()
    _holders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
