"""Server: requests arrive by chance at a given rate; the highest rate that keeps p99 of their latency under a bound."""

import random
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

from embedrt_bench.engines.process import Engine
from embedrt_bench.scenarios.percentiles import FEWEST, percentile
from embedrt_bench.scenarios.turns import take_turns

__all__ = ["highest_rate", "poisson_arrivals", "server"]

Tried = list[list[float]]
"""Pairs of requests a second and p99 in milliseconds, in the order of the trials."""

_FIRST_RATE = 8.0  # requests a second
_HIGHEST_RATE = 65536.0
_CHANCES = 2


def server(
    engines: Sequence[Engine], texts: Sequence[str], *, bound: float, seed: int, seconds: float, halvings: int
) -> dict[str, Any]:
    """By engine: the highest rate whose p99 stays within ``bound`` milliseconds, that p99, and every rate tried.

    Where even the first rate is too much, the rate is 0 and p99 that of the first trial.

    All engines get the same arrivals for the same rate. A trial lasts ``seconds``, or until 100 requests have come.
    """
    found: dict[str, Any] = {}
    for engine in take_turns(engines, 1, "server"):
        engine.stream(texts[:20])

        def p99(rate: float, engine: Engine = engine) -> float:
            arrivals = poisson_arrivals(texts, rate, count=max(FEWEST, int(rate * seconds)), seed=seed)
            return percentile(engine.serve(arrivals), 99) * 1e3

        rate, tried = highest_rate(p99, bound=bound, halvings=halvings)
        reached = min((found for one, found in tried if one == rate), default=tried[0][1])
        found[engine.name] = {"requests_per_second": rate, "p99_milliseconds": reached, "tried": tried}
    return found


def poisson_arrivals(texts: Sequence[str], rate: float, *, count: int, seed: int) -> list[tuple[float, str]]:
    """``count`` requests (offset in seconds, text) of a Poisson process of ``rate`` a second, the same for the same seed.

    Each of ``texts`` comes once before any comes again: equal texts that wait together could be encoded as one.
    """
    chooser = random.Random(seed)
    order = cycle(chooser.sample(texts, len(texts)))
    offset, arrivals = 0.0, []
    for _ in range(count):
        offset += chooser.expovariate(rate)
        arrivals.append((offset, next(order)))
    return arrivals


def highest_rate(p99: Callable[[float], float], *, bound: float, halvings: int) -> tuple[float, Tried]:
    """Doubles the rate until ``p99`` is over ``bound``, then halves the gap, in ratio, so many times.

    A rate has two chances: on a shared machine one pause of some other origin decides a p99.

    The best rate, 0 where even the first one is too much, and all trials.
    """
    tried: Tried = []

    def holds(rate: float) -> bool:
        for _ in range(_CHANCES):
            tried.append([rate, p99(rate)])
            if tried[-1][1] <= bound:
                return True
        return False

    low, high = 0.0, _FIRST_RATE
    while high <= _HIGHEST_RATE and holds(high):
        low, high = high, high * 2
    for _ in range(halvings if low else 0):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, tried
