"""Word vectors as text: a word and its numbers a line, as GloVe writes them, and behind a header as word2vec does.

Numbers are read by numpy, some megabytes of lines at a time: float() in Python takes five times as long. Only a block that is
not as expected is read again line by line, to find out what is wrong, or that a word holds spaces (in GloVe's largest file).
"""

import itertools
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from embedrt_export.words.vectors import Floats, RowStore, WordVectors

from embedrt.errors import CheckpointError
from embedrt.progress import Advance

__all__ = ["Header", "read_text_vectors"]

_BLOCK = 1 << 22  # bytes
_ROOM = 1 << 26  # numbers
_SPACES = b" \t\r\n"
_SHOWN = 40  # characters of what is wrong


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a word2vec file."""

    words: int
    dimension: int

    @property
    def room(self) -> int:
        """Rows to make room for where nothing says that the file holds so many words."""
        return min(self.words, max(_ROOM // self.dimension, 1))


def read_text_vectors(
    file: BinaryIO, name: str, header: Header | None, *, size: int | None, advance: Advance
) -> WordVectors:
    """All vectors of ``file``, which stands behind its header.

    Args:
        file: opened for reading.
        name: how messages call it.
        header: what its first line says, where it has one.
        size: bytes of the file; None: unknown, since it is compressed.
        advance: told how many bytes more are read.

    Raises:
        CheckpointError: naming the line that is not as it must be.
    """
    reader = _Reader(name, header, size)
    line = first = 1 if header is None else 2
    for block in iter(lambda: file.readlines(_BLOCK), []):
        reader.take(block, line)
        line += len(block)
        advance(sum(map(len, block)))
    return reader.finished(first)


class _Reader:
    """Collects blocks of lines."""

    def __init__(self, name: str, header: Header | None, size: int | None) -> None:
        self._name, self._header, self._size = name, header, size
        self._dimension = header.dimension if header is not None else 0
        self._store: RowStore | None = None
        self._words: list[str] = []
        self._blank: int | None = None

    def take(self, block: list[bytes], number: int) -> None:
        """Read the lines of ``block``, whose first is line ``number``."""
        lines = [line.rstrip(_SPACES) for line in block]
        if self._blank is not None or b"" in lines:
            lines = self._before_blank(lines, number)
        if not lines:
            return
        if self._store is None:
            self._begin(lines[0], sum(map(len, block)) / len(block))
        rows = [line.split(None, 1) for line in lines]
        values = self._fast(rows)
        if values is None:
            rows = [self._row(line, at) for at, line in enumerate(lines, number)]
            values = np.array([[float(field) for field in numbers.split()] for _, numbers in rows], dtype=np.float32)
        self._words += self._decoded([row[0] for row in rows], number)
        assert self._store is not None  # noqa: S101  _begin made it
        self._store.append(values)

    def finished(self, first_line: int) -> WordVectors:
        """All that was read."""
        if self._store is None:
            raise CheckpointError(f"{self._name} holds no vectors: expected a word and its numbers a line")
        if self._header is not None and len(self._words) != self._header.words:
            raise CheckpointError(
                f"{self._name} has {self._header.words} words by line 1, but {len(self._words)} lines follow: "
                "it was cut, or joined from two; download it again, or correct line 1"
            )
        return self._store.finished(self._words, first_line)

    def _begin(self, line: bytes, mean_length: float) -> None:
        """Make room, now that a line was seen."""
        if self._header is None:
            self._dimension = max(len(line.split()) - 1, 1)
        rows = 1 if self._size is None else int(self._size / mean_length * 1.01) + 1
        if self._header is not None:
            rows = self._header.room if self._size is None else min(self._header.words, rows)
        self._store = RowStore(self._dimension, expected=rows)

    def _before_blank(self, lines: list[bytes], number: int) -> list[bytes]:
        """Blank lines may stand at the end alone."""
        for at, line in enumerate(lines, number):
            if line and self._blank is not None:
                raise CheckpointError(f"{self._name} line {self._blank} is empty, expected a word and its numbers")
            if not line and self._blank is None:
                self._blank = at
        return list(itertools.takewhile(bool, lines))

    def _fast(self, rows: list[list[bytes]]) -> Floats | None:
        """The numbers of all rows, (rows, dim); None where one is not as expected."""
        if any(len(row) < 2 for row in rows):
            return None
        try:
            texts = (row[1].decode("latin-1") for row in rows)
            values: Floats = np.loadtxt(texts, dtype=np.float32, comments=None, ndmin=2)
        except ValueError:
            return None
        expected = values.shape == (len(rows), self._dimension)
        return values if expected and bool(np.isfinite(values).all()) else None

    def _row(self, line: bytes, number: int) -> list[bytes]:
        """One line by itself; a word may hold spaces, but nothing that could be a number stands behind one of them."""
        fields = line.split()
        split = max(len(fields) - self._dimension, 1)
        numbers = fields[split:]
        if len(numbers) != self._dimension or any(_number(field) is not None for field in fields[1:split]):
            by, found = "the first line" if self._header is None else "line 1", len(fields) - 1
            raise CheckpointError(
                f"{self._name} line {number} has {found} number{'s' * (found != 1)} behind {_shown(fields[0])}, "
                f"expected {self._dimension} by {by}"
            )
        for place, field in enumerate(numbers, 1):
            value = _number(field)
            if value is None or not np.isfinite(value):
                raise CheckpointError(
                    f"{self._name} line {number} has {_shown(field)} as number {place} of {_shown(fields[0])}, "
                    "expected a finite number that float32 can hold"
                )
        return [b" ".join(fields[:split]), b" ".join(numbers)]

    def _decoded(self, words: list[bytes], number: int) -> list[str]:
        try:
            return b"\n".join(words).decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            at = next(at for at, word in enumerate(words) if not _is_utf8(word))
            raise CheckpointError(
                f"{self._name} line {number + at} is not UTF-8: its word is {words[at]!r:.60}. Convert the file, "
                f"for instance: iconv -f latin1 -t utf-8 {self._name} > converted.txt"
            ) from error


def _number(field: bytes) -> np.float32 | None:
    try:
        with np.errstate(over="ignore"):
            return np.float32(float(field))
    except ValueError:
        return None


def _is_utf8(word: bytes) -> bool:
    try:
        word.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _shown(field: bytes) -> str:
    return repr(field.decode("utf-8", errors="replace")[:_SHOWN])
