"""Logs as lines of JSON, without a word of any text; written beside the event loop, so that no disk and no pipe can hold it up.

Where a line cannot be written (disk full, pipe closed, reader too slow) it is dropped and counted: a server that stops serving
because it cannot say so helps nobody.
"""

import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from embedrt.errors import InputError

__all__ = ["JsonLog", "LibraryLogs"]

_HELD = 10_000
"""Lines that may wait to be written."""
_PAUSE = 0.1
"""Seconds over which lines are gathered for one write."""
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class JsonLog:
    """Lines of JSON to standard error or a file."""

    def __init__(self, path: Path | None, *, level: str, dropped: Callable[[int], None] = lambda _lines: None) -> None:
        """``dropped`` is told how many lines could not be written.

        Raises:
            InputError: the file cannot be opened, or there is no such level.
        """
        if level not in _LEVELS:
            raise InputError(f"log level is {level!r}, expected one of {', '.join(_LEVELS)}")
        self._least, self._dropped = _LEVELS[level], dropped
        self._descriptor = _opened(path)
        self._owned = path is not None
        self._lines: deque[bytes] = deque()
        self._there, self._closing = threading.Event(), threading.Event()
        self._writer = threading.Thread(target=self._write, name="embedrt-log", daemon=True)
        self._writer.start()

    def write(self, level: str, event: str, **fields: Any) -> None:
        """One line; what it says must not quote a text."""
        if _LEVELS[level] < self._least:
            return
        if len(self._lines) >= _HELD:
            self._dropped(1)
            return
        stamp = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
        line = {"time": stamp, "level": level, "event": event, **fields}
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS, default=str))
        if not self._there.is_set():
            self._there.set()

    def fault(self, event: str, error: BaseException, **fields: Any) -> None:
        """One line for an error that nobody expected: its kind and where it came from, not what it says."""
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
        self.write("error", event, kind=type(error).__name__, places=places, **fields)

    def close(self) -> None:
        """Write what is there, for a second at most."""
        self._closing.set()
        self._there.set()
        self._writer.join(1.0)
        if self._owned and not self._writer.is_alive():
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self) -> None:
        while not self._closing.is_set():
            self._there.wait()
            self._closing.wait(_PAUSE)
            self._there.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        rest = b"".join(lines)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self._dropped(rest.count(b"\n"))


class LibraryLogs(logging.Handler):
    """What the HTTP library logs, as lines of ours."""

    def __init__(self, log: JsonLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One line; where there is an exception, its kind."""
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        # the message template, without its arguments: those could quote a request
        level = record.levelname.lower() if record.levelname.lower() in _LEVELS else "error"
        self._log.write(level, "library", logger=record.name, template=str(record.msg)[:200], kind=kind)


def _opened(path: Path | None) -> int:
    if path is None:
        return sys.__stderr__.fileno() if sys.__stderr__ is not None else os.open(os.devnull, os.O_WRONLY)
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    except OSError as error:
        raise InputError(f"the log file {path} cannot be opened: {error.strerror}") from error
