"""Word vectors as word2vec's own binary: a header, then each word, a space, and its numbers as little-endian float32."""

from typing import BinaryIO

import numpy as np
from embedrt_export.words.text_file import Header
from embedrt_export.words.vectors import RowStore, WordVectors

from embedrt.errors import CheckpointError
from embedrt.progress import Advance

__all__ = ["read_binary_vectors"]

_BLOCK = 1 << 24  # bytes
_LONGEST_WORD = 1 << 12  # bytes; beyond it what is read is no word


def read_binary_vectors(
    file: BinaryIO, name: str, header: Header, *, size: int | None, advance: Advance
) -> WordVectors:
    """All vectors of ``file``, which stands behind its header; arguments and errors as for text, with words in place of lines."""
    width = 4 * header.dimension
    most = header.room if size is None else min(header.words, size // (width + 1) + 1)
    store, pending = RowStore(header.dimension, expected=most), b""
    words: list[str] = []
    while len(words) < header.words:
        block = file.read(_BLOCK)
        advance(len(block))
        pending += block
        found, vectors, used = _whole_words(pending, width, header.words - len(words))
        if not found and (not block or len(pending) > width + _LONGEST_WORD):
            raise CheckpointError(_cut(name, header, len(words), pending))
        words += _decoded(found, name, len(words))
        rows = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(found), header.dimension)
        _require_finite(rows, name, words)
        store.append(rows)
        pending = pending[used:]
    if pending.strip() or file.read(1).strip():
        raise CheckpointError(f"{name} has {header.words} words by its header, but goes on behind them: is it joined?")
    return store.finished(words, None)


def _whole_words(data: bytes, width: int, most: int) -> tuple[list[bytes], list[bytes], int]:
    """Words and the bytes of their numbers, as far as ``data`` holds them whole, and how many bytes these are."""
    words: list[bytes] = []
    vectors: list[bytes] = []
    at = 0
    while len(words) < most:
        space = data.find(b" ", at)
        if space < 0 or space + 1 + width > len(data):
            break
        words.append(data[at:space].lstrip(b"\n"))  # most writers end a vector with a line feed
        vectors.append(data[space + 1 : space + 1 + width])
        at = space + 1 + width
    return words, vectors, at


def _decoded(words: list[bytes], name: str, before: int) -> list[str]:
    decoded = []
    for number, word in enumerate(words, before + 1):
        try:
            decoded.append(word.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise CheckpointError(
                f"{name} word {number} is not UTF-8: {word!r:.60}. Either the header has another width than the vectors, "
                "or the file was written in another encoding: write it again in UTF-8"
            ) from error
    return decoded


def _require_finite(rows: np.ndarray[tuple[int, int], np.dtype[np.float32]], name: str, words: list[str]) -> None:
    if not np.isfinite(rows).all():
        row, column = (int(place) for place in np.argwhere(~np.isfinite(rows))[0])
        number = len(words) - len(rows) + row
        raise CheckpointError(
            f"{name} word {number + 1} has {rows[row, column]} as number {column + 1} of {words[number]!r:.40}, "
            "expected a finite number: is the width in the header that of the vectors?"
        )


def _cut(name: str, header: Header, read: int, rest: bytes) -> str:
    return (
        f"{name} has {header.words} words of {header.dimension} numbers by its header, but ends, or is no such file, "
        f"within word {read + 1} ({rest[:20].lstrip()!r}): download it again"
    )
