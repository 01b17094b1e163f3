"""Texts to a vector a token: rows in their role, through the graph, and what is wanted of each, in the order of the texts."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedrt.artifact.manifest import Serving
from embedrt.inference.batching import Batch, padded_types
from embedrt.inference.runner import Runner, text_windows
from embedrt.inference.scheduling import Arrays, Consume, Inputs, Mask, Work
from embedrt.inference.session import QUERY_EMBEDDINGS, QUERY_MAXIMA, SCORING_MASK, TOKEN_EMBEDDINGS
from embedrt.multi_vector.late_interaction import NOTHING_TO_SCORE
from embedrt.multi_vector.roles import Role, RoleRows, Roles, kept_vectors
from embedrt.progress import Advance
from embedrt.prompts import prefixed
from embedrt.similarity import normalized

__all__ = ["TokenEncoding", "TokenRequest"]

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """How the texts of one call are to be encoded."""

    role: Role | None = None
    prefix: str = ""
    """Put before each text."""
    batch_size: int | None = None
    """Texts a run; None: what the token budget allows."""
    normalize: bool = False
    """Bring each vector to length 1, whatever the graph gives."""
    advance: Advance = lambda _count: None
    """Told how many texts more are done."""


class TokenEncoding:
    """Roles and sessions of one model, put together."""

    def __init__(self, runner: Runner, roles: Roles, serving: Serving) -> None:
        self._runner, self._roles, self._serving = runner, roles, serving

    def vectors(self, texts: list[str], request: TokenRequest) -> list[Vectors]:
        """Vectors (kept tokens, dim) of each of ``texts``."""
        done = self._runner.over(len(texts), lambda first, stop: self._work(texts[first:stop], request))
        return [vectors for window in done for vectors in window]

    def stream(self, texts: Iterable[str], request: TokenRequest) -> Iterator[list[Vectors]]:
        """The same of one window of ``texts`` after another, read as they are needed."""
        return self._runner.pipelined(self._work(window, request) for window in text_windows(texts))

    def scores(self, query: Vectors, texts: list[str], request: TokenRequest) -> Vectors:
        """MaxSim of ``query`` (query tokens, dim) with each of ``texts``, (texts,), from a graph that compares by itself.

        No token vector of a text leaves the graph.
        """
        scores = np.full(len(texts), NOTHING_TO_SCORE, dtype=np.float32)
        self._runner.fill(
            len(texts), lambda first, stop: self._scoring(query, texts[first:stop], scores[first:stop], request)
        )
        return scores

    def _scoring(self, query: Vectors, texts: list[str], scores: Vectors, request: TokenRequest) -> Work[Vectors]:
        rows = self._rows(texts, request)
        kept = dataclasses.replace(rows.tokens, type_ids=rows.kept.astype(np.int64))

        def inputs(batch: Batch) -> Inputs:
            mask = padded_types(kept, batch, padding_side=self._serving.padding_side)
            return {QUERY_EMBEDDINGS: query, SCORING_MASK: mask} if mask is not None else {}

        def store(batch: Batch, results: Arrays, _mask: Mask) -> None:
            some = np.array([rows.of(int(row)).any() for row in batch.rows])
            scores[batch.rows[some]] = results[0][some].sum(axis=1)  # (batch, query tokens), each row by itself
            request.advance(len(batch.rows))

        return Work(
            tokens=rows.tokens,
            outputs=(QUERY_MAXIMA,),
            consume=store,
            result=scores,
            batch_size=request.batch_size,
            extra=inputs,
        )

    def _rows(self, texts: list[str], request: TokenRequest) -> RoleRows:
        return self._roles.rows(prefixed(texts, request.prefix), request.role)

    def _work(self, texts: list[str], request: TokenRequest) -> Work[list[Vectors]]:
        rows = self._rows(texts, request)
        width = self._serving.multi_vector.dimension if self._serving.multi_vector is not None else 0
        found = [np.empty((0, width), dtype=np.float32)] * len(texts)  # stays so where a text has no token

        def store(batch: Batch, results: Arrays, _mask: Mask) -> None:
            vectors = kept_vectors(batch, results[0], rows, padding_side=self._serving.padding_side)
            for row, one in zip(batch.rows, vectors, strict=True):
                found[row] = normalized(one) if request.normalize else one
            request.advance(len(batch.rows))

        consume: Consume = store
        return Work(
            tokens=rows.tokens,
            outputs=(TOKEN_EMBEDDINGS,),
            consume=consume,
            result=found,
            batch_size=request.batch_size,
        )
