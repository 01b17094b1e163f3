"""Progress of a long job, stage by stage with times, on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["Stages"]


class Stages:
    """Prints a line a stage: what is done, what came of it, and how long it took."""

    def __init__(self, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self.quiet = quiet

    @property
    def bars_hidden(self) -> bool:
        """Whether progress bars within a stage are left out, which only a terminal can redraw."""
        return self.quiet or not sys.stderr.isatty()

    @contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        """Within the block, append facts to the list; they are printed behind the stage's name."""
        facts: list[str] = []
        started = time.perf_counter()
        self._write(f"  {name:<12}… ")
        try:
            yield facts
        except BaseException:
            self._write(f"failed after {time.perf_counter() - started:.1f} s\n")
            raise
        self._write(f"{time.perf_counter() - started:5.1f} s   {', '.join(facts)}\n")

    def note(self, text: str) -> None:
        """A line between stages."""
        self._write(f"  {text}\n")

    def _write(self, text: str) -> None:
        if not self.quiet:
            print(text, end="", file=self._stream, flush=True)
