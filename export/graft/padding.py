"""On which side texts may be padded: the tokenizer's, but right where padding on the left moves a text's tokens.

A graph whose tokens have positions of their own, counted from the left, gives a text another vector behind padding. Nothing
in a folder says so for every architecture, so it is measured.
"""

import numpy as np
from embedrt_export.graft.check import Run

from embedrt.inference.batching import Batch, padded_arrays
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["padding_side"]

_TEXTS = ("A cat.", "How do I reset my password when I cannot sign in?")
_MOVED = 0.05
"""Of the largest component: more than rounding in 8 bits does, less than other positions do."""


def padding_side(original: Run, tokenizer: TextTokenizer, wanted: str, *, pad_token_id: int) -> str:
    """``wanted``, the tokenizer's own side, or ``right``."""
    if wanted != "left":
        return wanted
    tokens = tokenizer.encode(_TEXTS)
    batch = Batch(rows=np.arange(len(_TEXTS)), length=int(tokens.lengths.max()))
    ids, mask = padded_arrays(tokens, batch, pad_token_id=pad_token_id, padding_side="left")
    alone = original(tokens.row(0)[None, :], np.ones((1, int(tokens.lengths[0])), dtype=np.int64))[0]
    together = original(ids, mask)[0]
    if together.ndim > 1:  # token vectors (sequence, hidden)
        together = together[mask[0] == 1]
    moved = np.abs(together - alone).max() > _MOVED * np.abs(alone).max()
    return "right" if moved else "left"
