"""Texts as queries or as documents: how long they may be, what is added to them, and which of their tokens count.

All of it is done here, on token ids, so that the graph needs no inputs beyond ids and mask: a longer text is cut, a query is
filled up with expansion tokens, and vectors of tokens that are not scored are left out of what the graph gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from embedrt.artifact.kinds import Expansion, MultiVector
from embedrt.errors import InputError
from embedrt.inference.batching import Batch
from embedrt.text.tokenizer import TextTokenizer, TokenRows

__all__ = ["ROLES", "Role", "RoleRows", "Roles", "kept_vectors", "known_role"]

Role = Literal["query", "document"]
ROLES: tuple[Role, ...] = ("query", "document")

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRows:
    """Texts in their role, ready to run."""

    tokens: TokenRows
    kept: npt.NDArray[np.bool_]
    """(total tokens,) whether a token's vector is part of the result."""

    def of(self, row: int) -> npt.NDArray[np.bool_]:
        """:attr:`kept` of one text, (tokens,)."""
        start = self.tokens.starts[row]
        return self.kept[start : start + self.tokens.lengths[row]]


def known_role(role: Role | None) -> Role | None:
    """``role``, if there is such a one.

    Raises:
        InputError: there is none.
    """
    if role is not None and role not in ROLES:
        raise InputError(f"task is {role!r}, expected one of {', '.join(ROLES)}, or None")
    return role


class Roles:
    """The tokenizer of one model, and what its manifest says of queries and documents."""

    def __init__(self, tokenizer: TextTokenizer, settings: MultiVector) -> None:
        self._tokenizer, self._settings = tokenizer, settings
        self._skip, self._keep = np.array(settings.skip_ids, np.int64), np.array(settings.keep_ids, np.int64)
        special = [piece.special for piece in tokenizer.pieces("a")]
        self._ending = special[::-1].index(False) if False in special else 0  # special tokens behind every text

    def rows(self, texts: Sequence[str], role: Role | None) -> RoleRows:
        """Token ids of ``texts``, cut, expanded, and with the tokens marked whose vectors are wanted."""
        rows = self._cut(self._tokenizer.encode(texts), self._length(role))
        expansion = self._settings.expansion if role == "query" else None
        if expansion is not None:
            rows = _expanded(rows, expansion)
        return RoleRows(tokens=rows, kept=self._kept(rows, role))

    def _length(self, role: Role | None) -> int | None:
        lengths = {"query": self._settings.query_length, "document": self._settings.document_length}
        return self._settings.text_length if role is None else lengths[role]

    def _cut(self, rows: TokenRows, length: int | None) -> TokenRows:
        """As the tokenizer would, had it been set to ``length``: special tokens at the end stay.

        It is set once, to the longest that any role may be.
        """
        if length is None or not len(rows) or int(rows.lengths.max()) <= length:
            return rows
        lengths = np.minimum(rows.lengths, length)
        starts = np.cumsum(lengths) - lengths
        at = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)  # (kept tokens,) their place in their text
        left = np.repeat(lengths, lengths) - at  # (kept tokens,) how many follow, itself included
        removed = np.repeat(rows.lengths - lengths, lengths)
        source = np.repeat(rows.starts, lengths) + at + np.where(left <= self._ending, removed, 0)
        return TokenRows(ids=rows.ids[source], lengths=lengths, starts=starts)

    def _kept(self, rows: TokenRows, role: Role | None) -> npt.NDArray[np.bool_]:
        kept = np.ones(len(rows.ids), dtype=np.bool_)
        if len(self._skip) and (role or "document") in self._settings.skip_roles:
            kept &= ~np.isin(rows.ids, self._skip)
        if len(self._keep) and role != "query":
            kept &= np.isin(rows.ids, self._keep)
        if self._settings.leading:
            at = np.arange(len(rows.ids)) - np.repeat(rows.starts, rows.lengths)
            kept &= at >= self._settings.leading
        return kept


def _expanded(rows: TokenRows, expansion: Expansion) -> TokenRows:
    """Each text filled up with the expansion token; one without any token stays empty."""
    lengths = np.where(rows.lengths > 0, np.maximum(rows.lengths, expansion.length), 0)
    starts = np.cumsum(lengths) - lengths
    ids = np.full(int(lengths.sum()), expansion.token_id, dtype=np.int64)
    at = np.arange(len(rows.ids)) - np.repeat(rows.starts, rows.lengths)
    ids[np.repeat(starts, rows.lengths) + at] = rows.ids
    return TokenRows(
        ids=ids, lengths=lengths, starts=starts, attended=None if expansion.attended else rows.lengths.copy()
    )


def kept_vectors(batch: Batch, output: Vectors, rows: RoleRows, *, padding_side: str) -> list[Vectors]:
    """The wanted vectors of each text of a batch, each (kept tokens, dim) in memory of its own.

    Args:
        batch: which texts, and their padded length.
        output: (batch, sequence, dim)
        rows: all texts.
        padding_side: ``left`` or ``right``.
    """
    found = []
    for vectors, row in zip(output, batch.rows, strict=True):
        kept = rows.of(int(row))
        first = batch.length - len(kept) if padding_side == "left" else 0
        found.append(vectors[first : first + len(kept)][kept])
    return found
