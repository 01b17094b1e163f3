"""Commands of the bench: what several of them are asked for, and an error as a sentence instead of a trace."""

import argparse
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from embedrt.errors import EmbedrtError

__all__ = ["errors_told", "file_to_write", "measuring", "part_of"]


@contextmanager
def errors_told() -> Iterator[None]:
    """An error of this project ends the program with its message; also as a decorator of ``main``."""
    try:
        yield
    except EmbedrtError as error:
        sys.exit(str(error))


def measuring(description: str | None, *, output: Path, rounds: int) -> argparse.ArgumentParser:
    """A command that measures in rounds: its options ``--output`` and ``--rounds``, with these defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=file_to_write, default=output, help="the result file; without it %(default)s")
    parser.add_argument("--rounds", type=_rounds, default=rounds, help="times that everyone takes a turn")
    return parser


def file_to_write(text: str) -> Path:
    """An option's file; refused before anything is measured where it could not be written."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder or in none, expected a file in a folder that exists")
    return path


def part_of(parts: Collection[str]) -> Callable[[str], str]:
    """The type of an argument that names one of ``parts``."""

    def part(text: str) -> str:
        if text not in parts:
            raise argparse.ArgumentTypeError(f"there is no part {text!r}; there are: {', '.join(parts)}")
        return text

    return part


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} came, expected a whole number of at least 1")
    return int(text)
