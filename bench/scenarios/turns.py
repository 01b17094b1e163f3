"""Who runs when: engines in turn, a pause before each turn, a progress bar."""

import sys
from collections.abc import Iterator, Sequence
from time import sleep

from embedrt_bench.engines.process import Engine
from tqdm import tqdm

__all__ = ["PAUSE", "take_turns"]

PAUSE = 0.4
"""Seconds before a turn: OpenMP's threads spin for 0.2 s after their last work, and would do so into the next engine's time."""


def take_turns(engines: Sequence[Engine], rounds: int, title: str, *, pause: float = PAUSE) -> Iterator[Engine]:
    """A B C A B C …: every engine once a round, each after a pause in which nothing runs."""
    order = [engine for _ in range(rounds) for engine in engines]
    with tqdm(order, desc=title, unit="turn", file=sys.stderr, disable=None, leave=False) as bar:
        for engine in bar:
            bar.set_postfix_str(engine.name)
            sleep(pause)
            yield engine
