"""Vectors that memory cannot hold: decide where they go before any work is done, and keep them in a temporary file."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from embedrt.errors import InputError, UnavailableError

__all__ = ["Need", "spill_folder", "spill_notice", "spilled_vectors", "spills"]

_BYTES = 4  # of a float32 component
_COPIES = 3  # that fit into free memory if vectors are to stay there: as encoded, as normalized, and room to breathe
_A_PAIR = 100  # bytes of a pair that is returned: ranked, sorted, shown
_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What finding the most similar pairs will take."""

    texts: int
    """Vectors to keep."""
    dimension: int
    """Components of a vector, 4 bytes each."""
    pairs: int
    """Pairs that will be returned."""

    @property
    def vector_bytes(self) -> int:
        """Bytes of all vectors."""
        return self.texts * self.dimension * _BYTES

    @property
    def pair_bytes(self) -> int:
        """Bytes of memory for the pairs."""
        return self.pairs * _A_PAIR


def spill_folder(asked: Path | None = None) -> Path:
    """``asked``, else $TMPDIR, else /var/tmp, which lies on a disk where /tmp may lie in memory.

    Raises:
        InputError: ``asked`` is no folder.
    """
    if asked is not None:
        if not asked.is_dir():
            raise InputError(f"{asked} is no folder: make it first, or pass another one to --spill")
        return asked
    usual = Path("/var/tmp")
    return usual if "TMPDIR" not in os.environ and usual.is_dir() else Path(tempfile.gettempdir())


def spills(need: Need, folder: Path, *, memory: int | None, disk: int | None = None) -> bool:
    """Whether the vectors go to a file in ``folder``; True where they take more than a third of the free memory.

    Args:
        need: what there is to keep.
        folder: where the file would be.
        memory: bytes that are free; None: unknown, and taken for enough.
        disk: bytes that are free in ``folder``; None: ask the system.

    Raises:
        UnavailableError: neither memory nor disk is large enough.
    """
    if memory is None:
        return False
    if need.pair_bytes > memory / 2:
        raise UnavailableError(
            f"{need.pairs} pairs take {_size(need.pair_bytes)}, {_size(memory)} of memory are free: "
            "ask for fewer with --top"
        )
    if need.vector_bytes * _COPIES + need.pair_bytes <= memory:
        return False
    free = shutil.disk_usage(folder).free if disk is None else disk
    if need.vector_bytes > free:
        raise UnavailableError(
            f"{need.texts} vectors of {need.dimension} take {_size(need.vector_bytes)}; {_size(memory)} of memory and "
            f"{_size(free)} in {folder} are free: name a folder on a larger disk with --spill"
        )
    return True


def spill_notice(need: Need, folder: Path) -> str:
    """One sentence that says what is being done."""
    return (
        f"{need.texts} vectors of {need.dimension} take {_size(need.vector_bytes)}, too much for the memory that is "
        f"free: they are kept in a temporary file in {folder}"
    )


@contextmanager
def spilled_vectors(need: Need, folder: Path) -> Iterator[npt.NDArray[np.float32]]:
    """A (texts, dimension) array in a file that has no name and is gone afterwards, whatever happens.

    Raises:
        UnavailableError: the disk is full after all, or ``folder`` is not this user's to write to.
    """
    with _temporary_file(need.vector_bytes, folder) as file:
        yield np.memmap(file, dtype=np.float32, mode="w+", shape=(need.texts, need.dimension)).view(np.ndarray)


def _temporary_file(size: int, folder: Path) -> IO[bytes]:
    """A file that has ``size`` bytes of the disk from the start: a page that found no room later would end the process."""
    with ExitStack() as opened:
        try:
            file = opened.enter_context(tempfile.TemporaryFile(dir=folder))
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise UnavailableError(
                f"no file of {_size(size)} in {folder}: {error.strerror}. Name another folder with --spill"
            ) from error
        opened.pop_all()  # the caller closes it
    return file


def _size(count: float) -> str:
    return f"{count / _GIGABYTE:.1f} GB" if count >= _GIGABYTE / 10 else f"{count / 1e6:.1f} MB"
