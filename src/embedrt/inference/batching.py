"""Token rows to batches: which texts run together, and the padded arrays they run as; pure numpy.

Two rules give the same text the same bits in any company. The padded length of a text depends on its own length alone
(rounded up to a multiple of ``length_step``; with step 1 nothing is ever padded), and a batch holds texts of one padded
length only. A batch is as large as a budget of tokens allows, because the working set of a few hundred tokens stays in
the cache: larger batches are slower on a CPU.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedrt.text.tokenizer import TokenRows

__all__ = ["Batch", "padded_arrays", "padded_types", "plan_batches", "without_prompt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Texts that run together."""

    rows: npt.NDArray[np.int64]
    """(batch,) which texts, by their index in the input."""
    length: int
    """Padded sequence length in tokens."""


def plan_batches(
    lengths: npt.NDArray[np.int64], *, token_budget: int, length_step: int = 1, batch_size: int | None = None
) -> list[Batch]:
    """Group texts by padded length, longest first, into batches of at most ``token_budget`` tokens.

    A text longer than the budget runs alone, one without any token is in no batch. With ``batch_size`` a batch holds at most so
    many texts, whatever the budget.

    Args:
        lengths: (texts,) tokens of each text.
        token_budget: tokens in one batch, padding included.
        length_step: lengths are rounded up to a multiple of it.
        batch_size: texts in one batch.

    >>> [batch.rows.tolist() for batch in plan_batches(np.array([3, 5, 3, 3]), token_budget=6)]
    [[1], [0, 2], [3]]
    """
    if len(lengths) == 1 and lengths[0]:  # a text by itself is what latency is measured on, and needs no plan
        return [Batch(rows=np.zeros(1, dtype=np.int64), length=-(-int(lengths[0]) // length_step) * length_step)]
    padded = -(-lengths // length_step) * length_step
    order = np.argsort(-padded, kind="stable")
    batches = []
    for group in _runs_of_equal(padded, order):
        length = int(padded[group[0]])
        if length == 0:
            continue
        size = batch_size or max(1, token_budget // length)
        batches += [Batch(rows=group[at : at + size], length=length) for at in range(0, len(group), size)]
    return batches


def _runs_of_equal(padded: npt.NDArray[np.int64], order: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """``order`` cut wherever the padded length changes."""
    if len(order):
        yield from np.split(order, np.flatnonzero(np.diff(padded[order])) + 1)


def padded_arrays(
    tokens: TokenRows, batch: Batch, *, pad_token_id: int, padding_side: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """``input_ids`` and ``attention_mask`` of a batch, both int64 (batch, sequence)."""
    if len(tokens) == 1 and len(tokens.ids) == batch.length and tokens.attended is None:  # a text by itself
        return tokens.ids[None, :], _all_real(batch.length)
    lengths = tokens.lengths[batch.rows][:, None]  # (batch, 1)
    offset = _offsets(lengths, batch.length, padding_side)
    if bool((lengths == batch.length).all()):  # nothing to pad
        input_ids = tokens.ids[tokens.starts[batch.rows][:, None] + offset]
        return input_ids, _attended(tokens, batch, offset, np.ones_like(input_ids))
    real = (offset >= 0) & (offset < lengths)  # (batch, sequence)
    input_ids = np.where(real, _taken(tokens.ids, tokens, batch, np.where(real, offset, 0)), pad_token_id)
    return input_ids, _attended(tokens, batch, offset, real.astype(np.int64))


@functools.lru_cache(maxsize=512)
def _all_real(length: int) -> npt.NDArray[np.int64]:
    """The mask of one text without padding, (1, sequence)."""
    mask = np.ones((1, length), dtype=np.int64)
    mask.flags.writeable = False
    return mask


def padded_types(tokens: TokenRows, batch: Batch, *, padding_side: str) -> npt.NDArray[np.int64] | None:
    """``token_type_ids`` of a batch, int64 (batch, sequence), 0 in padding; None where all are 0."""
    if tokens.type_ids is None:
        return None
    lengths = tokens.lengths[batch.rows][:, None]  # (batch, 1)
    offset = _offsets(lengths, batch.length, padding_side)
    real = (offset >= 0) & (offset < lengths)  # (batch, sequence)
    return np.where(real, _taken(tokens.type_ids, tokens, batch, np.where(real, offset, 0)), 0)


def _offsets(lengths: npt.NDArray[np.int64], length: int, padding_side: str) -> npt.NDArray[np.int64]:
    """Which token of its text stands in each column: (1, sequence) or (batch, sequence), out of range in padding."""
    column = np.arange(length)[None, :]  # (1, sequence)
    return column - (length - lengths) if padding_side == "left" else column


def _taken(
    values: npt.NDArray[np.int64], tokens: TokenRows, batch: Batch, offset: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | int:
    """The values at these offsets of each text, (batch, sequence)."""
    return values[np.minimum(tokens.starts[batch.rows][:, None] + offset, len(values) - 1)] if len(values) else 0


def _attended(
    tokens: TokenRows, batch: Batch, offset: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """``mask`` without the tokens that attention is not to see."""
    return mask if tokens.attended is None else mask * (offset < tokens.attended[batch.rows][:, None])


def without_prompt(mask: npt.NDArray[np.int64], prompt_length: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``mask`` (batch, sequence) without the first ``prompt_length`` real tokens of each row; one number, or (batch, 1)."""
    return np.where(np.cumsum(mask, axis=1) > prompt_length, mask, 0)
