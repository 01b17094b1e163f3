"""Measure on this very machine how a graph runs best.

For one text: how many threads share a matrix product. For a corpus: tokens a run, workers or shared threads, ONNX
Runtime's fusions. Candidates run in turn, round by round, so that a machine whose speed drifts treats them alike, and
the best of its rounds counts for each: whatever disturbs a measurement makes it longer. What is better by less than 3 %
is noise, and the default stays.
"""

import statistics
import string
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedrt.artifact.folder import locate
from embedrt.inference.devices import Device
from embedrt.inference.layout import Layout, default_layout
from embedrt.inference.runner import Runner
from embedrt.inference.scheduling import Work
from embedrt.inference.session import OUTPUTS, GraphSession, parse_device
from embedrt.loading import Loaded, load
from embedrt.machine.threads import available_threads, physical_cores
from embedrt.progress import Advance

__all__ = ["Candidate", "Tuned", "tune", "typical_lengths"]

_BUDGETS = {"cpu": (128, 256, 512, 1024, 2048), "cuda": (4096, 8192, 16384, 32768, 65536)}
_IN_FLIGHT = (1, 2, 3, 4)  # runs at a time on a card
_RUNS_A_WORKER = 5  # fewer would not go to workers at all
_WORTH = 1.03
_ROUNDS = 3
_SHORT = 16  # tokens of the text whose latency is measured
_WARM = 32  # texts that a session runs before it is measured
_LONGEST = 128  # tokens of a typical text
_LATENCY_SHARE = 0.2  # of the time


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A layout and what was measured with it."""

    layout: Layout
    seconds: tuple[float, ...]
    """For one text of 16 tokens, or for a thousand tokens of a corpus; a value a round."""

    @property
    def best(self) -> float:
        """The least of :attr:`seconds`: whatever disturbs a measurement makes it longer."""
        return min(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What came out for one variant."""

    layout: Layout
    """Threads by latency; workers, tokens a run and fusions by throughput."""
    latency: tuple[Candidate, ...]
    """The default first."""
    throughput: tuple[Candidate, ...]
    """The default first."""


def tune(
    model: str | Path,
    variant: str | None = None,
    *,
    device: str = "cpu",
    seconds: float = 15.0,
    lengths: npt.NDArray[np.int64] | None = None,
    advance: Advance = lambda _seconds: None,
    revision: str | None = None,
) -> Tuned:
    """Try layouts of one variant for about ``seconds``, loading not counted; a large model needs longer for its one round.

    Args:
        model: artifact folder, single .onnx file, or Hub id.
        variant: None: the default one.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``; on a card, tokens a run and how many runs are in flight.
        seconds: how long to measure.
        lengths: (texts,) tokens of the texts of a corpus; None: :func:`typical_lengths`.
        advance: told how many seconds more have passed.
        revision: branch, tag or commit of a Hub repository.
    """
    place = parse_device(device)
    default = default_layout(kind=place.kind)
    with closing(_Rig(model, variant, place, revision=revision)) as rig:
        shapes = [default] if place.kind != "cpu" else _latency_layouts(default)
        latency = _in_turn(shapes, rig.one_text, seconds * _LATENCY_SHARE, advance)
        remaining = seconds * (1 - _LATENCY_SHARE)
        rate = 1000 / rig.corpus(default, np.full(64, _SHORT))
        sample = _sample(typical_lengths() if lengths is None else lengths, rate, remaining, default)
        plans = _throughput_layouts(default, int(sample.sum()), kind=place.kind)
        throughput = _in_turn(plans, lambda layout, _slot: rig.corpus(layout, sample), remaining, advance)
    best = replace(_best(throughput).layout, latency_threads=_best(latency).layout.latency_threads)
    return Tuned(layout=best, latency=latency, throughput=throughput)


def typical_lengths(count: int = 2000, *, seed: int = 0) -> npt.NDArray[np.int64]:
    """Tokens of texts as searches and sentences have them: a log-normal spread around 16, up to 128.

    >>> typical_lengths(5).tolist()
    [17, 14, 23, 17, 11]
    """
    spread = np.random.default_rng(seed).lognormal(mean=np.log(_SHORT), sigma=0.6, size=count)
    return np.clip(spread, 3, _LONGEST).astype(np.int64)


class _Rig:
    """One model of any kind, and runners of it in any layout; sessions are shared between layouts."""

    def __init__(self, model: str | Path, variant: str | None, device: Device, *, revision: str | None = None) -> None:
        self._artifact, self._device = locate(model, variant=variant, revision=revision), device
        self._sessions: dict[tuple[int, bool], GraphSession] = {}
        self._runners: dict[Layout, Runner] = {}
        self._loaded: Loaded = load(self._artifact, lambda: self._session(1, fusions=False))

    def one_text(self, layout: Layout, slot: float) -> float:
        """Median seconds for a text of 16 tokens, over ``slot`` seconds."""
        text = _texts_of(np.array([_SHORT]))
        times: list[float] = []
        until = time.perf_counter() + slot
        while not times or time.perf_counter() < until:
            started = time.perf_counter()
            self._run(layout, text)
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    def corpus(self, layout: Layout, lengths: npt.NDArray[np.int64]) -> float:
        """Seconds for a thousand tokens, over texts of these lengths."""
        texts = _texts_of(lengths)
        started = time.perf_counter()
        self._run(layout, texts)
        return 1000 * (time.perf_counter() - started) / int(lengths.sum())

    def close(self) -> None:
        """Give the workers up."""
        for runner in self._runners.values():
            runner.close()

    def _run(self, layout: Layout, texts: list[str]) -> None:
        """What the graph is there for, of every text; the results are dropped."""
        runner, tokenizer = self._runner(layout), self._loaded.tokenizer
        output = next(name for name in OUTPUTS if name in runner.session.outputs)
        runner.fill(
            len(texts),
            lambda first, stop: Work(
                tokens=tokenizer.encode(texts[first:stop]),
                outputs=(output,),
                consume=lambda _batch, _results, _mask: None,
                result=None,
            ),
        )

    def _runner(self, layout: Layout) -> Runner:
        if layout not in self._runners:
            self._runners[layout] = Runner(
                self._session(layout.latency_threads, fusions=layout.fusions),
                lambda: self._session(1, fusions=layout.fusions),
                serving=self._loaded.serving,
                layout=layout,
                kind=self._device.kind,
            )
        return self._runners[layout]

    def _session(self, threads: int, *, fusions: bool) -> GraphSession:
        if self._device.kind != "cpu":  # weights lie on a card once, whatever the threads
            threads = default_layout(kind=self._device.kind).latency_threads
        if (threads, fusions) not in self._sessions:
            session = GraphSession(self._artifact.graph, device=self._device, threads=threads, fusions=fusions)
            tokens = np.ones((_WARM, _SHORT), dtype=np.int64)
            session.run(tokens, tokens, outputs=session.outputs[:1])
            session.settle()  # or some layouts would be measured before that happens, and others after it
            self._sessions[threads, fusions] = session
        return self._sessions[threads, fusions]


def _texts_of(lengths: npt.NDArray[np.int64]) -> list[str]:
    """Texts of about so many tokens with any tokenizer, whose time depends on nothing else. They differ: equal ones run once."""
    letters = iter(np.random.default_rng(0).choice(list(string.ascii_lowercase), size=int(lengths.sum())).tolist())
    return [" ".join(islice(letters, max(1, int(length) - 2))) for length in lengths]


def _thread_counts() -> list[int]:
    return [1, physical_cores(), available_threads()]


def _sample(lengths: npt.NDArray[np.int64], rate: float, seconds: float, default: Layout) -> npt.NDArray[np.int64]:
    """So many of ``lengths``, from the beginning again where they end, as one measurement has time for."""
    slot = seconds / (_ROUNDS * (len(_BUDGETS["cpu"]) + len(_thread_counts())))
    tokens = max(rate * slot, _RUNS_A_WORKER * default.workers * default.token_budget)
    repeated = np.resize(lengths, int(tokens / lengths.mean()) + len(lengths))
    return repeated[: int(np.searchsorted(np.cumsum(repeated), tokens)) + 1]


def _latency_layouts(default: Layout) -> list[Layout]:
    return _unique([default, *(replace(default, latency_threads=count) for count in _thread_counts())])


def _throughput_layouts(default: Layout, tokens: int, *, kind: str = "cpu") -> list[Layout]:
    """The default, and what differs from it in one thing; budgets of which ``tokens`` give every worker some runs."""
    fitting = [budget for budget in _BUDGETS[kind] if _RUNS_A_WORKER * default.workers * budget <= tokens]
    budgets = [replace(default, token_budget=budget) for budget in fitting]
    counts = _thread_counts() if kind == "cpu" else _IN_FLIGHT
    workers = [replace(default, workers=count) for count in counts]
    fusions = [replace(default, fusions=True)] if kind == "cpu" else []  # on a card they are always on
    return _unique([default, *budgets, *workers, *fusions])


def _unique(layouts: Sequence[Layout]) -> list[Layout]:
    return list(dict.fromkeys(layouts))


def _in_turn(
    layouts: Sequence[Layout], measure: Callable[[Layout, float], float], seconds: float, advance: Advance
) -> tuple[Candidate, ...]:
    """Measure every layout once a round; rounds until ``seconds`` have passed, at least one."""
    slot = seconds / (_ROUNDS * len(layouts))
    found: dict[Layout, list[float]] = {layout: [] for layout in layouts}
    until = time.perf_counter() + seconds
    while not found[layouts[-1]] or time.perf_counter() < until:
        for layout in layouts:
            started = time.perf_counter()
            found[layout].append(measure(layout, slot))
            advance(time.perf_counter() - started)
    return tuple(Candidate(layout=layout, seconds=tuple(values)) for layout, values in found.items())


def _best(candidates: Sequence[Candidate]) -> Candidate:
    """The fastest; the default, which is the first, where that is not faster by :data:`_WORTH`."""
    fastest = min(candidates, key=lambda candidate: candidate.best)
    return fastest if candidates[0].best > _WORTH * fastest.best else candidates[0]
