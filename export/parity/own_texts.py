"""Texts of a vocabulary's own words, for models that know no others: of what a fixed set of texts has, they may know nothing."""

from collections.abc import Sequence

import numpy as np

__all__ = ["own_texts"]

_LENGTHS = (1, 1, 2, 3, 3, 5, 8, 8, 13, 21, 34, 55, 89, 200)
_SEED = 0


def own_texts(words: Sequence[str], *, split: str) -> list[str]:
    """Words drawn at random, the same for the same ``words``, in texts of many lengths; none where there are no words.

    ``split`` is that of :class:`embedrt.text.segmenters.WordRules`. The words of a phrase stand apart in half of the texts.
    """
    if not words:
        return []
    random = np.random.default_rng(_SEED)
    between = "" if split == "jieba" else " "
    drawn = [random.integers(len(words), size=length) for length in _LENGTHS]
    texts = [between.join(words[int(number)] for number in numbers) for numbers in drawn]
    return [*texts, *(text.replace("_", " ") for text in texts[::2])]
