"""Texts to token ids, by the tokenizers library.

A tokenizer is configured once, when it is loaded, and never again: reconfiguring truncation or padding from several
threads makes the library raise "Already borrowed". Padding is left to :mod:`embedrt.inference.batching`.
"""

import dataclasses
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from embedrt.arguments import came, how_to_list
from embedrt.errors import ArtifactNotFoundError, BrokenTextError, IntegrityError
from embedrt.machine.threads import available_threads
from embedrt.text.pair_template import PairTemplate, PairText
from embedrt.text.word_cache import WordCache

__all__ = ["Piece", "TextTokenizer", "TokenRows", "as_texts", "token_rows"]

_Item = TypeVar("_Item")
_FEW_TEXTS, _FEW_THREADS = 64, 2
"""Looking words up takes one thread, and Python's lock: for more texts than these, more threads than these are faster without."""
_CHARACTERS = 1_000_000
"""Of texts that are with the library at a time: of a token, cut off or not, it keeps a hundred bytes and more, half a gigabyte
here at the worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRows:
    """Token ids of several texts, end to end in one array."""

    ids: npt.NDArray[np.int64]
    """(total tokens,)"""
    lengths: npt.NDArray[np.int64]
    """(texts,) tokens of each text."""
    starts: npt.NDArray[np.int64]
    """(texts,) where each text begins in ``ids``."""
    type_ids: npt.NDArray[np.int64] | None = None
    """(total tokens,) which text of a pair a token is of; None: 0 for all."""
    attended: npt.NDArray[np.int64] | None = None
    """(texts,) how many leading tokens of each text attention sees; None: all. What stands behind has mask 0."""

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, index: int) -> npt.NDArray[np.int64]:
        """Token ids of one text, (tokens,)."""
        return self.ids[self.starts[index] : self.starts[index] + self.lengths[index]]

    def types_of(self, index: int) -> npt.NDArray[np.int64]:
        """Token types of one text, (tokens,)."""
        if self.type_ids is None:
            return np.zeros(self.lengths[index], dtype=np.int64)
        return self.type_ids[self.starts[index] : self.starts[index] + self.lengths[index]]


@dataclass(frozen=True, slots=True)
class Piece:
    """A token and its place in the text."""

    id: int
    token: str
    special: bool
    start: int
    """In characters; 0 for a special token."""
    stop: int


class TextTokenizer:
    """A tokenizer.json, truncating at a fixed length and never padding."""

    def __init__(self, path: Path, *, max_seq_length: int | None = None) -> None:
        """Load ``path``; ``max_seq_length`` in tokens overrides the truncation that is baked into the file."""
        if not path.is_file():
            raise ArtifactNotFoundError(
                f"there is no {path.name} in {path.parent}: copy the one of the checkpoint there"
            )
        try:
            self._tokenizer = Tokenizer.from_buffer(path.read_bytes())  # a path that is no Unicode is none to from_file
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
        self._known_words = WordCache.over(self._tokenizer)
        self._most_by_words = sys.maxsize if available_threads() <= _FEW_THREADS else _FEW_TEXTS

    @property
    def shortest(self) -> int:
        """The smallest maximum length that leaves room for two texts beside the special tokens."""
        return int(self._tokenizer.num_special_tokens_to_add(True)) + 2

    def encode(self, texts: Sequence[str], *, special_tokens: bool = True) -> TokenRows:
        """Token ids of each text, special tokens included unless it is said otherwise, cut at the maximum length."""
        try:
            if self._known_words is not None and special_tokens and len(texts) <= self._most_by_words:
                return token_rows(self._known_words.rows(texts))
            if len(texts) == 1:  # a batch of one would be handed to the library's thread pool and back
                return token_rows([self._tokenizer.encode(texts[0], add_special_tokens=special_tokens).ids])
            return token_rows(
                [
                    encoding.ids
                    for some in _in_slices(texts, len)
                    for encoding in self._tokenizer.encode_batch_fast(some, add_special_tokens=special_tokens)
                ]
            )
        except TypeError as error:  # the library's answer to a str that is no Unicode text
            raise BrokenTextError("sentences", _broken(texts)) from error

    def encode_pairs(self, pairs: Sequence[tuple[str, ...]], *, with_types: bool) -> TokenRows:
        """Token ids of each pair; where it is too long, the longer one of its texts is cut, token by token.

        Args:
            pairs: two texts each; one, for models that may read a text alone too.
            with_types: also which text each token is of, for graphs that read it.
        """
        try:
            rows = self._pair_rows(pairs)
        except TypeError as error:  # the library's answer to a str that is no Unicode text
            raise BrokenTextError("pairs", _broken(["".join(pair) for pair in pairs])) from error
        ids = token_rows([row for row, _ in rows])
        if not with_types:
            return ids
        types = np.fromiter(itertools.chain.from_iterable(types for _, types in rows), np.int64)
        return dataclasses.replace(ids, type_ids=types)

    def is_cut(self, pair: tuple[str, ...]) -> bool:
        """Whether a pair, or a text alone, is longer than the maximum length."""
        if self._may_be_long(pair) and self._pairs is not None:
            texts = self._pair_texts(pair)
            return not self._pairs.fits(texts[pair[0]], texts[pair[1]])
        return bool(self._together(pair).overflowing)

    def _pair_rows(self, pairs: Sequence[tuple[str, ...]]) -> list[tuple[list[int], list[int]]]:
        """Token ids and types of each pair."""
        long = [self._may_be_long(pair) for pair in pairs]
        if not any(long) or self._pairs is None:
            return self._whole_rows(pairs)
        texts = self._pair_texts(itertools.chain.from_iterable(itertools.compress(pairs, long)))
        whole = iter(self._whole_rows([pair for pair, is_long in zip(pairs, long, strict=True) if not is_long]))
        return [
            self._pairs.joined(texts[pair[0]], texts[pair[1]]) if is_long else next(whole)
            for pair, is_long in zip(pairs, long, strict=True)
        ]

    def _pair_texts(self, texts: Iterable[str]) -> dict[str, PairText]:
        """Each different text by itself: a query, long as it is, is read once for all its documents."""
        found: dict[str, PairText] = {}
        for some in _in_slices(list(dict.fromkeys(texts)), len):
            encodings = self._tokenizer.encode_batch_fast(some, add_special_tokens=False)
            found |= zip(some, map(PairText.of, encodings), strict=True)
        return found

    def _whole_rows(self, pairs: Sequence[tuple[str, ...]]) -> list[tuple[list[int], list[int]]]:
        """Token ids and types of each pair, by the library alone."""
        if len(pairs) == 1:  # a batch of one would be handed to the library's thread pool and back
            encoding = self._together(pairs[0])
            return [(encoding.ids, encoding.type_ids)]
        rows: list[tuple[list[int], list[int]]] = []
        for some in _in_slices(pairs, lambda pair: sum(map(len, pair))):
            encodings = self._tokenizer.encode_batch_fast([pair if len(pair) > 1 else pair[0] for pair in some])
            rows += [(encoding.ids, encoding.type_ids) for encoding in encodings]
        return rows

    def _together(self, pair: tuple[str, ...]) -> Encoding:
        return self._tokenizer.encode(pair[0], pair[1] if len(pair) > 1 else None)

    def _may_be_long(self, pair: tuple[str, ...]) -> bool:
        """Whether the library might cut two texts, which it should not where they are very long: see :class:`PairTemplate`."""
        return len(pair) > 1 and self.max_seq_length is not None and len(pair[0]) + len(pair[1]) > self.max_seq_length

    @cached_property
    def _pairs(self) -> PairTemplate | None:
        return PairTemplate.of(self._tokenizer)

    def tokens(self, text: str) -> list[str]:
        """The pieces that ``text`` is cut into, special tokens included."""
        return list(self._tokenizer.encode(text).tokens)

    def pieces(self, text: str, *, special_tokens: bool = True) -> list[Piece]:
        """All pieces of ``text``, beyond the maximum length too, with their places; special tokens only at its two ends."""
        whole = self._tokenizer.encode(text, add_special_tokens=special_tokens)
        parts = [_pieces_of(part) for part in (whole, *whole.overflowing)]
        if len(parts) == 1:
            return parts[0]
        leading = list(itertools.takewhile(lambda piece: piece.special, parts[0]))
        ending = list(itertools.takewhile(lambda piece: piece.special, reversed(parts[0])))[::-1]
        kept = [piece for part in parts for piece in part[len(leading) : len(part) - len(ending)]]
        return [*leading, *kept, *ending]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of token ids; ids that the vocabulary has not are left out."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)

    def token(self, number: int) -> str | None:
        """The piece of a token id; None where the vocabulary has none."""
        piece: str | None = self._tokenizer.id_to_token(number)
        return piece

    @property
    def vocabulary_size(self) -> int:
        """Tokens that there are: ids are below it."""
        return int(self._tokenizer.get_vocab_size())


def token_rows(rows: Sequence[Sequence[int]]) -> TokenRows:
    """Token ids of several texts, laid end to end."""
    if len(rows) == 1:  # what latency is measured on: a third of the time
        only = np.array(rows[0], dtype=np.int64)
        return TokenRows(ids=only, lengths=np.array([len(only)]), starts=np.zeros(1, dtype=np.int64))
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    ids = np.fromiter(itertools.chain.from_iterable(rows), np.int64, int(lengths.sum()))
    return TokenRows(ids=ids, lengths=lengths, starts=np.cumsum(lengths) - lengths)


def _in_slices(items: Sequence[_Item], characters: Callable[[_Item], int]) -> Iterator[list[_Item]]:
    """``items`` in order, those of ``_CHARACTERS`` together."""
    ends = np.cumsum(np.fromiter(map(characters, items), np.int64, len(items)))
    for _, some in itertools.groupby(zip(items, (ends // _CHARACTERS).tolist(), strict=True), lambda item: item[1]):
        yield [item for item, _ in some]


def _pieces_of(encoding: Encoding) -> list[Piece]:
    rows = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
    return [Piece(number, token, bool(special), start, stop) for number, token, special, (start, stop) in rows]


def _tokenize_on_one_thread() -> None:
    """In a forked child the library's threads are gone, and asking them for anything, as this variable may, waits for ever."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tokenize_on_one_thread)


def _broken(texts: Sequence[str]) -> int:
    """Which of ``texts`` holds half of a surrogate pair."""
    return next(index for index, text in enumerate(texts) if any("\ud800" <= mark <= "\udfff" for mark in text))


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
        advice = how_to_list(sentences)
        raise TypeError(f"sentences is a {type(sentences).__name__}, expected a str or a list of str{advice}")
    for index, text in enumerate(sentences, first):
        if not isinstance(text, str):
            raise TypeError(f"sentences[{index}] is a {came(text)}, expected a str")
    return list(sentences)
