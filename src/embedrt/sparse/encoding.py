"""Texts to sparse vectors: run, take the terms that weigh something, put back in order.

Three ways lead there. The graph gives a weight for each term of the vocabulary (SPLADE); or one for each token of the text, and a
term has that of its heaviest token (BGE-M3); or there is no graph at all, and each term of the text has a fixed weight
(the queries of inference-free SPLADE).
"""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.format import read_array

from embedrt.arguments import require_positive
from embedrt.artifact.folder import Artifact
from embedrt.artifact.kinds import Sparse
from embedrt.artifact.loaded_files import require_unchanged, states_of
from embedrt.errors import IntegrityError
from embedrt.inference.batching import Batch
from embedrt.inference.runner import Runner, counted, windows
from embedrt.inference.scheduling import Arrays, Mask, Work
from embedrt.inference.session import TOKEN_WEIGHTS
from embedrt.opening import Opened
from embedrt.progress import Advance
from embedrt.prompts import prefixed, tokens_left_out
from embedrt.sparse.vectors import SparseVectors, row_ends
from embedrt.text.tokenizer import TextTokenizer, TokenRows

__all__ = [
    "GraphTerms",
    "SparseRequest",
    "StaticTerms",
    "static_terms",
    "terms_of_batch",
    "terms_of_tokens",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseRequest:
    """How the texts of one call are to be encoded."""

    prefix: str = ""
    """Put before each text."""
    batch_size: int | None = None
    """Texts a run; None: what the token budget allows."""
    max_active_dims: int | None = None
    """Terms of a text at most; None: all."""
    advance: Advance = lambda _count: None
    """Told how many texts more are done."""

    def __post_init__(self) -> None:
        """Refuse a number of terms below 1, and what is no number."""
        require_positive("max_active_dims", self.max_active_dims)

    def telling(self, advance: Advance) -> "SparseRequest":
        """The same, with another ear for how many texts more are done."""
        return dataclasses.replace(self, advance=advance)


@dataclass(slots=True)
class _Found:
    """The vectors of one window's batches, as they come."""

    rows: list[npt.NDArray[np.int64]] = field(default_factory=list)
    vectors: list[SparseVectors] = field(default_factory=list)
    _adding: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rows: npt.NDArray[np.int64], vectors: SparseVectors) -> None:
        with self._adding:
            self.rows.append(rows)
            self.vectors.append(vectors)

    def in_order(self, count: int, dimension: int) -> SparseVectors:
        """All of them as the rows of one matrix of ``count`` rows; a text without any token has an empty one."""
        whole = SparseVectors.concatenated(self.vectors, dimension=dimension)
        rows = np.concatenate([np.empty(0, np.int64), *self.rows])
        counts = np.zeros(count, np.int64)
        counts[rows] = whole.counts
        ends = row_ends(counts)
        places = np.repeat(ends[rows] - whole.indptr[:-1], whole.counts) + np.arange(len(whole.data))
        data, indices = np.empty_like(whole.data), np.empty_like(whole.indices)
        data[places], indices[places] = whole.data, whole.indices
        return SparseVectors(data, indices, ends, (count, dimension))


class GraphTerms:
    """Terms and weights from the graph."""

    def __init__(self, opened: Opened, runner: Runner, *, described: Sparse, dimension: int) -> None:
        self._opened, self._runner = opened, runner
        self._described, self._dimension = described, dimension

    def encode(self, texts: list[str], request: SparseRequest) -> SparseVectors:
        """The vectors of ``texts``, in their order."""

        def work(first: int, stop: int) -> Work[tuple[_Found, int]]:
            return self._work(prefixed(texts[first:stop], request.prefix), request)

        done = [found.in_order(count, self._dimension) for found, count in self._runner.over(len(texts), work)]
        return SparseVectors.concatenated(done, dimension=self._dimension)

    def _work(self, texts: list[str], request: SparseRequest) -> Work[tuple[_Found, int]]:
        tokens, found = self._opened.tokenizer.encode(texts), _Found()

        def store(batch: Batch, results: Arrays, mask: Mask) -> None:
            some = [tokens.row(int(row)) for row in batch.rows]
            vectors = terms_of_batch(self._described, results[0], mask, some, dimension=self._dimension)
            found.add(batch.rows, _kept(vectors, request.max_active_dims))
            request.advance(len(batch.rows))

        return Work(
            tokens=tokens,
            outputs=(self._described.output,),
            consume=store,
            result=(found, len(texts)),
            batch_size=request.batch_size,
            prompt_length=tokens_left_out(self._opened.serving, self._opened.tokenizer, request.prefix),
        )


class StaticTerms:
    """Fixed weights of the terms of a text, from a file of the artifact: no graph runs."""

    def __init__(self, weights: Path, tokenizer: Callable[[], TextTokenizer], *, dimension: int) -> None:
        """``tokenizer()`` opens one that cuts queries at their own length, when it is first needed.

        Raises:
            IntegrityError: the file does not hold a weight for each term.
        """
        try:
            with weights.open("rb") as file:
                self._weights: npt.NDArray[np.float32] = read_array(file)  # of a zip np.load would make something else
        except (OSError, ValueError) as error:
            raise IntegrityError(f"{weights} cannot be read as the weights of queries: {error}") from error
        if self._weights.shape != (dimension,) or self._weights.dtype != np.float32:
            raise IntegrityError(
                f"{weights} holds {self._weights.dtype} {self._weights.shape}, expected float32 ({dimension},)"
            )
        self._open, self._opening = tokenizer, threading.Lock()
        self._tokenizer: TextTokenizer | None = None

    def encode(self, texts: list[str], request: SparseRequest) -> SparseVectors:
        """The vectors of ``texts``, in their order: each term once, whatever its number."""
        done = []
        tokenized = (
            self.tokenizer.encode(prefixed(window, request.prefix), special_tokens=False) for window in windows(texts)
        )
        for tokens in counted(tokenized, len):
            done.append(_kept(self.weighed(tokens), request.max_active_dims))
            request.advance(len(tokens))
        return SparseVectors.concatenated(done, dimension=len(self._weights))

    def weighed(self, tokens: TokenRows) -> SparseVectors:
        """The vectors of tokenized texts."""
        rows = np.repeat(np.arange(len(tokens)), tokens.lengths)
        shape = (len(tokens), len(self._weights))
        return terms_of_tokens(tokens.ids, self._weights[tokens.ids], rows, shape=shape)

    @property
    def tokenizer(self) -> TextTokenizer:
        """That of queries."""
        with self._opening:
            if self._tokenizer is None:
                self._tokenizer = self._open()
            return self._tokenizer


def static_terms(artifact: Artifact, described: Sparse, *, dimension: int) -> StaticTerms | None:
    """The fixed weights of an inference-free model's queries; None where queries go through the graph too.

    Raises:
        IntegrityError: the file does not hold a weight for each term.
    """
    if described.query_weights is None:
        return None
    states = states_of([artifact.tokenizer])

    def tokenizer() -> TextTokenizer:
        made = TextTokenizer(artifact.tokenizer, max_seq_length=described.query_max_seq_length)
        require_unchanged(states)
        return made

    return StaticTerms(artifact.folder / described.query_weights, tokenizer, dimension=dimension)


def terms_of_batch(
    described: Sparse,
    output: npt.NDArray[np.float32],
    mask: Mask,
    tokens: Sequence[npt.NDArray[np.int64]],
    *,
    dimension: int,
) -> SparseVectors:
    """The vectors of one run.

    Args:
        described: what the graph gives.
        output: (batch, dimension), or (batch, sequence) where it weighs tokens.
        mask: int64 (batch, sequence), 1 for the texts' own tokens.
        tokens: ids of each text, without padding.
        dimension: terms of the vocabulary.
    """
    if described.output != TOKEN_WEIGHTS:
        return SparseVectors.from_dense(output)
    rows = np.repeat(np.arange(len(tokens)), [len(ids) for ids in tokens])
    return terms_of_tokens(
        np.concatenate(tokens),
        output[mask == 1],
        rows,
        shape=(len(tokens), dimension),
        ignored=described.ignored_token_ids,
    )


def _kept(vectors: SparseVectors, most: int | None) -> SparseVectors:
    return vectors if most is None else vectors.pruned(most)


def terms_of_tokens(
    ids: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    *,
    shape: tuple[int, int],
    ignored: tuple[int, ...] = (),
) -> SparseVectors:
    """Tokens and their weights to terms: each term has the weight of its heaviest token.

    Args:
        ids: (tokens,) of all texts, end to end.
        weights: (tokens,)
        rows: (tokens,) which text each is of, ascending.
        shape: texts, and terms of the vocabulary.
        ignored: ids that are no terms, such as special tokens.
    """
    order = np.lexsort((weights, ids, rows))  # the heaviest of a text's equal tokens last
    keys = (rows * shape[1] + ids)[order]
    kept = order[np.append(keys[1:] != keys[:-1], np.ones(min(1, len(keys)), bool))]
    kept = kept[(weights[kept] != 0) & ~np.isin(ids[kept], ignored)]
    counts = np.bincount(rows[kept], minlength=shape[0])
    return SparseVectors(weights[kept], ids[kept].astype(np.int32), row_ends(counts), shape)
