"""Files of Parquet, opened and refused in the same words wherever they are read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embedrt.errors import InputError

__all__ = ["missing_column", "no_text", "open_parquet"]


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
