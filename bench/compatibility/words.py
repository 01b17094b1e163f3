"""Checkpoints on whole words: averages, bags of words, and the shapes of InferSent and the Deep Averaging Network.

Each is saved by sentence-transformers itself, with random vectors of real words: those of the texts that it is compared over.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embedrt_export.parity.texts import PARITY_TEXTS
from embedrt_export.quantization.calibration import held_out_texts
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import CNN, LSTM, BoW, Pooling, WordEmbeddings, WordWeights
from sentence_transformers.sentence_transformer.modules.tokenizer import (
    ENGLISH_STOP_WORDS,
    PhraseTokenizer,
    WhitespaceTokenizer,
)
from torch import nn

__all__ = ["WORD_MODELS", "WordModel"]

_WIDTH = 50
_ROWS = 2000


def _vocabulary() -> list[str]:
    """The words of the parity and the held-out texts, some phrases of them, and invented ones behind."""
    found = [word for text in (*PARITY_TEXTS, *held_out_texts()) for word in re.findall(r"\w+|[^\w\s]", text)]
    phrases = [f"{first}_{second}" for first, second in zip(found[::9], found[1::9], strict=False)]
    known = list(dict.fromkeys(["PADDING_TOKEN", *found, *phrases]))[:_ROWS]
    return [*known, *(f"word{number}" for number in range(_ROWS - len(known)))]


def _words(*, phrases: bool = False, stop_words: Sequence[str] = ()) -> WordEmbeddings:
    words = _vocabulary()
    table = np.random.default_rng(0).normal(size=(len(words), _WIDTH)).astype(np.float32)
    kind = PhraseTokenizer if phrases else WhitespaceTokenizer
    return WordEmbeddings(kind(words, stop_words=stop_words), table)


def _idf() -> WordWeights:
    random = np.random.default_rng(1)
    words = _vocabulary()
    weights = {word: float(weight) for word, weight in zip(words, random.uniform(1, 12, len(words)), strict=True)}
    return WordWeights(words, weights, unknown_word_weight=12)


def _pooled(mode: str, width: int = _WIDTH) -> Pooling:
    return Pooling(width, pooling_mode=mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordModel:
    """One shape."""

    modules: Callable[[], list[Any]]
    words: str
    """How texts are cut."""
    known: str
    """Known models of this shape."""

    def save(self, folder: Path) -> Path:
        """The checkpoint, in ``folder``."""
        torch.manual_seed(0)
        SentenceTransformer(modules=self.modules(), device="cpu").save(str(folder))
        return folder


WORD_MODELS: dict[str, WordModel] = {
    "word vectors, mean": WordModel(
        modules=lambda: [_words(stop_words=ENGLISH_STOP_WORDS), _pooled("mean")],
        words="white space, stop words", known="average_word_embeddings_glove, _komninos",
    ),
    "word vectors, phrases, max": WordModel(
        modules=lambda: [_words(phrases=True), _pooled("max"), Normalize()],
        words="phrases", known="Google News word2vec",
    ),
    "idf weights": WordModel(modules=lambda: [_words(), _idf(), _pooled("mean")], words="white space", known="tf-idf averages"),
    "bag of words": WordModel(
        modules=lambda: [BoW(_vocabulary(), {"the": 0.1, "a": 0.2}), Dense(_ROWS, 64)],
        words="white space", known="tf-idf and a Dense layer",
    ),
    "LSTM, max": WordModel(
        modules=lambda: [_words(), LSTM(_WIDTH, 32), _pooled("max", 64)], words="white space", known="InferSent",
    ),
    "CNN, max": WordModel(
        modules=lambda: [_words(), CNN(_WIDTH, 24, [1, 3, 5]), _pooled("max", 72)], words="white space", known="",
    ),
    "sqrt-length mean, Dense": WordModel(
        modules=lambda: [
            _words(phrases=True), _pooled("mean_sqrt_len_tokens"),
            Dense(_WIDTH, 64, activation_function=nn.Tanh()), Dense(64, 32, activation_function=nn.Tanh()),
        ],
        words="words and bigrams", known="Universal Sentence Encoder's DAN",
    ),
}  # fmt: skip
