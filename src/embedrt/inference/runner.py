"""Token rows through a graph, a window of inputs at a time: equal ones once, in groups of one length; what all kinds share.

While workers run one window the next one is tokenized, and no more than two are held: memory does not grow with the
input, only with the result.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from embedrt.artifact.manifest import Serving
from embedrt.errors import BrokenTextError
from embedrt.inference.batching import Batch, plan_batches
from embedrt.inference.layout import Layout
from embedrt.inference.repeats import run_once
from embedrt.inference.scheduling import Pending, Scheduler, Work
from embedrt.inference.session import GraphSession
from embedrt.inference.workers import Busy
from embedrt.text.tokenizer import as_texts

__all__ = ["Runner", "counted", "text_windows", "windows"]

_WINDOW = 8192
"""Inputs that are tokenized and grouped together: enough that groups of one length fill their batches."""
_HELD = 2  # windows: one that runs, and one that is being prepared
_LENGTH_STEP = {"cpu": 1, "cuda": 8}

Item = TypeVar("Item")
Result = TypeVar("Result")


class Runner:
    """The sessions of one model in one layout; safe to use from several threads."""

    def __init__(
        self,
        session: GraphSession,
        open_single: Callable[[], GraphSession],
        *,
        serving: Serving,
        layout: Layout,
        kind: str = "cpu",
    ) -> None:
        """``session`` shares its threads; ``open_single()`` opens one of a single thread, when workers are first needed."""
        self.session = session
        self._token_budget, self._length_step = layout.token_budget, _LENGTH_STEP[kind]
        self._scheduler = Scheduler(
            session,
            open_single,
            workers=layout.workers,
            pad_token_id=serving.pad_token_id,
            padding_side=serving.padding_side,
            device_kind=kind,
        )

    def close(self) -> None:
        """Give the workers up."""
        self._scheduler.close()

    def run(self, work: Work[Result]) -> Result:
        """Run one window, and give its result when it is there."""
        self._scheduler.run(*self._planned(work))
        return work.result

    def over(self, count: int, work_of: Callable[[int, int], Work[Result]]) -> Iterator[Result]:
        """The results of inputs 0 to ``count``, window by window in their order; ``work_of(first, stop)`` prepares one."""
        if count <= _WINDOW:
            yield self.run(work_of(0, count))
            return
        yield from self.pipelined(work_of(at, min(at + _WINDOW, count)) for at in range(0, count, _WINDOW))

    def fill(self, count: int, work_of: Callable[[int, int], Work[Any]]) -> None:
        """As :meth:`over`, where the works fill what the caller holds already."""
        for _ in self.over(count, work_of):
            pass

    def pipelined(self, works: Iterable[Work[Result]]) -> Generator[Result, None, None]:
        """The result of each of ``works`` in turn, which are asked for while earlier ones run."""
        held: deque[tuple[Result, Pending]] = deque()
        try:
            with Busy():
                for work in counted(works, lambda work: len(work.tokens)):
                    running = self._scheduler.submit(*self._planned(work))
                    held.append((work.result, running))
                    if len(held) == _HELD:
                        yield _finished(held)
                while held:
                    yield _finished(held)
        finally:
            for _, running in held:
                running.cancel()

    def _planned(self, work: Work[Result]) -> tuple[Work[Result], list[Batch]]:
        """What is to run, each input once, and how it is batched."""
        once, lengths = run_once(work)
        batches = plan_batches(
            lengths, token_budget=self._token_budget, length_step=self._length_step, batch_size=work.batch_size
        )
        return once, batches


def windows(items: Iterable[Item]) -> Iterator[list[Item]]:
    """``items`` as lists of so many as are tokenized together, read as they are needed."""
    rest = iter(items)
    while window := list(islice(rest, _WINDOW)):
        yield window


def text_windows(texts: Iterable[str]) -> Iterator[list[str]]:
    """The same of texts, each of them checked; errors count from the first.

    Raises:
        TypeError: one is no str.
    """
    first = 0
    for window in windows(texts):
        yield as_texts(window, first=first)
        first += len(window)


def counted(parts: Iterable[Item], texts: Callable[[Item], int]) -> Iterator[Item]:
    """``parts`` of a list of texts, as they are made; a broken text is counted from the first of all.

    Raises:
        BrokenTextError: making a part raised it.
    """
    before = 0
    try:
        for part in parts:
            before += texts(part)
            yield part
    except BrokenTextError as error:
        raise BrokenTextError(error.name, before + error.index) from error


def _finished(held: deque[tuple[Result, Pending]]) -> Result:
    """The oldest window's result; it stays in ``held`` until it is there."""
    result, running = held[0]
    running.wait()
    held.popleft()
    return result
