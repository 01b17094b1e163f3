"""A progress bar on stderr that may be advanced from any thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Advance", "progress"]

Advance = Callable[[int], None]
"""Told how many texts more are done, from any thread."""


@contextmanager
def progress(total: int, *, shown: bool) -> Iterator[Advance]:
    """A bar on stderr, or nothing."""
    if not shown:
        yield lambda _count: None
        return
    from tqdm import tqdm  # 30 ms that only a bar is worth

    lock = threading.Lock()
    with tqdm(total=total, unit="text", desc="Encoding") as bar:

        def advance(count: int) -> None:
            with lock:
                bar.update(count)

        yield advance
