"""Texts that a user gives to learn something from: files with one text a line, read as a stream. No PyTorch."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from embedrt.errors import InputError

__all__ = ["bytes_of", "in_chunks", "read_texts"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def bytes_of(files: Sequence[Path]) -> int:
    """Bytes of all files together.

    Raises:
        InputError: there is no such file, or it is a folder.
    """
    for path in files:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not there"
            raise InputError(f"{path} {what}: pass a UTF-8 text file, one text a line")
    return sum(path.stat().st_size for path in files)


def read_texts(files: Sequence[Path]) -> Iterator[str]:
    """The texts of ``files``, line by line, without line ends; lines of nothing but spaces are left out.

    Raises:
        InputError: a file cannot be read or is not UTF-8 (the line is named), or there is no text in any of them.
    """
    bytes_of(files)
    found = False
    for path in files:
        for text in _lines(path):
            found = True
            yield text
    if not found:
        names = ", ".join(map(str, files))
        raise InputError(f"{names} holds no text: pass a UTF-8 text file, one text a line")


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                content = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                if text := _decoded(content, path, number).rstrip("\r\n"):
                    yield from [text] if text.strip() else []
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): pass a UTF-8 text file, one text a line"
        ) from error


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, line {number} is not UTF-8 text (byte {error.start} of the line): convert the file, or pass another"
        ) from error


def in_chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """``texts`` in lists of at most ``size``.

    >>> list(in_chunks("abc", 2))
    [['a', 'b'], ['c']]
    """
    source = iter(texts)
    while chunk := list(islice(source, size)):
        yield chunk
