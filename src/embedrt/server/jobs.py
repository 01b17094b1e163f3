"""One request's texts on their way through the queue, and the texts of several requests that run together."""

import itertools
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from embedrt.text.tokenizer import TokenRows

__all__ = ["Batch", "Job", "Key", "Result", "Runner", "Skipped"]

Result = npt.NDArray[np.float32]
"""What a model gives for one text: (dim,), or (tokens, hidden)."""
Skipped = Sequence[int] | None
"""(rows,) tokens at the beginning of each; None: none of any."""
_serial = itertools.count(1)


class Runner(Protocol):
    """A model, as the queue sees it."""

    token_budget: int
    """Tokens of one run."""

    def run(self, batch: "Batch") -> Sequence[Result]:
        """One result a member, in the order of the members."""

    def renew(self) -> None:
        """Forget what a worker that hangs may hold for ever."""


class Key(NamedTuple):
    """What texts must have in common to run together: then company changes no bit of a vector."""

    runner: Runner
    output: str
    length: int
    """Tokens of each text, exactly: nothing is padded."""
    alone: int = 0
    """0, or a number that no other text has: a text that was in a run that failed runs by itself."""

    @property
    def capacity(self) -> int:
        """Texts of one run."""
        return max(1, self.runner.token_budget // max(1, self.length))

    def by_itself(self) -> "Key":
        """The key of one of its texts, for a run of its own."""
        return self._replace(alone=next(_serial))


class Job:
    """The texts of one request that go through one model."""

    __slots__ = (
        "ended",
        "entered",
        "error",
        "finished",
        "future",
        "left",
        "output",
        "results",
        "rows",
        "skipped",
        "started",
        "tokens",
    )

    def __init__(
        self, runner: Runner, tokens: TokenRows, *, output: str, skipped: Skipped = None, future: Any = None
    ) -> None:
        """``skipped`` leading tokens of each row are left out of pooling; ``future`` is told of the end by whoever delivers."""
        self.tokens, self.output, self.skipped, self.future = tokens, output, skipped, future
        self.rows = _by_length(runner, tokens, output)
        """Rows that wait, by what they may run with; longest first."""
        self.results: list[Result | None] = [None] * len(tokens)
        self.left = len(tokens)
        """Texts without a result."""
        self.ended = False
        self.error: BaseException | None = None
        self.entered = self.started = self.finished = 0.0
        """Times on the monotonic clock, in seconds: into the queue, into the first run, out of the last."""

    def end(self, now: float, error: BaseException | None = None) -> None:
        """Nothing more happens to it."""
        self.ended, self.error, self.finished = True, error, now
        self.started = self.started or now


class Batch:
    """Texts that run together."""

    __slots__ = ("abandoned", "key", "members", "wide")

    def __init__(self, key: Key, members: list[tuple[Job, int]], *, wide: bool = False) -> None:
        """``members`` are jobs with a row each. ``wide``: nothing else wants the processors, so all threads may share it."""
        self.key, self.members, self.wide = key, members, wide
        self.abandoned = False
        """Whether its worker was given up: what it may still give comes too late."""

    @property
    def tokens(self) -> int:
        """Tokens of the run."""
        return len(self.members) * self.key.length


def _by_length(runner: Runner, tokens: TokenRows, output: str) -> dict[Key, deque[int]]:
    if len(tokens) == 1:
        return {Key(runner, output, int(tokens.lengths[0])): deque((0,))}
    rows: dict[int, deque[int]] = {}
    lengths = tokens.lengths.tolist()
    for row in np.argsort(-tokens.lengths, kind="stable").tolist():
        rows.setdefault(lengths[row], deque()).append(row)
    return {Key(runner, output, length): waiting for length, waiting in rows.items()}
