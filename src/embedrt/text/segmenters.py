"""Texts to ids of whole words: at white space, with phrases, or as jieba cuts Chinese.

The first two are sentence-transformers' WhitespaceTokenizer and PhraseTokenizer (version 6.2), word for word the same: which
forms of a word are looked up, in which order, and when a stop word ends the search. The third is how text2vec's Word2Vec reads
the words that jieba gives. A word of no known form gives no id, and is not seen again.
"""

import re
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from embedrt.errors import InputError
from embedrt.text.jieba_words import jieba_cutter
from embedrt.text.treebank import places_of, treebank_words

__all__ = ["SPLITS", "Segmenter", "WordRules", "phrases_among", "segmenter_for"]

_NONE = -1
"""In place of an id: a stop word, or no word of the vocabulary."""
_BETWEEN_SPACES = re.compile(r"\S+")

Place = tuple[int, int, int]
"""An id, and where its word begins and ends in the text, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRules:
    """How texts are cut into words, and which of these are passed over."""

    split: str
    """One of :data:`SPLITS`."""
    lowercase: bool = False
    """Of ``whitespace``: texts are lowercased first. Without, a word that is unknown as it stands is looked up in lower case."""
    stop_words: tuple[str, ...] = ()
    """Passed over, whether they have vectors or not."""
    phrase_separator: str | None = "_"
    """Of ``phrases``: what joins the words of a phrase in the vocabulary. None: there are no phrases."""
    longest_phrase: int = 5
    """Of ``phrases``: in words."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InputError(f"split is {self.split!r}, expected one of {', '.join(SPLITS)}")


class Segmenter(Protocol):
    """One way to cut."""

    def ids(self, text: str) -> list[int]:
        """The ids of the words of ``text``, in their order."""

    def places(self, text: str) -> list[Place]:
        """The same, each with its place."""


class Whitespace:
    """Words between white space: looked up as they stand, then without punctuation around them, then in lower case."""

    def __init__(self, ids: dict[str, int], rules: WordRules) -> None:
        """``ids`` is taken over and changed."""
        self._known = _with_stop_words(ids, rules.stop_words)
        self._lowercase = rules.lowercase

    def ids(self, text: str) -> list[int]:
        """As :class:`Segmenter`."""
        words = (text.lower() if self._lowercase else text).split()
        found = list(map(self._known.get, words))
        if None in found:
            found = [self._id(word) if number is None else number for word, number in zip(words, found)]
        return [number for number in found if number is not None and number >= 0]

    def places(self, text: str) -> list[Place]:
        """As :class:`Segmenter`."""
        matches = list(_BETWEEN_SPACES.finditer(text))
        words = [match[0].lower() if self._lowercase else match[0] for match in matches]
        return [(self._id(word), *match.span()) for word, match in zip(words, matches) if self._id(word) >= 0]

    def _id(self, word: str) -> int:
        number = self._known.get(word)
        if number is None:
            word = word.strip(string.punctuation)
            number = self._known.get(word)
        return self._known.get(word.lower(), _NONE) if number is None else number


class Phrases:
    """The Treebank's words, joined where the vocabulary has several as one, as ``New_York``: the longest phrases first."""

    def __init__(self, ids: dict[str, int], rules: WordRules) -> None:
        """``ids`` is taken over and changed."""
        self._separator = rules.phrase_separator or ""
        self._phrases = set(phrases_among(ids, rules))
        self._lengths = sorted({phrase.count(self._separator) + 1 for phrase in self._phrases}, reverse=True)
        self._known = _with_stop_words(ids, rules.stop_words)

    def ids(self, text: str) -> list[int]:
        """As :class:`Segmenter`."""
        found = [self._id(word) for word, _ in self._joined(treebank_words(text))]
        return [number for number in found if number >= 0]

    def places(self, text: str) -> list[Place]:
        """As :class:`Segmenter`."""
        words = treebank_words(text)
        spans, at, found = list(places_of(words, text)), 0, []
        for word, length in self._joined(words):
            found.append((self._id(word), spans[at][0], spans[at + length - 1][1]))
            at += length
        return [place for place in found if place[0] >= 0]

    def _joined(self, words: list[str]) -> list[tuple[str, int]]:
        """Words and phrases, and of how many words each is."""
        joined = [(word, 1) for word in words]
        for length in self._lengths:
            at = 0
            while at + length <= len(joined):
                phrase = self._separator.join(word for word, _ in joined[at : at + length])
                known = next((form for form in (phrase, phrase.lower()) if form in self._phrases), None)
                if known is not None:
                    joined[at : at + length] = [(known, sum(count for _, count in joined[at : at + length]))]
                at += 1
        return joined

    def _id(self, word: str) -> int:
        lower = word.lower()
        bare = lower.strip(string.punctuation)
        for form in (word, lower, bare):
            if form in self._known and (form or self._known[form] == _NONE):
                return self._known[form]
        return _NONE


class Chinese:
    """jieba's words; one that is unknown and longer than a character is cut again into all words within it."""

    def __init__(self, ids: dict[str, int], rules: WordRules) -> None:
        """Load jieba's dictionary.

        Raises:
            MissingDependencyError: jieba is not installed.
        """
        self._known = ids
        self._stop_words = frozenset(rules.stop_words)
        self._cutter = jieba_cutter()

    def ids(self, text: str) -> list[int]:
        """As :class:`Segmenter`."""
        return [number for word in self._cutter.words(text) for number in self._ids_of(word)]

    def places(self, text: str) -> list[Place]:
        """As :class:`Segmenter`; the parts of an unknown word have its place."""
        found, at = [], 0
        for word in self._cutter.words(text):
            found += [(number, at, at + len(word)) for number in self._ids_of(word)]
            at += len(word)
        return found

    def _ids_of(self, word: str) -> Iterator[int]:
        if word in self._stop_words:
            return
        if word in self._known:
            yield self._known[word]
        elif len(word) > 1:
            yield from (self._known[part] for part in self._cutter.parts(word) if part in self._known)


def _with_stop_words(ids: dict[str, int], stop_words: Iterable[str]) -> dict[str, int]:
    ids.update(dict.fromkeys(stop_words, _NONE))
    return ids


def phrases_among(words: Iterable[str], rules: WordRules) -> Iterator[str]:
    """Those of ``words`` that several words of a text are joined to."""
    separator = rules.phrase_separator
    if separator is None or rules.split != "phrases":
        return
    for word in words:
        if separator in word and separator * 2 not in word and word.count(separator) < rules.longest_phrase:
            yield word


_SEGMENTERS: dict[str, type[Whitespace] | type[Phrases] | type[Chinese]] = {
    "whitespace": Whitespace,
    "phrases": Phrases,
    "jieba": Chinese,
}
SPLITS = tuple(_SEGMENTERS)


def segmenter_for(rules: WordRules, words: Sequence[str]) -> Segmenter:
    """The segmenter of ``rules``, whose ids are places in ``words``; where a word stands twice, its last place."""
    return _SEGMENTERS[rules.split](dict(zip(words, range(len(words)))), rules)
