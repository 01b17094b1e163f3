"""One job a folder at a time: a lock that the operating system frees when its process ends, in whatever way."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedrt.errors import InputError

__all__ = ["alone_in"]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """While inside, no other job is let in; file systems and systems without such locks let all in.

    The folder itself is locked, so nothing is left in it. Processes of a job do not inherit the lock.

    Raises:
        InputError: another job is inside.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another job is writing into {folder}: wait for its end, or pass another folder"
            ) from error
        except OSError:  # network file systems that have no such locks
            pass
        yield
    finally:
        os.close(handle)
