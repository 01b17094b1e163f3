"""The tokenizer of models of word vectors: whole words to ids, from a ``words.json`` in place of a tokenizer.json.

The file holds the rules and the vocabulary, a word's id being its place there; its format is in docs/artifact.md. What stands
above sees a :class:`~embedrt.text.tokenizer.TextTokenizer` like any other.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedrt.errors import ArtifactNotFoundError, InputError, IntegrityError
from embedrt.text.segmenters import WordRules, segmenter_for
from embedrt.text.tokenizer import Piece, TextTokenizer, TokenRows, token_rows

__all__ = ["WordTokenizer", "read_words", "write_words"]

_FORMAT_VERSION = 1


class WordTokenizer(TextTokenizer):
    """Words to ids. There are no special tokens, and unknown words give nothing: a text may have no token at all."""

    def __init__(self, path: Path, *, max_seq_length: int | None = None) -> None:
        """Load ``path``, a words.json; texts are cut at ``max_seq_length`` known words.

        Raises:
            ArtifactNotFoundError: there is no such file.
            IntegrityError: it is damaged, or of another version.
            MissingDependencyError: it asks for jieba, which is not installed.
        """
        rules, self._words = read_words(path)
        self._segmenter = segmenter_for(rules, self._words)
        self.max_seq_length = max_seq_length

    @property
    def shortest(self) -> int:
        """One word."""
        return 1

    def encode(self, texts: Sequence[str], *, special_tokens: bool = True) -> TokenRows:
        """Ids of the known words of each text, cut at the maximum length."""
        del special_tokens  # there are none
        limit, ids = self.max_seq_length, self._segmenter.ids
        return token_rows([ids(text)[:limit] for text in texts])

    def tokens(self, text: str) -> list[str]:
        """The vocabulary's words for those of ``text``."""
        return [self._words[number] for number in self._segmenter.ids(text)[: self.max_seq_length]]

    def pieces(self, text: str, *, special_tokens: bool = True) -> list[Piece]:
        """The known words of ``text``, beyond the maximum length too, with their places."""
        del special_tokens  # there are none
        return [
            Piece(number, self._words[number], False, start, stop)
            for number, start, stop in self._segmenter.places(text)
        ]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The words of ``ids``, with spaces between; ids that the vocabulary has not are left out."""
        del skip_special_tokens
        return " ".join(self._words[number] for number in ids if 0 <= number < len(self._words))

    def token(self, number: int) -> str | None:
        """The word of an id; None where the vocabulary has none."""
        return self._words[number] if 0 <= number < len(self._words) else None

    @property
    def vocabulary_size(self) -> int:
        """Words that there are: ids are below it."""
        return len(self._words)


def write_words(path: Path, rules: WordRules, words: Sequence[str]) -> None:
    """Write a words.json."""
    content = {"format_version": _FORMAT_VERSION, **dataclasses.asdict(rules), "words": list(words)}
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8", errors="surrogatepass")


def read_words(path: Path) -> tuple[WordRules, list[str]]:
    """The rules and the words of a words.json.

    Raises:
        ArtifactNotFoundError: there is no such file.
        IntegrityError: it is damaged, or of another version.
    """
    if not path.is_file():
        raise ArtifactNotFoundError(f"there is no {path.name} in {path.parent}: copy the one of the artifact there")
    content = _object(path)
    if content.pop("format_version", None) != _FORMAT_VERSION:
        raise IntegrityError(
            f"{path} is not of format_version {_FORMAT_VERSION}: install the embedrt that wrote it, or export again"
        )
    words = content.pop("words", None)
    if not isinstance(words, list) or not all(type(word) is str for word in words):
        raise IntegrityError(f"{path} has no list of words under 'words': export the model again")
    return _rules(content, path), words


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors="surrogatepass"))
    except ValueError as error:
        raise IntegrityError(f"{path} is not JSON: {error}. Copy or export it again") from error
    if not isinstance(content, dict):
        raise IntegrityError(f"{path} holds a {type(content).__name__}, expected an object")
    return content


def _rules(content: dict[str, Any], path: Path) -> WordRules:
    content["stop_words"] = tuple(content.get("stop_words", ()))
    try:
        return WordRules(**content)
    except (TypeError, InputError) as error:  # a key too many or too few, or an unknown way to split
        raise IntegrityError(
            f"{path} has rules that this embedrt does not know: {error}. Install the embedrt that wrote it"
        ) from error
