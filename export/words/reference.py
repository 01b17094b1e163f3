"""Vectors of texts from word vectors by their definition, in float64 and a text at a time: what graphs are checked by."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from embedrt_export.graft.chain import Normalize
from embedrt_export.words.model import WordModel, WordWeights

__all__ = ["NAME", "word_vectors_of"]

NAME = "the mean of the words' vectors by its definition, numpy in float64"
_SMALLEST = 1e-9

Doubles = npt.NDArray[np.float64]


def word_vectors_of(model: WordModel, ids: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
    """What ``model``, of words, weights, pooling and normalization alone, gives for texts of these ``ids``: (texts, dim)."""
    return np.stack([_vector(model, list(numbers)) for numbers in ids]).astype(np.float32)


def _vector(model: WordModel, numbers: list[int]) -> Doubles:
    if not numbers:
        return np.zeros(len(model.pooling) * model.table.shape[1])
    words = model.table[numbers].astype(np.float64)  # (words of the text, dim)
    total = None
    for module in model.on_tokens:
        if isinstance(module, WordWeights):
            weights = module.weights[numbers].astype(np.float64)
            words, total = words * weights[:, None], max(float(weights.sum()), _SMALLEST)
    vector = np.concatenate([_pooled(mode, words, total) for mode in model.pooling])
    if any(isinstance(module, Normalize) for module in model.finish):
        vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return vector


def _pooled(mode: str, words: Doubles, total: float | None) -> Doubles:
    if mode == "max":
        largest: Doubles = words.max(axis=0)
        return largest
    if mode == "lasttoken":
        last: Doubles = words[-1]
        return last
    places = np.arange(1, len(words) + 1, dtype=np.float64) if mode == "weightedmean" else np.ones(len(words))
    divisor = float(places.sum()) if total is None else total
    summed: Doubles = places @ words
    return summed / (np.sqrt(divisor) if mode == "mean_sqrt_len_tokens" else divisor)
