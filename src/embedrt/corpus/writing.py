"""Vectors to a file: .npy or .npz, .jsonl or .parquet by its name; whole or not at all."""

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from embedrt.corpus.columns import Vectors, as_column, as_values
from embedrt.corpus.lines import Record, as_json
from embedrt.errors import InputError, MissingDependencyError

__all__ = [
    "Fields",
    "replacing",
    "require_pyarrow",
    "require_stdout",
    "require_writable",
    "write_columns",
    "write_jsonl",
    "write_vectors",
]

EMBEDDING_FIELD = "embedding"
"""The name of vectors of a single kind."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Fields = Any
"""What stands beside vectors: a sequence of records, or columns (pyarrow's Table)."""
Writer = Callable[[IO[bytes], Fields, Mapping[str, Vectors]], None]
"""File, fields, and vectors by name, of a kind that this form of file can hold."""


def require_pyarrow() -> None:
    """Say what to install where .parquet files cannot be handled.

    Raises:
        MissingDependencyError: pyarrow is not there.
    """
    try:
        import pyarrow as pa  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError('pyarrow is not installed: type pip install "embedrt[parquet]"') from error


def require_writable(path: Path) -> None:
    """Say before any work is done that a file cannot be written.

    Raises:
        InputError: ``path`` is a folder, or its own folder is not there or cannot be written to.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder: make it first")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written: it is a folder, or its folder is not yours to write to")


def require_stdout() -> IO[bytes]:
    """Stdout, for bytes.

    Raises:
        InputError: it is closed.
    """
    if sys.stdout is None:
        raise InputError("stdout is closed, and the answer goes there: name a file with --output, or open it")
    return sys.stdout.buffer


def write_vectors(path: Path, fields: Fields, vectors: Vectors) -> None:
    """Write ``vectors`` of n texts; .jsonl keeps the ``fields`` of records beside them, .parquet those of columns, too."""
    write_columns(path, fields, {EMBEDDING_FIELD: vectors})


def write_columns(path: Path, fields: Fields, columns: Mapping[str, Vectors]) -> None:
    """Write vectors under their names, one or several kinds, and ``fields`` of other names beside them."""
    with replacing(path) as file:
        _WRITERS[path.suffix.lower()](file, fields, columns)


def write_jsonl(file: IO[bytes], records: Sequence[Record], columns: Mapping[str, Vectors]) -> None:
    """A JSON object a line: the record's fields and its vectors."""
    for record, *values in zip(records, *map(as_values, columns.values()), strict=True):
        file.write(f"{as_json({**record, **dict(zip(columns, values, strict=True))})}\n".encode())


def _write_npy(file: IO[bytes], _fields: Fields, columns: Mapping[str, Any]) -> None:
    # np.save lets C write, which does not say why it failed
    [vectors] = map(np.ascontiguousarray, columns.values())
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(vectors))
    file.write(vectors.data)


def _write_npz(file: IO[bytes], _fields: Fields, columns: Mapping[str, Any]) -> None:
    """The arrays of the compressed rows under the names that ``scipy.sparse.load_npz`` reads."""
    [vectors] = columns.values()
    np.savez(
        file, format=np.array(b"csr"), data=vectors.data, indices=vectors.indices, indptr=vectors.indptr,
        shape=np.array(vectors.shape),
    )  # fmt: skip


def _write_parquet(file: IO[bytes], fields: Fields, columns: Mapping[str, Vectors]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        beside = {name: column for name, column in _columns(fields).items() if name not in columns}
        vectors = {name: as_column(column) for name, column in columns.items()}
        parquet.write_table(pa.table(beside | vectors), file)
    except (pa.ArrowException, OverflowError) as error:
        raise InputError(f"the records' fields do not fit into .parquet: {error}. Write .jsonl instead") from error


def _columns(fields: Fields) -> dict[str, Any]:
    if not isinstance(fields, Sequence):
        return dict(zip(fields.column_names, fields.columns, strict=True))
    # from_pylist would take the first record's fields for everyone's
    names = dict.fromkeys(name for record in fields for name in record)
    return {name: _column(name, [record.get(name) for record in fields]) for name in names}


def _column(name: str, values: list[Any]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError) as error:
        raise InputError(
            f"the records' field {name!r} does not fit into a column of .parquet: {error}. Write .jsonl instead"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its place at ``path`` when the block ends well."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a machine that is lost now may come back with the name and no content
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)  # mkstemp's 0600 is for secrets
        Path(name).replace(path)
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        Path(name).unlink(missing_ok=True)


_WRITERS: dict[str, Writer] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".jsonl": write_jsonl,
    ".parquet": _write_parquet,
}
