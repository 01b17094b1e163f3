"""Texts to vectors, a window of texts at a time: tokenize, group by length, run, put back in order.

While workers run one window the next one is tokenized, and no more than two are held: memory does not grow with the
input, only with the result.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from embedrt.batching import Batch, plan_batches
from embedrt.errors import InputError
from embedrt.layout import Layout
from embedrt.manifest import Serving
from embedrt.progress import Advance
from embedrt.prompts import tokens_left_out
from embedrt.scheduling import Consume, Pending, Scheduler
from embedrt.session import SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS, GraphSession
from embedrt.text import TextTokenizer, TokenRows, as_texts
from embedrt.workers import Busy

__all__ = ["Encoding", "Request"]

_WINDOW = 8192
"""Texts that are tokenized and grouped together: enough that groups of one length fill their batches."""
_HELD = 2  # windows: one that runs, and one that is being prepared
_LENGTH_STEP = {"cpu": 1, "cuda": 8}

Vectors = npt.NDArray[np.float32]
Mask = npt.NDArray[np.int64]


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
    """Tokenizer and sessions of one model, put together in one layout."""

    def __init__(
        self,
        session: GraphSession,
        open_single: Callable[[], GraphSession],
        *,
        tokenizer: TextTokenizer,
        serving: Serving,
        layout: Layout,
        kind: str = "cpu",
    ) -> None:
        """``session`` shares its threads; ``open_single()`` opens one of a single thread, when workers are first needed."""
        self._tokenizer, self._serving = tokenizer, serving
        self._token_budget, self._length_step = layout.token_budget, _LENGTH_STEP[kind]
        self._scheduler = Scheduler(
            session,
            open_single,
            workers=layout.workers,
            pad_token_id=serving.pad_token_id,
            padding_side=serving.padding_side,
        )

    def close(self) -> None:
        """Give the workers up."""
        self._scheduler.close()

    def sentence_embeddings(self, texts: list[str], request: Request) -> Vectors:
        """Vectors (texts, dim) in the order of the texts."""
        vectors = self._empty(len(texts))
        if len(texts) <= _WINDOW:
            self._run(texts, request, SENTENCE_EMBEDDING, _filling(vectors, request.advance))
            return vectors
        starts = range(0, len(texts), _WINDOW)
        windows = ((texts[at : at + _WINDOW], vectors[at : at + _WINDOW]) for at in starts)
        for _ in self._pipelined(windows, request):
            pass
        return vectors

    def stream(self, texts: Iterable[str], request: Request) -> Iterator[Vectors]:
        """Vectors (window, dim) of one window of ``texts`` after another, read as they are needed."""
        windows = ((window, self._empty(len(window))) for window in _windows(iter(texts)))
        return self._pipelined(windows, request)

    def token_embeddings(self, texts: list[str], request: Request) -> list[Vectors]:
        """Vectors (tokens, hidden) of each text.

        Raises:
            InputError: the graph does not give them.
        """
        if TOKEN_EMBEDDINGS not in self._scheduler.session.outputs:
            raise InputError(
                f"this graph gives no {TOKEN_EMBEDDINGS}: export the checkpoint again with --token-embeddings"
            )
        found: dict[int, Vectors] = {}

        def store(batch: Batch, result: Vectors, mask: Mask) -> None:
            found.update((int(row), result[index][mask[index] == 1]) for index, row in enumerate(batch.rows))
            request.advance(len(batch.rows))

        self._run(texts, request, TOKEN_EMBEDDINGS, store)
        nothing = np.empty((0, self._serving.dimension), dtype=np.float32)  # a text without any token
        return [found.get(index, nothing) for index in range(len(texts))]

    def _pipelined(
        self, windows: Iterable[tuple[list[str], Vectors]], request: Request
    ) -> Generator[Vectors, None, None]:
        held: deque[tuple[Vectors, Pending]] = deque()
        try:
            with Busy():
                for texts, vectors in windows:
                    tokens, batches = self._planned(texts, request)
                    consume = _filling(vectors, request.advance)
                    skipped = self._left_out(request)
                    running = self._scheduler.submit(
                        tokens, batches, SENTENCE_EMBEDDING, consume, prompt_length=skipped
                    )
                    held.append((vectors, running))
                    if len(held) == _HELD:
                        yield _finished(held)
                while held:
                    yield _finished(held)
        finally:
            for _, running in held:
                running.cancel()

    def _run(self, texts: list[str], request: Request, output: str, consume: Consume) -> None:
        tokens, batches = self._planned(texts, request)
        self._scheduler.run(tokens, batches, output, consume, prompt_length=self._left_out(request))

    def _planned(self, texts: list[str], request: Request) -> tuple[TokenRows, list[Batch]]:
        tokens = self._tokenizer.encode([request.prefix + text for text in texts] if request.prefix else texts)
        batches = plan_batches(
            tokens.lengths,
            token_budget=self._token_budget,
            length_step=self._length_step,
            batch_size=request.batch_size,
        )
        return tokens, batches

    def _left_out(self, request: Request) -> int:
        return tokens_left_out(self._serving, self._tokenizer, request.prefix)

    def _empty(self, count: int) -> Vectors:
        """Zeros, which stay where a text has no token: a tokenizer that adds no special ones makes none of an empty text."""
        return np.zeros((count, self._serving.dimension), dtype=np.float32)


def _filling(vectors: Vectors, advance: Advance) -> Consume:
    def store(batch: Batch, result: Vectors, _mask: Mask) -> None:
        vectors[batch.rows] = result
        advance(len(batch.rows))

    return store


def _finished(held: deque[tuple[Vectors, Pending]]) -> Vectors:
    """The oldest window's vectors; it stays in ``held`` until they are there."""
    vectors, running = held[0]
    running.wait()
    held.popleft()
    return vectors


def _windows(texts: Iterator[str]) -> Iterator[list[str]]:
    first = 0
    while window := as_texts(list(islice(texts, _WINDOW)), first=first):
        yield window
        first += len(window)
