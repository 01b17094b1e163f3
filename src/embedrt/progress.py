"""A progress bar on stderr that may be advanced from any thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

__all__ = ["Advance", "progress"]

_LARGE = 10_000_000  # from here on counts are shown with a unit prefix
Advance = Callable[[float], None]
"""Told how many more are done, texts unless said otherwise; from any thread."""


def progress(
    total: int, *, shown: bool, doing: str = "Encoding", unit: str = "text"
) -> AbstractContextManager[Advance]:
    """A bar on stderr, or nothing; it says what is being ``doing`` to how many ``unit`` and how long the rest will take."""
    return _bar(total, doing, unit) if shown else nullcontext(_unseen)


def _unseen(_count: float) -> None:
    pass


@contextmanager
def _bar(total: int, doing: str, unit: str) -> Iterator[Advance]:
    from tqdm import tqdm  # 30 ms that only a bar is worth

    lock = threading.Lock()
    with tqdm(total=total, unit=unit, desc=doing, unit_scale=total >= _LARGE) as bar:

        def advance(count: float) -> None:
            with lock:
                bar.update(count)

        yield advance
