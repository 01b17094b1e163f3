"""Batches onto threads: one session that uses all threads for a few batches, one-thread workers for many.

A single text finishes soonest when all threads share each matrix product. A corpus finishes soonest when every worker
runs its own batches on one thread, since nothing has to wait for anything (12 to 20 % more sentences a second on two
cores). A caller who is not alone in the process gets one thread too: callers side by side are what workers are. Both
sessions map the same weights, and give the same bits.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from embedrt.errors import InputError
from embedrt.inference.batching import Batch, padded_arrays, padded_types, without_prompt
from embedrt.inference.session import GraphSession
from embedrt.inference.workers import Busy, WorkerLease
from embedrt.text.tokenizer import TokenRows

__all__ = ["Arrays", "Consume", "Extra", "Inputs", "Mask", "Pending", "Scheduler", "Work"]

Result = TypeVar("Result")

_FEW_BATCHES = 4
"""Batches a thread, up to which the session that shares its threads is faster than workers."""

Arrays = list[npt.NDArray[np.float32]]
Mask = npt.NDArray[np.int64]
"""(batch, sequence)"""
Consume = Callable[[Batch, Arrays, Mask], None]
"""What is done with a batch's outputs and attention mask."""
Inputs = dict[str, npt.NDArray[Any]]
"""By name."""
Extra = Callable[[Batch], Inputs]
"""Further inputs of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Generic[Result]):
    """Some inputs, tokenized, and what becomes of them."""

    tokens: TokenRows
    outputs: tuple[str, ...]
    """Names of the graph's outputs that are wanted."""
    consume: Consume
    """Called once a batch, in any order and from any thread, with the outputs in the order of :attr:`outputs`.

    Batches hold different rows, so writing to rows of one array is safe.
    """
    result: Result
    """What ``consume`` fills."""
    batch_size: int | None = None
    """Inputs a run; None: what the token budget allows."""
    prompt_length: int = 0
    """Leading tokens that are left out of pooling."""
    extra: Extra | None = None
    """Further inputs of each batch."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Batches that workers are running."""

    futures: tuple[Future[None], ...] = ()

    def wait(self) -> None:
        """Wait for all of them; the first error is raised, and what has not begun by then is left undone."""
        try:
            for future in self.futures:
                future.result()
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Leave undone what has not begun, and wait for the rest."""
        for future in self.futures:
            future.cancel()
        wait(self.futures)


class Scheduler:
    """Runs planned batches; safe to use from several threads."""

    def __init__(
        self,
        session: GraphSession,
        open_single: Callable[[], GraphSession],
        *,
        workers: int,
        pad_token_id: int,
        padding_side: str,
        device_kind: str = "cpu",
    ) -> None:
        """``session`` shares its threads; ``open_single()`` opens one of a single thread, when workers are first needed.

        On a card (``device_kind`` is ``cuda``) both are the same, and workers keep several runs in flight.
        """
        self.session = session
        self.workers = workers
        self._open_single = open_single
        self._pad_token_id = pad_token_id
        self._padding_side = padding_side
        self._single: GraphSession | None = session if session.threads == 1 else None
        self._few = _FEW_BATCHES * workers if device_kind == "cpu" else 1
        self._lease = WorkerLease(workers)
        self._opening = threading.Lock()
        self._closed = False

    def run(self, work: Work[Any], batches: list[Batch]) -> None:
        """Run every batch of ``work`` and hand its outputs to ``consume``."""
        if self.workers > 1 and len(batches) > self._few:
            self.submit(work, batches).wait()
            return
        with Busy() as busy:
            session = self.session if busy.alone else self._one_thread()
            for batch in batches:
                self._run_one(session, work, batch)

    def submit(self, work: Work[Any], batches: list[Batch]) -> Pending:
        """As :meth:`run`, on the workers and without waiting for them."""
        self._require_open()  # or a pool would be begun that nobody ends
        session, pool = self._one_thread(), self._lease.pool()
        return Pending(tuple(pool.submit(self._run_one, session, work, batch) for batch in batches))

    def close(self) -> None:
        """Give the workers up; batches that run are finished first, and calls that have more of them end in an error."""
        self._closed = True
        self._lease.release()

    def _run_one(self, session: GraphSession, work: Work[Any], batch: Batch) -> None:
        self._require_open()
        tokens, side = work.tokens, self._padding_side
        ids, mask = padded_arrays(tokens, batch, pad_token_id=self._pad_token_id, padding_side=side)
        results = session.run(
            ids,
            mask,
            pooling_mask=without_prompt(mask, work.prompt_length) if work.prompt_length else None,
            token_type_ids=padded_types(tokens, batch, padding_side=side),
            extra=None if work.extra is None else work.extra(batch),
            outputs=work.outputs,
        )
        work.consume(batch, results, mask)

    def _require_open(self) -> None:
        if self._closed:
            raise InputError("the model was closed while it was at work: close it when all calls have ended")

    def _one_thread(self) -> GraphSession:
        with self._opening:
            if self._single is None:
                self._single = self._open_single()
            return self._single
