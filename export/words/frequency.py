"""How often a corpus has each word, and the weights that follow from it.

Only words of the vocabulary are counted: of others no text says anything to the model. Weights:

    idf(w) = ln(N / n(w))        N texts, n(w) of them with w          Spärck Jones 1972, Journal of Documentation 28 (1)
    sif(w) = a / (a + p(w))      p(w) the share of w among all words   Arora, Liang, Ma 2017, ICLR (a = 0.001, as there)

A word that the corpus has not is as rare as a word can be: n(w) = 1, and p(w) = 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.user_texts import bytes_of, in_chunks, read_texts
from embedrt_export.words.options import Weighting

from embedrt.errors import InputError
from embedrt.progress import progress
from embedrt.text.segmenters import Segmenter
from embedrt.text.tokenizer import TokenRows, token_rows

__all__ = ["WordCounts", "corpus_rows", "count_words", "frequent_words", "word_weights"]

_A = 1e-3
_CHUNK = 4096  # texts

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WordCounts:
    """What a corpus has."""

    texts: int
    occurrences: Counts
    """(words,) how often each word stands in the corpus."""
    texts_with: Counts
    """(words,) how many texts have it."""


def corpus_rows(segmenter: Segmenter, corpus: Path, *, doing: str, quiet: bool) -> Iterable[TokenRows]:
    """The ids of the corpus's texts, some thousand texts at a time, with a bar on stderr unless ``quiet``."""
    with progress(bytes_of([corpus]), shown=not quiet, doing=doing, unit="B") as advance:
        for chunk in in_chunks(read_texts([corpus]), _CHUNK):
            yield token_rows([segmenter.ids(text) for text in chunk])
            advance(sum(len(text.encode("utf-8", "surrogatepass")) + 1 for text in chunk))


def count_words(rows: Iterable[TokenRows], words: int, corpus: Path) -> WordCounts:
    """Count the ``words`` of a vocabulary in ``rows``.

    Raises:
        InputError: the corpus has none of them.
    """
    texts = 0
    occurrences, texts_with = np.zeros(words, dtype=np.int64), np.zeros(words, dtype=np.int64)
    for chunk in rows:
        texts += len(chunk)
        occurrences += np.bincount(chunk.ids, minlength=words)
        text_of = np.repeat(np.arange(len(chunk)), chunk.lengths)
        texts_with += np.bincount(np.unique(text_of * words + chunk.ids) % words, minlength=words)
    if not occurrences.any():
        raise InputError(
            f"none of the words of {corpus} has a vector: is it of another language, or cut into words in another way?"
        )
    return WordCounts(texts=texts, occurrences=occurrences, texts_with=texts_with)


def word_weights(counts: WordCounts, weighting: Weighting) -> Floats:
    """The weight of each word, (words,).

    Raises:
        InputError: all weights would be zero.
    """
    if weighting == "sif":
        shares = counts.occurrences / counts.occurrences.sum()
        return np.asarray(_A / (_A + shares), dtype=np.float32)
    weights = np.log(counts.texts / np.maximum(counts.texts_with, 1))
    if not weights[counts.occurrences > 0].any():
        raise InputError(
            f"every text of the corpus ({counts.texts}) has every word that any of them has, so that idf is zero: "
            "pass a corpus of more texts"
        )
    return np.asarray(weights, dtype=np.float32)


def frequent_words(counts: WordCounts, number: int) -> list[int]:
    """The ids of so many words, the most frequent first; of equally frequent ones those that come first in the vocabulary.

    Raises:
        InputError: the corpus has no more words than that.
    """
    present = int((counts.occurrences > 0).sum())
    if number >= present:
        raise InputError(
            f"{number} words were to be dropped, but the corpus has {present} that have vectors: pass less"
        )
    order = np.argsort(-counts.occurrences, kind="stable")
    return [int(place) for place in order[:number]]
