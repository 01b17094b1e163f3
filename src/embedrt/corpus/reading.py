"""All texts of one file or of stdin, for commands that hold them in memory."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from embedrt.corpus.lines import Record
from embedrt.corpus.parquet import missing_column, no_text, open_parquet, records_of
from embedrt.corpus.rows import UNREADABLE, Rows, open_rows, rows_of
from embedrt.corpus.writing import require_pyarrow
from embedrt.errors import InputError

__all__ = ["Record", "name_of", "read_records", "read_texts"]


def name_of(source: str) -> str:
    """What messages call a file of texts."""
    return "stdin" if source == "-" else source


def read_records(source: str, *, text_field: str) -> list[Record]:
    """The records of a file, as its name says: .jsonl, .csv, .tsv, any of them .gz, or .parquet; else, and ``-``, a text a line.

    Raises:
        InputError: there is no such file, it is not what its name says, or a record has no text; the line is named.
        MissingDependencyError: .parquet without pyarrow.
    """
    return _records(source, text_field, whole=True)


def read_texts(source: str, *, text_field: str) -> list[str]:
    """The texts of a file alone, as :func:`read_records`; of .parquet no other column is read."""
    return [record[text_field] for record in _records(source, text_field, whole=False)]


def _records(source: str, text_field: str, *, whole: bool) -> list[Record]:
    try:
        if source.lower().endswith(".parquet"):
            return _parquet_records(Path(source), text_field, whole=whole)
        with _rows(source, text_field) as rows:
            return [rows.record(at, row) for at, row in rows]
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        folders = "; embedrt map takes folders" if isinstance(error, IsADirectoryError) else ""
        raise InputError(
            f"{source or repr(source)} cannot be read: {error.strerror}. "
            f"Pass a file of texts (.txt, .jsonl, .csv, .tsv, all maybe .gz, .parquet), or - for stdin{folders}"
        ) from error
    except UNREADABLE as error:
        raise InputError(f"{name_of(source)} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _rows(source: str, text_field: str) -> AbstractContextManager[Rows]:
    if source == "-":
        if sys.stdin is None:
            raise InputError("stdin is closed, and - reads texts from it: pass a file of texts, or open it")
        return nullcontext(rows_of(sys.stdin.buffer, name_of(source), text_field))
    return open_rows(Path(source), text_field)


def _parquet_records(path: Path, text_field: str, *, whole: bool) -> list[Record]:
    require_pyarrow()
    with open_parquet(path) as file:
        there = file.schema_arrow.names
        if text_field not in there:
            raise missing_column(path, text_field, there, "--text-field")
        table = file.read(columns=None if whole else [text_field])
    records = records_of(table, path)
    for row, record in enumerate(records):
        if not isinstance(record[text_field], str):
            raise no_text(path, row, text_field)
    return records
