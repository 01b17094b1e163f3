"""Texts to dense vectors: tokenize with the prompt in front, run, put back in order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedrt.artifact.manifest import Serving
from embedrt.errors import InputError
from embedrt.inference.batching import Batch
from embedrt.inference.runner import Runner, text_windows
from embedrt.inference.scheduling import Arrays, Consume, Mask, Work
from embedrt.inference.session import SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS
from embedrt.progress import Advance
from embedrt.prompts import prefixed, tokens_left_out
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["Encoding", "Request"]

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How the texts of one call are to be encoded."""

    prefix: str = ""
    """Put before each text."""
    batch_size: int | None = None
    """Texts a run; None: what the token budget allows."""
    advance: Advance = lambda _count: None
    """Told how many texts more are done."""


class Encoding:
    """Tokenizer and sessions of one dense model, put together."""

    def __init__(self, runner: Runner, *, tokenizer: TextTokenizer, serving: Serving) -> None:
        self._runner, self._tokenizer, self._serving = runner, tokenizer, serving

    def sentence_embeddings(self, texts: list[str], request: Request) -> Vectors:
        """Vectors (texts, dim) in the order of the texts."""
        vectors = self._empty(len(texts))
        self._runner.fill(len(texts), lambda first, stop: self._work(texts[first:stop], vectors[first:stop], request))
        return vectors

    def stream(self, texts: Iterable[str], request: Request) -> Iterator[Vectors]:
        """Vectors (window, dim) of one window of ``texts`` after another, read as they are needed."""
        return self._runner.pipelined(
            self._work(window, self._empty(len(window)), request) for window in text_windows(texts)
        )

    def token_embeddings(self, texts: list[str], request: Request) -> list[Vectors]:
        """Vectors (tokens, hidden) of each text.

        Raises:
            InputError: the graph does not give them.
        """
        if self._serving.multi_vector is not None:
            raise InputError(
                f"this model's {TOKEN_EMBEDDINGS} are for late interaction: load it with MultiVectorEncoder"
            )
        if TOKEN_EMBEDDINGS not in self._runner.session.outputs:
            raise InputError(
                f"this graph gives no {TOKEN_EMBEDDINGS}: export the checkpoint again with --token-embeddings"
            )
        found: dict[int, Vectors] = {}

        def store(batch: Batch, results: Arrays, mask: Mask) -> None:
            found.update((int(row), results[0][index][mask[index] == 1]) for index, row in enumerate(batch.rows))
            request.advance(len(batch.rows))

        work = Work(
            tokens=self._tokenizer.encode(prefixed(texts, request.prefix)),
            outputs=(TOKEN_EMBEDDINGS,),
            consume=store,
            result=found,
            batch_size=request.batch_size,
        )
        self._runner.run(work)
        nothing = np.empty((0, self._serving.dimension), dtype=np.float32)  # a text without any token
        return [found.get(index, nothing) for index in range(len(texts))]

    def _work(self, texts: list[str], vectors: Vectors, request: Request) -> Work[Vectors]:
        return Work(
            tokens=self._tokenizer.encode(prefixed(texts, request.prefix)),
            outputs=(SENTENCE_EMBEDDING,),
            consume=_filling(vectors, request.advance),
            result=vectors,
            batch_size=request.batch_size,
            prompt_length=tokens_left_out(self._serving, self._tokenizer, request.prefix),
        )

    def _empty(self, count: int) -> Vectors:
        """Zeros, which stay where a text has no token: a tokenizer that adds no special ones makes none of an empty text."""
        return np.zeros((count, self._serving.dimension), dtype=np.float32)


def _filling(vectors: Vectors, advance: Advance) -> Consume:
    def store(batch: Batch, results: Arrays, _mask: Mask) -> None:
        vectors[batch.rows if len(vectors) > 1 else 0] = results[0]  # without an index array one text takes 7 µs less
        advance(len(batch.rows))

    return store
