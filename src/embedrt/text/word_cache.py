"""Token ids of words that were met before, in front of a BERT tokenizer: what a text of known words costs is a tenth.

BERT's normalizer looks at one character at a time, its pre-tokenizer cuts at every space, and WordPiece at nothing but the
word: the ids of a text are those of its words, one after another. So a word is asked for once. Words are what stands
between spaces, punctuation included; a Chinese sentence is one such word, costs what it costs the tokenizer, and is not
kept. Other tokenizers (byte-level BPE, Unigram) have other rules, and are asked for every text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

__all__ = ["WordCache"]

_KEPT = 16384
"""Words: some 3 MB. The first that a process meets are the frequent ones; none is dropped."""
_LONGEST = 32
"""Characters of a word that is kept."""
_FIRST_CJK = "\u2e80"
_FEW = 4
"""Words up to which one call a word is faster than a batch for the library's threads."""

Ids = tuple[int, ...]


class WordCache:
    """The ids of texts by their words; safe to use from several threads."""

    def __init__(self, tokenizer: Tokenizer, before: Ids, after: Ids) -> None:
        """``before`` and ``after``: the special tokens at a text's ends. See :meth:`over`."""
        self._tokenizer, self._before, self._after = tokenizer, before, after
        limit = tokenizer.truncation
        self._longest: int | None = limit["max_length"] - len(after) if limit else None  # before what follows
        self._known: dict[str, Ids] = {}

    @classmethod
    def over(cls, tokenizer: Tokenizer) -> Self | None:
        """The cache for ``tokenizer``; None where its ids are not those of its words one after another."""
        bert = isinstance(tokenizer.normalizer, BertNormalizer) and isinstance(tokenizer.model, WordPiece)
        if not bert or not isinstance(tokenizer.pre_tokenizer, BertPreTokenizer) or not _cuts_at_the_end(tokenizer):
            return None
        if any(_reaches_beyond_words(token) for token in tokenizer.get_added_tokens_decoder().values()):
            return None
        ends = _special_tokens(tokenizer)
        return None if ends is None else cls(tokenizer, *ends)

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut at the maximum length: what the tokenizer gives.

        Raises:
            TypeError: a text is no Unicode text; by the tokenizer.
        """
        known = self._known
        rows = [self._row(text.split(" "), known) for text in texts]
        late = [index for index, row in enumerate(rows) if row is None]
        if late:
            found = self._asked({word for index in late for word in texts[index].split(" ") if word not in known})
            self._keep(found)
            for index in late:
                words = texts[index].split(" ")
                rows[index] = self._row(words, {word: found[word] if word in found else known[word] for word in words})
        return [row for row in rows if row is not None]  # all of them

    def _row(self, words: Iterable[str], known: Mapping[str, Ids]) -> list[int] | None:
        """The ids of a text; None where one of its words is not ``known``."""
        ids = [*self._before]
        try:
            for word in words:
                ids += known[word]
        except KeyError:
            return None
        if self._longest is not None and len(ids) > self._longest:
            del ids[self._longest :]
        ids += self._after
        return ids

    def _asked(self, words: Iterable[str]) -> dict[str, Ids]:
        listed = list(words)
        encodings = (
            [self._tokenizer.encode(word, add_special_tokens=False) for word in listed]
            if len(listed) <= _FEW
            else self._tokenizer.encode_batch_fast(listed, add_special_tokens=False)
        )
        return {word: tuple(encoding.ids) for word, encoding in zip(listed, encodings, strict=True)}

    def _keep(self, found: dict[str, Ids]) -> None:
        for word, ids in found.items():
            if len(self._known) >= _KEPT:
                return
            if len(word) <= _LONGEST and max(word, default="") < _FIRST_CJK:
                self._known[word] = ids


def _cuts_at_the_end(tokenizer: Tokenizer) -> bool:
    limit = tokenizer.truncation
    return limit is None or limit["direction"].lower() == "right"


def _reaches_beyond_words(token: Any) -> bool:
    """Whether a token of its own takes spaces in, or asks what stands beside it."""
    return bool(token.lstrip or token.rstrip or token.single_word or any(mark.isspace() for mark in token.content))


def _special_tokens(tokenizer: Tokenizer) -> tuple[Ids, Ids] | None:
    """What is put before and behind every text; None where that cannot be told from two texts."""
    found = set()
    for text in ("a", "b"):
        bare, whole = tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.encode(text).ids
        if len(bare) != 1 or whole.count(bare[0]) != 1:
            return None
        at = whole.index(bare[0])
        found.add((tuple(whole[:at]), tuple(whole[at + 1 :])))
    return found.pop() if len(found) == 1 else None
