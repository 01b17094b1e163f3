"""Inputs of a call that are equal, token for token, run once, and the result goes to all of them.

Nothing is lost by it, since a text has the same bits in any company. Of the sentences of STS14's pairs 15 % repeat others;
to find out costs half a microsecond a text.
"""

import dataclasses
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from embedrt.inference.batching import Batch
from embedrt.inference.scheduling import Arrays, Consume, Mask, Work
from embedrt.text.tokenizer import TokenRows

__all__ = ["different_rows", "first_equals", "run_once"]

Result = TypeVar("Result")
_COPIES = 64
"""Results that are handed on at once: memory does not grow with the number of repeats."""


def run_once(work: Work[Result]) -> tuple[Work[Result], npt.NDArray[np.int64]]:
    """``work`` that hands each result on to all equal inputs, and the tokens (inputs,) to plan with, 0 for repeats.

    Work with ``extra`` inputs is left as it is.
    """
    tokens = work.tokens
    if len(tokens) == 1 or work.extra is not None:
        return work, tokens.lengths
    first = first_equals(tokens)
    repeats = np.flatnonzero(first != np.arange(len(first)))
    if not len(repeats):
        return work, tokens.lengths
    lengths = tokens.lengths.copy()
    lengths[repeats] = 0
    order = repeats[np.argsort(first[repeats], kind="stable")]
    return dataclasses.replace(work, consume=_handing_on(work.consume, first[order], order)), lengths


def different_rows(tokens: TokenRows) -> tuple[TokenRows, npt.NDArray[np.int64] | None]:
    """``tokens`` without repeats, and (texts,) which of its rows each text has now; None where nothing repeats."""
    if len(tokens) == 1:
        return tokens, None
    kept, place = np.unique(first_equals(tokens), return_inverse=True)
    if len(kept) == len(tokens):
        return tokens, None
    attended = None if tokens.attended is None else tokens.attended[kept]
    rows = dataclasses.replace(tokens, lengths=tokens.lengths[kept], starts=tokens.starts[kept], attended=attended)
    return rows, place


def first_equals(tokens: TokenRows) -> npt.NDArray[np.int64]:
    """(texts,) the first text that has the same tokens as each, of the same types, of which attention sees as many."""
    ids, types = tokens.ids.tobytes(), b"" if tokens.type_ids is None else tokens.type_ids.tobytes()
    begins = (tokens.starts * tokens.ids.itemsize).tolist()
    ends = ((tokens.starts + tokens.lengths) * tokens.ids.itemsize).tolist()
    attended = [0] * len(tokens) if tokens.attended is None else tokens.attended.tolist()
    seen: dict[tuple[bytes, bytes, int], int] = {}
    first = [
        seen.setdefault((ids[begin:end], types[begin:end], sees), row)
        for row, (begin, end, sees) in enumerate(zip(begins, ends, attended, strict=True))
    ]
    return np.array(first, dtype=np.int64)


def _handing_on(consume: Consume, firsts: npt.NDArray[np.int64], repeats: npt.NDArray[np.int64]) -> Consume:
    """``consume`` for the inputs that ran, then for their repeats: ``repeats[i]`` is equal to ``firsts[i]``, which rises."""

    def store(batch: Batch, results: Arrays, mask: Mask) -> None:
        consume(batch, results, mask)
        begins, ends = np.searchsorted(firsts, batch.rows), np.searchsorted(firsts, batch.rows, side="right")
        place = np.repeat(np.arange(len(batch.rows)), ends - begins)  # (repeats,), where in the batch their results are
        rows = np.concatenate([repeats[begin:end] for begin, end in zip(begins, ends, strict=True)])
        for at in range(0, len(rows), _COPIES):
            some = place[at : at + _COPIES]
            again = Batch(rows=rows[at : at + _COPIES], length=batch.length)
            consume(again, [result[some] for result in results], mask[some])

    return store
