"""A file of word vectors: GloVe's or word2vec's text, word2vec's binary, gensim's KeyedVectors; packed by gzip or not.

The content tells which one it is, not the name; only between text and binary, where a few bytes could be either, the name counts.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, cast

from embedrt_export.words.binary_file import read_binary_vectors
from embedrt_export.words.keyed_vectors import is_pickle, read_keyed_vectors
from embedrt_export.words.text_file import Header, read_text_vectors
from embedrt_export.words.vectors import WordVectors

from embedrt.errors import CheckpointError
from embedrt.progress import progress

__all__ = ["read_word_vectors"]

_GZIP, _ZIP, _FASTTEXT, _UTF16 = b"\x1f\x8b", b"PK\x03\x04", b"\xba\x16\x4f\x2f", (b"\xff\xfe", b"\xfe\xff")
_MARK = b"\xef\xbb\xbf"  # of UTF-8, as some editors put it
_HEADER = re.compile(rb"\s*(\d+)\s+(\d+)\s*")
_PEEK = 1 << 16  # bytes
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\x0b\x0c")
_NUMBERS = re.compile(rb"\S.*(?:\s[-+.\deE]+)+")
_FEWEST_BYTES = 2  # of a number, in text a digit and a space
_BUFFER = 1 << 20
_MOST_DIGITS = 12
_WIDEST = 1 << 16  # numbers of a vector; a packed file does not say what it can hold


def read_word_vectors(path: Path, *, quiet: bool = False) -> WordVectors:
    """All words and vectors of ``path``, with a bar on stderr unless ``quiet``.

    Raises:
        CheckpointError: it is no such file, or damaged; the message names the line or the word.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file at {path}: pass one of word vectors (.txt, .vec, .bin, .kv, or .gz)")
    with path.open("rb", buffering=_BUFFER) as stored:
        packed = stored.read(len(_GZIP)) == _GZIP
        stored.seek(0)
        try:
            with gzip.open(stored) if packed else nullcontext(stored) as file:
                return _read(cast("BinaryIO", file), stored, path, packed=packed, quiet=quiet)
        except (EOFError, OSError, zlib.error) as error:
            raise CheckpointError(f"{path} cannot be read to its end: {error}. Download it again") from error


def _read(file: BinaryIO, stored: BinaryIO, path: Path, *, packed: bool, quiet: bool) -> WordVectors:
    """``file`` is ``stored``, unpacked."""
    beginning, size = file.read(_PEEK), path.stat().st_size
    _require_known(beginning, path)
    file.seek(len(_MARK) if beginning.startswith(_MARK) else 0)
    if is_pickle(beginning):
        return read_keyed_vectors(file, path, quiet=quiet)
    header = _header(beginning, path, None if packed else size)
    if header is not None:
        file.readline()
    with progress(size, shown=not quiet, doing="Reading vectors", unit="B") as advance:
        steps, whole = _steps(stored), None if packed else size

        def read_on(_count: float) -> None:
            advance(next(steps))

        if header is not None and _is_binary(beginning, header, path):
            return read_binary_vectors(file, path.name, header, size=whole, advance=read_on)
        return read_text_vectors(file, path.name, header, size=whole, advance=read_on)


def _steps(stored: BinaryIO) -> Iterator[int]:
    """How many bytes of a file more were read since the last time, packed or not."""
    before = 0
    while True:
        now = stored.tell()
        yield now - before
        before = now


def _require_known(beginning: bytes, path: Path) -> None:
    """Name the files that are often taken for word vectors."""
    if beginning.startswith(_UTF16):
        raise CheckpointError(
            f"{path} line 1 is UTF-16, expected UTF-8: iconv -f utf-16 -t utf-8 {path.name} > converted.txt"
        )
    if beginning.startswith(_ZIP):
        raise CheckpointError(f"{path} is a .zip archive: unzip it, and pass one of the files within")
    if beginning.startswith(_FASTTEXT):
        raise CheckpointError(
            f"{path} is a whole fastText model, which makes vectors from parts of words: pass its .vec file instead"
        )


def _header(beginning: bytes, path: Path, size: int | None) -> Header | None:
    """What the first line says, where it is two whole numbers."""
    match = _HEADER.fullmatch(beginning.removeprefix(_MARK).partition(b"\n")[0])
    if match is None:
        return None
    if (digits := max(map(len, match.groups()))) > _MOST_DIGITS:
        raise CheckpointError(
            f"{path} line 1 is a number of {digits} digits, expected how many words there are and of how many numbers: correct it"
        )
    header = Header(int(match[1]), int(match[2]))
    if header.words < 1 or header.dimension < 1:
        raise CheckpointError(
            f"{path} line 1 says {header.words} words of {header.dimension} numbers, expected at least 1 of each"
        )
    if size is not None and header.words * header.dimension * _FEWEST_BYTES > size:
        raise CheckpointError(
            f"{path} line 1 says {header.words} words of {header.dimension} numbers, which its {size} bytes cannot hold: "
            "it was cut, or line 1 is wrong"
        )
    if header.dimension > _WIDEST:
        raise CheckpointError(
            f"{path} line 1 says {header.words} words of {header.dimension} numbers, expected at most {_WIDEST}: correct line 1"
        )
    return header


def _is_binary(beginning: bytes, header: Header, path: Path) -> bool:
    """Whether bytes follow the header, and no line of numbers."""
    line = beginning.partition(b"\n")[2].partition(b"\n")[0]
    if _NUMBERS.fullmatch(line.strip()) and len(line.split()) > header.dimension:
        return False
    return ".bin" in path.suffixes or any(byte in _CONTROL for byte in beginning)
