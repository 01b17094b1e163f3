"""The direction that all of a corpus's vectors share, and vectors without it: v − u uᵀ v (Arora, Liang, Ma 2017, ICLR).

u is the first right singular vector of the matrix of the corpus's vectors, not centered, as in the paper. A mean is linear, so
that a text's vector loses u when the words' vectors do: it is taken out of the table, and costs nothing when texts are encoded.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from embedrt_export.words.model import WordModel, WordWeights

from embedrt.errors import InputError
from embedrt.text.tokenizer import TokenRows

__all__ = ["first_component", "mean_vectors", "remove_component"]

_BLOCK = 1 << 14  # rows
_FEWEST = 2  # texts

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def mean_vectors(model: WordModel, rows: TokenRows) -> Doubles:
    """What ``model``, which is one of the means and nothing behind it, gives for texts with known words: (those texts, dim)."""
    present = np.flatnonzero(rows.lengths)
    weights = np.ones(len(rows.ids), dtype=np.float32)
    for module in model.on_tokens:
        if isinstance(module, WordWeights):
            weights = module.weights[rows.ids]
    text_of = np.repeat(np.arange(len(present)), rows.lengths[present])
    sums, divisors = np.zeros((len(present), model.table.shape[1])), np.zeros(len(present))
    for at in range(0, len(rows.ids), _BLOCK):
        stretch = slice(at, at + _BLOCK)
        texts, starts = np.unique(text_of[stretch], return_index=True)
        words = model.table[rows.ids[stretch]] * weights[stretch, None]  # (words of the stretch, dim)
        sums[texts] += np.add.reduceat(words, starts)
        divisors[texts] += np.add.reduceat(weights[stretch].astype(np.float64), starts)
    divisors = np.maximum(divisors, 1e-9)
    vectors: Doubles = sums / (np.sqrt(divisors) if model.pooling == ("mean_sqrt_len_tokens",) else divisors)[:, None]
    return vectors


def first_component(vectors: Iterable[Doubles]) -> tuple[Doubles, float]:
    """u, (dim,), of length 1, and its share of the vectors' summed squares.

    Raises:
        InputError: there are not enough vectors.
    """
    gram, count = np.zeros((0, 0)), 0
    for block in vectors:
        gram = block.T @ block + (gram if gram.size else 0)
        count += len(block)
    if count < _FEWEST or not gram.any():
        raise InputError(
            f"{count} texts of the corpus have words with vectors, expected at least {_FEWEST}: their common component "
            "cannot be computed, pass a larger corpus"
        )
    values, directions = np.linalg.eigh(gram)
    return directions[:, -1], float(values[-1] / values.sum())


def remove_component(table: Floats, component: Doubles) -> None:
    """Take ``component`` out of every row of ``table`` (words, dim), in place."""
    for at in range(0, len(table), _BLOCK):
        block = table[at : at + _BLOCK].astype(np.float64)
        table[at : at + _BLOCK] = block - np.outer(block @ component, component)
