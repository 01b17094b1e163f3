"""Texts to token ids; the only room that imports ``tokenizers``.

A tokenizer is configured once, when it is loaded, and never again: reconfiguring truncation or padding from several
threads makes the library raise "Already borrowed". Padding is left to :mod:`embedrt.batching`.
"""

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from embedrt.errors import ArtifactNotFoundError, InputError, IntegrityError

__all__ = ["TextTokenizer", "TokenRows", "as_texts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRows:
    """Token ids of several texts, end to end in one array."""

    ids: npt.NDArray[np.int64]
    """(total tokens,)"""
    lengths: npt.NDArray[np.int64]
    """(texts,) tokens of each text."""
    starts: npt.NDArray[np.int64]
    """(texts,) where each text begins in ``ids``."""

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, index: int) -> npt.NDArray[np.int64]:
        """Token ids of one text, (tokens,)."""
        return self.ids[self.starts[index] : self.starts[index] + self.lengths[index]]


class TextTokenizer:
    """A tokenizer.json, truncating at a fixed length and never padding."""

    def __init__(self, path: Path, *, max_seq_length: int | None = None) -> None:
        """Load ``path``; ``max_seq_length`` in tokens overrides the truncation that is baked into the file."""
        if not path.is_file():
            raise ArtifactNotFoundError(
                f"there is no {path.name} in {path.parent}: copy the one of the checkpoint there"
            )
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise IntegrityError(
                f"{path} is not a tokenizer that this machine's tokenizers can read: {error}"
            ) from error
        self._tokenizer.no_padding()
        baked = self._tokenizer.truncation
        if max_seq_length is not None and (baked is None or baked["max_length"] != max_seq_length):
            self._tokenizer.enable_truncation(max_seq_length, direction=(baked or {}).get("direction", "right"))
        limit = self._tokenizer.truncation
        self.max_seq_length: int | None = limit["max_length"] if limit else None

    def encode(self, texts: Sequence[str]) -> TokenRows:
        """Token ids of each text, special tokens included, cut at the maximum length."""
        try:
            # a batch of one would be handed to the library's thread pool and back
            one = len(texts) == 1
            encodings = [self._tokenizer.encode(texts[0])] if one else self._tokenizer.encode_batch_fast(list(texts))
        except TypeError as error:  # the library's answer to a str that is no Unicode text
            raise InputError(_broken_text(texts)) from error
        rows = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter(itertools.chain.from_iterable(rows), np.int64, int(lengths.sum()))
        return TokenRows(ids=ids, lengths=lengths, starts=np.cumsum(lengths) - lengths)

    def tokens(self, text: str) -> list[str]:
        """The pieces that ``text`` is cut into, special tokens included."""
        return list(self._tokenizer.encode(text).tokens)


def _tokenize_on_one_thread() -> None:
    """In a forked child the library's threads are gone, and asking them for anything, as this variable may, waits for ever."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tokenize_on_one_thread)


def _broken_text(texts: Sequence[str]) -> str:
    broken = next(index for index, text in enumerate(texts) if any("\ud800" <= mark <= "\udfff" for mark in text))
    return (
        f"sentences[{broken}] holds half of a surrogate pair, which is no character. "
        "Decode the text again with errors='replace'"
    )


def as_texts(sentences: object, *, first: int = 0) -> list[str]:
    """``sentences`` as a list of str; errors count from ``first``.

    Raises:
        TypeError: it is anything but a str or a sequence of str.
    """
    if isinstance(sentences, str):
        return [sentences]
    if isinstance(sentences, np.ndarray) and sentences.ndim > 0:
        sentences = sentences.tolist()
    if not isinstance(sentences, Sequence) or isinstance(sentences, bytes | bytearray):
        raise TypeError(f"sentences is a {type(sentences).__name__}, expected a str or a list of str")
    for index, text in enumerate(sentences, first):
        if not isinstance(text, str):
            raise TypeError(f"sentences[{index}] is a {type(text).__name__} ({text!r:.40}), expected a str")
    return list(sentences)
