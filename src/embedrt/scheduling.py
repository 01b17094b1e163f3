"""Batches onto threads: one session that uses all threads for a few batches, one-thread workers for many.

A single text finishes soonest when all threads share each matrix product. A corpus finishes soonest when every worker
runs its own batches on one thread, since nothing has to wait for anything (12 to 20 % more sentences a second on two
cores). Both sessions map the same weights, and give the same bits.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from embedrt.batching import Batch, padded_arrays
from embedrt.session import GraphSession
from embedrt.text import TokenRows

__all__ = ["Scheduler"]

_FEW_BATCHES = 4
"""Batches a thread, up to which the session that shares its threads is faster than workers."""

Consume = Callable[[Batch, npt.NDArray[np.float32], npt.NDArray[np.int64]], None]
"""What is done with a batch's output and attention mask."""


class Scheduler:
    """Runs planned batches; safe to use from several threads."""

    def __init__(
        self,
        session: GraphSession,
        open_single: Callable[[], GraphSession],
        *,
        pad_token_id: int,
        padding_side: str,
    ) -> None:
        """``session`` uses all threads; ``open_single()`` opens one of a single thread, when workers are first needed."""
        self.session = session
        self._open_single = open_single
        self._pad_token_id = pad_token_id
        self._padding_side = padding_side
        self._single: GraphSession | None = None
        self._workers: ThreadPoolExecutor | None = None
        self._opening = threading.Lock()

    def run(
        self,
        tokens: TokenRows,
        batches: list[Batch],
        output: str,
        consume: Consume,
        *,
        prompt_length: int = 0,
    ) -> None:
        """Run every batch and hand its ``output`` to ``consume``, in any order and from any thread.

        Args:
            tokens: the texts that the batches name.
            batches: what runs together.
            output: name of the graph's output.
            consume: called once a batch; batches hold different rows, so writing to rows of one array is safe.
            prompt_length: leading tokens of each text that are left out of pooling.
        """

        def one(session: GraphSession, batch: Batch) -> None:
            ids, mask = padded_arrays(tokens, batch, pad_token_id=self._pad_token_id, padding_side=self._padding_side)
            pooling_mask = _without_prompt(mask, prompt_length) if prompt_length else None
            consume(batch, session.run(ids, mask, pooling_mask=pooling_mask, outputs=(output,))[0], mask)

        if len(batches) <= _FEW_BATCHES * self.session.threads or self.session.threads == 1:
            for batch in batches:
                one(self.session, batch)
            return
        single, workers = self._bulk()
        for done in [workers.submit(one, single, batch) for batch in batches]:
            done.result()

    def close(self) -> None:
        """End the worker threads; running batches are finished first."""
        if self._workers is not None:
            self._workers.shutdown()

    def _bulk(self) -> tuple[GraphSession, ThreadPoolExecutor]:
        with self._opening:
            if self._single is None or self._workers is None:
                self._single = self._open_single()
                self._workers = ThreadPoolExecutor(self.session.threads, thread_name_prefix="embedrt")
            return self._single, self._workers


def _without_prompt(mask: npt.NDArray[np.int64], prompt_length: int) -> npt.NDArray[np.int64]:
    """``mask`` (batch, sequence) without the first ``prompt_length`` real tokens of each row."""
    return np.where(np.cumsum(mask, axis=1) > prompt_length, mask, 0)
