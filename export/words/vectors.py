"""Word vectors in memory: a matrix that may grow, with a row for padding before the words'."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["PADDING", "Floats", "RowStore", "WordVectors", "without_rows"]

PADDING = "PADDING_TOKEN"
"""The word of row 0, which is zero; sentence-transformers has it too, so that ids are the same."""
_GROWTH = 1.5

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WordVectors:
    """Words and their vectors; the first is :data:`PADDING`."""

    words: list[str]
    rows: Floats
    """(words, dim)"""
    notes: tuple[str, ...] = ()
    """What the user should know of the file."""

    @property
    def dimension(self) -> int:
        """Width of a vector."""
        return int(self.rows.shape[1])


class RowStore:
    """A matrix that is filled from above, grown in its place where the number of rows was not known, and never copied."""

    def __init__(self, dimension: int, *, expected: int) -> None:
        """Room for ``expected`` rows of ``dimension``, and a row of zeros before them."""
        self._rows = np.empty((expected + 1, dimension), dtype=np.float32)
        self._rows[0] = 0
        self._used = 1

    def append(self, block: Floats) -> None:
        """Put ``block`` (some rows, dim) behind what is there."""
        stop = self._used + len(block)
        if stop > len(self._rows):
            self._rows.resize((max(stop, int(len(self._rows) * _GROWTH)), self._rows.shape[1]), refcheck=False)
        self._rows[self._used : stop] = block
        self._used = stop

    def finished(self, words: Sequence[str], first_line: int | None) -> WordVectors:
        """All rows, of ``words`` in their order; of a word that stands twice the first row is kept.

        ``first_line`` is that of the first word in its file; None: the file has no lines.
        """
        known = {PADDING: 0}
        twice = [number for number, word in enumerate(words, 1) if known.setdefault(word, number) != number]
        notes = _notes(twice, words, first_line)
        kept = list(known) if twice else [PADDING, *words]
        self._rows.resize((self._used, self._rows.shape[1]), refcheck=False)
        return WordVectors(words=kept, rows=without_rows(self._rows, twice), notes=notes)


def _notes(twice: Sequence[int], words: Sequence[str], first_line: int | None) -> tuple[str, ...]:
    if not twice:
        return ()
    example = words[twice[0] - 1]
    place = f"word {twice[0]}" if first_line is None else f"line {first_line + twice[0] - 1}"
    more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
    return (f"{place} has {example!r} for the second time{more}: the first row of a word is kept",)


def without_rows(rows: Floats, left_out: Iterable[int]) -> Floats:
    """``rows`` (words, dim), which are taken over, without those of these numbers: closed up in place, a copy might not fit."""
    gaps = [*sorted(left_out), len(rows)]
    target = gaps[0]
    for gap, following in itertools.pairwise(gaps):
        count = following - gap - 1
        rows[target : target + count] = rows[gap + 1 : following]
        target += count
    rows.resize((target, rows.shape[1]), refcheck=False)
    return rows
