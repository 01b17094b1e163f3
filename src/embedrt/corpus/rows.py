"""Rows of .txt, .jsonl, .csv and .tsv files, packed by gzip or not: counted first, made records of where they are wanted."""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from embedrt.corpus.lines import Record, decoded, is_whole, not_utf8, record_of
from embedrt.errors import InputError

__all__ = ["ROW_SUFFIXES", "UNREADABLE", "Rows", "open_rows", "rows_of"]

ROW_SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file that is not what its name says fails with."""
_LONGEST_FIELD = 2**31 - 1
Row = tuple[int, Any]
"""The number of its line, or of its last one, and what stands there."""


class Rows:
    """The rows of one file, one after another."""

    def __init__(
        self,
        rows: Iterator[Row],
        record: Callable[[int, Any], Record],
        position: Callable[[], int],
        columns: list[str] | None = None,
    ) -> None:
        """``record`` makes one of a row, or raises InputError; ``position`` is how many bytes of the file were read.

        ``columns`` are those of a table, which every record has.
        """
        self._rows, self.record, self.position, self.columns = rows, record, position, columns

    def __iter__(self) -> Iterator[Row]:
        return self._rows


@contextmanager
def open_rows(path: Path, text_field: str) -> Iterator[Rows]:
    """The rows of ``path``, as its name says.

    Raises:
        InputError: a table has no column ``text_field`` or two, or a line that cannot be read, or the file is one of JSON.
    """
    name = str(path).lower().removesuffix(".gz")
    if name.endswith(".json"):
        raise InputError(f"{path} ends in '.json', expected .jsonl: write an object {{{text_field!r}: …}} a line")
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        content: Any = stack.enter_context(gzip.open(file)) if path.suffix.lower() == ".gz" else file
        if name.endswith((".csv", ".tsv")):
            reader = stack.enter_context(_cells(content, "\t" if name.endswith(".tsv") else ","))
            stack.enter_context(_faults_by_line(reader, path))
            names = _columns(reader, path, text_field)
            yield Rows(*_table(reader, names, path), file.tell, names)
        else:
            yield rows_of(content, str(path), text_field, json=name.endswith(".jsonl"), position=file.tell)


def rows_of(
    content: IO[bytes], name: str, text_field: str, *, json: bool = False, position: Callable[[], int] = int
) -> Rows:
    """The rows of open ``content``, which errors call ``name``: a text a line, or an object of ``json``."""
    lines = enumerate(content, 1)
    if json:
        objects = ((at, line) for at, line in lines if line.strip())
        return Rows(objects, lambda at, line: record_of(decoded(line, at, name), at, name, text_field), position)
    return Rows(lines, lambda at, line: {text_field: decoded(line, at, name)}, position)


@contextmanager
def _cells(content: IO[bytes], delimiter: str) -> Iterator[Any]:
    """The reader of Python's csv, for fields of any length; bytes that are not UTF-8 are halves of surrogate pairs in them."""
    limit = csv.field_size_limit(_LONGEST_FIELD)
    lines = io.TextIOWrapper(content, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield csv.reader(lines, delimiter=delimiter, strict=True)
    finally:
        csv.field_size_limit(limit)


@contextmanager
def _faults_by_line(reader: Any, path: Path) -> Iterator[None]:
    """Raises what reading raises as InputError that names the line."""
    try:
        yield
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num} cannot be read: {error}") from error


def _columns(reader: Any, path: Path, text_field: str) -> list[str]:
    names: list[str] = next(reader, [])
    if not is_whole(names):
        raise not_utf8(str(path), reader.line_num)
    if text_field not in names:
        raise InputError(
            f"{path} has no column {text_field!r}, it has {', '.join(names) or 'none'}: see --text-field. "
            "The first line must name the columns"
        )
    if twice := [name for name, count in Counter(names).items() if name and count > 1]:
        raise InputError(f"{path} has several columns {twice[0]!r}: give each a name of its own in the first line")
    return names


def _table(reader: Any, names: list[str], path: Path) -> tuple[Iterator[Row], Callable[[int, Any], Record]]:
    def record(at: int, cells: list[str]) -> Record:
        if len(cells) != len(names):
            raise InputError(f"{path}, line {at} has {len(cells)} fields, and the first line names {len(names)}")
        if not is_whole("".join(cells)):
            raise not_utf8(str(path), at)
        return dict(zip(names, cells, strict=True))

    return ((reader.line_num, cells) for cells in reader if cells), record
