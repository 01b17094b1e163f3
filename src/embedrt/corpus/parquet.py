"""Files of Parquet, opened and refused in the same words wherever they are read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embedrt.corpus.lines import Record
from embedrt.errors import InputError

__all__ = ["missing_column", "no_text", "open_parquet", "records_of", "values_of"]


@contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """The file at ``path``, as ParquetFile of pyarrow.

    Raises:
        InputError: it is none, or what is read of it is damaged.
    """
    from pyarrow import lib, parquet

    try:
        with path.open("rb") as content, parquet.ParquetFile(content) as file:
            yield file
    except lib.ArrowException as error:
        raise InputError(f"{path} cannot be read as .parquet: {error}") from error


def missing_column(path: Path, name: str, there: Sequence[str], option: str) -> InputError:
    """What is said where a column that ``option`` names is not among those that are ``there``."""
    return InputError(f"{path} has no column {name!r}, it has {', '.join(there)}: see {option}")


def no_text(path: Path, row: int, text_field: str) -> InputError:
    """What is said of a row, counted from 0, whose ``text_field`` is no text."""
    return InputError(f"{path}, row {row} (from 0) has no text under {text_field!r}")


def records_of(table: Any, path: Path) -> list[Record]:
    """The rows of pyarrow's Table, which was read from ``path``.

    Raises:
        InputError: as :func:`values_of`.
    """
    names = table.column_names
    columns = [values_of(column, name, path) for name, column in zip(names, table.columns, strict=True)]
    return [{name: column[row] for name, column in zip(names, columns, strict=True)} for row in range(table.num_rows)]


def values_of(column: Any, name: str, path: Path) -> list[Any]:
    """The values of a column of ``path``.

    Raises:
        InputError: Python cannot hold one of them, as a year beyond 9999, or nanoseconds without pandas.
    """
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{path}, column {name!r} holds what Python cannot: {error}. Turn the column into text, or leave it out"
        ) from error
    return values
