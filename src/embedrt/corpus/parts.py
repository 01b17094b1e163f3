"""The parts of a job: for each piece of a source a file of vectors, found again by its name."""

import re
from pathlib import Path
from typing import Literal, get_args

from embedrt.corpus.sources import Source

__all__ = ["Form", "has_parts", "is_half_written", "is_part", "part_path"]

Form = Literal["parquet", "npy", "npz", "jsonl"]
_NUMBERED = rf"-\d{{5,}}\.({'|'.join(get_args(Form))})"
_PART = re.compile(rf".+{_NUMBERED}")
_HALF_WRITTEN = re.compile(rf"\..+{_NUMBERED}\.\w{{8}}")


def part_path(folder: Path, source: Source, number: int, form: Form) -> Path:
    """Where the vectors of a piece of ``source`` are, or will be."""
    return folder / f"{source.name}-{number:05}.{form}"


def has_parts(folder: Path, source: Source) -> bool:
    """Whether vectors of any piece of ``source`` are there, in whatever form."""
    beside = folder / source.name
    mine = re.compile(re.escape(beside.name) + _NUMBERED)
    return beside.parent.is_dir() and any(mine.fullmatch(path.name) for path in beside.parent.iterdir())


def is_part(name: str) -> bool:
    """Whether a file of this name is a part."""
    return _PART.fullmatch(name) is not None


def is_half_written(name: str) -> bool:
    """Whether a file of this name is a part that was being written when a job was killed."""
    return _HALF_WRITTEN.fullmatch(name) is not None
