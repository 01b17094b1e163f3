"""The files of a corpus, each read as pieces of so many rows, in bounded memory.

A piece is counted in rows of its file, whatever becomes of them: so the same rows are in it whenever the file is read again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from embedrt.corpus.lines import Record
from embedrt.corpus.parquet import missing_column, no_text, open_parquet, records_of, values_of
from embedrt.corpus.rows import ROW_SUFFIXES, UNREADABLE, Rows, open_rows
from embedrt.corpus.writing import require_pyarrow
from embedrt.errors import InputError

__all__ = ["Piece", "Reading", "Source", "find_sources", "pieces"]

_SUFFIXES = (*ROW_SUFFIXES, ".parquet")


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the corpus."""

    path: Path
    name: str
    """Its path within the folder that was given, or its own name; no two are equal."""

    @property
    def state(self) -> dict[str, int]:
        """What tells whether the file has changed: bytes, and nanoseconds of its last change."""
        found = self.path.stat()
        return {"bytes": found.st_size, "modified": found.st_mtime_ns}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files are read."""

    text_field: str = "text"
    keep: tuple[str, ...] | None = None
    """Fields that go into the output beside the vectors; None: all."""
    as_records: bool = False
    """Rows of .parquet files become records, as of all others; without it they stay columns."""
    rows: int
    """Rows of a piece."""
    skip_invalid: bool = False
    """Leave out rows without a text, which are an error otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some rows of one file."""

    source: Source
    number: int
    """Of the pieces of its file, from 0."""
    texts: list[str]
    fields: Any
    """What stands beside the vectors: records, one a text, or columns of a .parquet file (pyarrow's Table)."""
    skipped: int
    """Rows that were left out."""
    bytes: float
    """How much of the file it is."""


def find_sources(inputs: Sequence[Path], *, output: Path | None = None) -> list[Source]:
    """The files, and all files of folders whose names end in a known way; sorted by name within each folder.

    What lies in the folder ``output`` is passed over.

    Raises:
        InputError: there is no such file or folder, none of known kind in it, it lies in ``output``, or two files have one name.
        MissingDependencyError: .parquet without pyarrow.
    """
    away = None if output is None else output.resolve()
    for given in inputs:
        if away is not None and given.resolve().is_relative_to(away):
            raise InputError(f"{given} lies in {output}, where vectors are to go: pass another folder for them")
    found = [source for given in inputs for source in _sources_of(given, away)]
    names: dict[str, Path] = {}
    for source in found:
        if source.name in names:
            raise InputError(
                f"{names[source.name]} and {source.path} are both called {source.name}: pass the folder that holds both"
            )
        names[source.name] = source.path
    if any(source.name.lower().endswith(".parquet") for source in found):
        require_pyarrow()
    return found


def _sources_of(given: Path, away: Path | None) -> list[Source]:
    known = ", ".join(_SUFFIXES)
    if given.is_file():
        if not given.name.lower().endswith(_SUFFIXES):
            raise InputError(f"{given} ends in {given.suffix or 'nothing'!r}, expected one of {known}")
        return [Source(given, given.name)]
    if not given.is_dir():
        raise InputError(f"there is no file or folder at {given}: pass files that end in one of {known}, or folders")
    files = sorted(path for path in given.rglob("*") if path.name.lower().endswith(_SUFFIXES) and path.is_file())
    if away is not None and away.is_relative_to(whole := given.resolve()):
        passed = given / away.relative_to(whole)
        files = [path for path in files if not path.is_relative_to(passed)]
    if not files:
        raise InputError(f"{given} has no file that ends in one of {known}")
    return [Source(path, path.relative_to(given).as_posix()) for path in files]


def pieces(
    source: Source, how: Reading, *, wanted: Callable[[int], bool], advance: Callable[[float], None]
) -> Iterator[Piece]:
    """The pieces of a file that are ``wanted``, by number; ``advance`` is told how many bytes of it the others are.

    Raises:
        InputError: the file cannot be read, or a row has no text; the row is named.
    """
    read = _parquet_pieces if source.name.lower().endswith(".parquet") else _row_pieces
    try:
        yield from read(source, how, wanted, advance)
    except UNREADABLE as error:
        raise InputError(f"{source.path} cannot be read: {error}") from error


def _row_pieces(
    source: Source, how: Reading, wanted: Callable[[int], bool], advance: Callable[[float], None]
) -> Iterator[Piece]:
    with open_rows(source.path, how.text_field) as rows:
        if rows.columns is not None:
            _columns(source, how, rows.columns)
        each = iter(rows)
        told, number = 0, -1
        while part := list(islice(each, how.rows)):
            number += 1
            took, told = rows.position() - told, rows.position()
            if wanted(number):
                yield _of_rows(source, how, number, rows, part, took)
            else:
                advance(took)


def _of_rows(
    source: Source, how: Reading, number: int, rows: Rows, part: Sequence[tuple[int, Any]], took: int
) -> Piece:
    records: list[Record] = []
    for at, row in part:
        try:
            records.append(rows.record(at, row))
        except InputError as error:
            _unless_skipped(how, error)
    texts = [record[how.text_field] for record in records]
    if how.keep is not None:
        records = [{name: record[name] for name in how.keep if name in record} for record in records]
    skipped = len(part) - len(texts)
    return Piece(source=source, number=number, texts=texts, fields=records, skipped=skipped, bytes=took)


def _parquet_pieces(
    source: Source, how: Reading, wanted: Callable[[int], bool], advance: Callable[[float], None]
) -> Iterator[Piece]:
    with open_parquet(source.path) as file:
        columns = _columns(source, how, file.schema_arrow.names)
        size, total = source.path.stat().st_size, max(1, file.metadata.num_rows)
        for number, table in enumerate(_tables(file, columns, how.rows)):
            took = size * table.num_rows / total
            if wanted(number):
                yield _of_table(source, how, number, table, took)
            else:
                advance(took)


def _columns(source: Source, how: Reading, there: Sequence[str]) -> list[str]:
    """Those of a table that are read.

    Raises:
        InputError: one that was named is not ``there``.
    """
    wanted = [how.text_field, *(there if how.keep is None else how.keep)]
    if missing := [name for name in wanted if name not in there]:
        option = "--text-field" if missing[0] == how.text_field else "--keep"
        raise missing_column(source.path, missing[0], there, option)
    return list(dict.fromkeys(wanted))


def _tables(file: Any, columns: list[str], rows: int) -> Iterator[Any]:
    """Tables of ``rows`` rows each, the last one maybe of fewer, wherever the file's own groups of rows end."""
    import pyarrow as pa

    waiting: list[Any] = []
    count = 0
    for batch in file.iter_batches(batch_size=rows, columns=columns):
        waiting.append(batch)
        count += batch.num_rows
        if count >= rows:
            whole = pa.Table.from_batches(waiting)
            yield whole.slice(0, rows)
            waiting, count = whole.slice(rows).to_batches(), count - rows
    if count:
        yield pa.Table.from_batches(waiting)


def _of_table(source: Source, how: Reading, number: int, table: Any, took: float) -> Piece:
    import pyarrow as pa

    texts = values_of(table[how.text_field], how.text_field, source.path)
    valid = [isinstance(text, str) for text in texts]
    if not all(valid):
        _unless_skipped(how, no_text(source.path, number * how.rows + valid.index(False), how.text_field))
        table = table.filter(pa.array(valid))
    names = table.column_names if how.keep is None else list(how.keep)
    kept = [text for text in texts if isinstance(text, str)]
    skipped = len(texts) - len(kept)
    fields = table.select(names)
    if how.as_records:
        fields = records_of(fields, source.path)
    return Piece(source=source, number=number, texts=kept, fields=fields, skipped=skipped, bytes=took)


def _unless_skipped(how: Reading, error: InputError) -> None:
    if not how.skip_invalid:
        raise InputError(f"{error}. Or leave such rows out with --skip-invalid") from error
