"""One whole run: the engines asked for, measured in the scenarios asked for, as the dict that a result file holds."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedrt_bench.engines.lineup import Lineup
from embedrt_bench.engines.peers import python_of
from embedrt_bench.engines.prepared import Prepared, Source
from embedrt_bench.machine import describe_machine
from embedrt_bench.models.minilm import MINILM, PACKAGE
from embedrt_bench.peaks.profiling import operator_shares
from embedrt_bench.peaks.roofline import matrix_operations, measured_peak, share_of_peak
from embedrt_bench.peaks.theory import theoretical_peaks
from embedrt_bench.results import rounded, stamp, without
from embedrt_bench.scenarios.bert_zh import bert_zh_rates
from embedrt_bench.scenarios.cold_start import cold_start
from embedrt_bench.scenarios.jobs import jobs
from embedrt_bench.scenarios.names import SCENARIOS
from embedrt_bench.scenarios.offline import offline
from embedrt_bench.scenarios.possible import why_impossible
from embedrt_bench.scenarios.quality import quality
from embedrt_bench.scenarios.server import server
from embedrt_bench.scenarios.single_stream import single_stream
from embedrt_bench.scenarios.sizes import sizes
from embedrt_bench.scenarios.soak import soak
from embedrt_bench.texts.corpus import (
    LENGTHS,
    PROFILES,
    Corpus,
    TokenCounter,
    cut_to_tokens,
    profile_texts,
    read_corpus,
)
from embedrt_bench.texts.data import data_folder

from embedrt.errors import InputError
from embedrt.machine.threads import available_threads

__all__ = ["BenchSettings", "measure"]

FORMAT = 1
_CHECKED = 320
"""Texts whose vectors have to be right before anything is timed: more than any engine's batch, lest it mix up their order."""
_CALIBRATION = 300
_PROFILED = 500
_PAIRED = 10_000
_SOAK_SECONDS = 0.004  # a text
_SECTION = {"sts": "quality"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """What is measured, and how long."""

    artifact: Path
    """Folder of the artifact, with the variants that the engines name."""
    checkpoint: Path
    """Folder of the sentence-transformers checkpoint that the artifact was exported from."""
    engines: tuple[str, ...]
    """Names out of :func:`embedrt_bench.engines.catalogue.catalogue`."""
    scenarios: tuple[str, ...] = SCENARIOS
    """Out of :data:`embedrt_bench.scenarios.names.SCENARIOS`."""
    texts: int = 5000
    """Sentences that the profiles are made of."""
    rounds: int = 3
    """Times that every engine takes its turn."""
    seed: int = 0
    """Of samples and arrivals."""
    threads: int | None = None
    """Budget of each engine; None: what affinity mask and cgroup quota allow."""
    lengths: tuple[int, ...] = LENGTHS
    """Tokens of single texts; those that the model cuts are left out."""
    single_texts: int = 20
    """Single texts of each length."""
    single_seconds: float = 1.0
    """How long they are repeated, once a round."""
    p99_bound_milliseconds: float = 50.0
    """Of the server scenario."""
    server_seconds: float = 4.0
    """Of each rate tried."""
    server_halvings: int = 4
    """Steps of the search between the last rate that holds and the first that does not."""
    soak_texts: int = 10_000
    """Texts of the soak; it ends after 4 ms a text, however many an engine has done by then."""
    peak_seconds: float = 1.0
    """Of measuring each matrix peak."""


def measure(
    settings: BenchSettings, *, files: Path | None = None, keep: Callable[[dict[str, Any]], None] = lambda result: None
) -> dict[str, Any]:
    """Measure, with progress on stderr: the result by section; those not asked for, or not possible here, are absent.

    ``files``: where the files of peers are kept; None: in the project's cache. ``keep`` gets the result after each section.

    Raises:
        InputError: an engine or a scenario is not known, or there are fewer processors than threads.
        EngineError: not even the engine that vectors are compared with can be loaded.
    """
    if unknown := [name for name in settings.scenarios if name not in SCENARIOS]:
        raise InputError(f"there is no scenario {unknown[0]!r}; there are: {', '.join(SCENARIOS)}")
    data, most = data_folder(), available_threads()
    threads = settings.threads or most
    if threads > most:
        raise InputError(
            f"{threads} threads for each engine, but this process may use {most}: type --threads {most}, or less"
        )
    corpus = read_corpus(data, settings.texts, seed=settings.seed)
    calibration = read_corpus(data, _CALIBRATION, seed=settings.seed + 1).sentences
    source = Source(artifact=settings.artifact, checkpoint=settings.checkpoint, calibration=calibration)
    prepared = Prepared(source, place=files) if files else Prepared(source)
    with Lineup(settings.engines, source, prepared, threads=threads) as lineup:
        lineup.open(_checked_texts(corpus))
        counter = TokenCounter(settings.artifact)
        profiles = {profile: profile_texts(corpus, profile) for profile in PROFILES}
        tokens = {profile: sum(counter(texts)) for profile, texts in profiles.items()}
        run = _Run(
            settings=settings, lineup=lineup, corpus=corpus, source=source, prepared=prepared, data=data, threads=threads,
            counter=counter, profiles=profiles, tokens=tokens,
        )  # fmt: skip
        return run.result(keep)


def _checked_texts(corpus: Corpus) -> list[str]:
    """Some texts of each profile, so that no length escapes."""
    return [text for profile in PROFILES for text in profile_texts(corpus, profile)[: _CHECKED // len(PROFILES)]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run that has its engines; one method a scenario."""

    settings: BenchSettings
    lineup: Lineup
    corpus: Corpus
    source: Source
    prepared: Prepared
    data: Path | None
    threads: int
    counter: TokenCounter
    profiles: Mapping[str, list[str]]
    tokens: Mapping[str, int]
    """Of all texts of a profile together."""

    def result(self, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Every scenario asked for, in the order of SCENARIOS; engines that failed on the way are in none of them."""
        sections: dict[str, Any] = {}
        for name in SCENARIOS:
            if name in self.settings.scenarios and (step := self._step(name, sections)) is not None:
                sections |= {_SECTION.get(name, name): step}
                keep(self._result(sections))
        return self._result(sections)

    def _result(self, sections: Mapping[str, Any]) -> dict[str, Any]:
        engines = self.lineup.describe()
        gone = {name for name, engine in engines.items() if not engine["available"]}
        kept = {key: without(section, gone) for key, section in sections.items()}
        found: dict[str, Any] = rounded(
            {"format": FORMAT, **stamp(), "settings": self._described(), "engines": engines, **kept}
        )
        return found

    def _step(self, name: str, sections: Mapping[str, Any]) -> dict[str, Any] | None:
        """One scenario's section; None where it is not possible with the texts and files at hand."""
        if (reason := why_impossible(name, self.data)) is not None:
            print(f"not measured: {name.replace('_', '-')}: {reason}", file=sys.stderr)
            return None
        steps: dict[str, Callable[[], dict[str, Any]]] = {
            "quality": lambda: {} if "sts" in self.settings.scenarios and self.data else self._quality(None),
            "sts": lambda: self._quality(self.data),
            "offline": self._offline,
            "single_stream": self._single_stream,
            "server": self._server,
            "cold_start": lambda: cold_start(self.lineup.names, self.lineup.start, rounds=self.settings.rounds),
            "soak": self._soak,
            "sizes": self._sizes,
            "roofline": lambda: self._roofline(sections),
            "profile": self._profile,
            "jobs": self._jobs,
            "bert_zh": lambda: bert_zh_rates(self._data(), threads=self.threads, rounds=self.settings.rounds),
        }
        return self.lineup.measure(steps[name]) or None

    def _quality(self, sts: Path | None) -> dict[str, Any]:
        return quality(self.lineup.running, self.corpus.sentences, reference=self.lineup.reference, sts=sts)

    def _offline(self) -> dict[str, Any]:
        found = {}
        for profile, texts in self.profiles.items():
            tokens = self.tokens[profile]
            found[profile] = offline(
                self.lineup.running, texts, tokens=tokens, rounds=self.settings.rounds, title=f"offline, {profile}"
            )
        return found

    def _single_stream(self) -> dict[str, Any]:
        found, longest = {}, self.counter.longest
        for tokens in self.settings.lengths:
            if longest is not None and tokens > longest:
                continue
            texts = cut_to_tokens(self.corpus, self.counter, tokens, texts=self.settings.single_texts)
            title = f"one text, {tokens} tokens"
            found[str(tokens)] = single_stream(
                self.lineup.running,
                texts,
                rounds=self.settings.rounds,
                title=title,
                seconds=self.settings.single_seconds,
            )
        return found

    def _server(self) -> dict[str, Any]:
        chosen = self.settings
        return server(
            self.lineup.running, self.corpus.sentences, bound=chosen.p99_bound_milliseconds, seed=chosen.seed,
            seconds=chosen.server_seconds, halvings=chosen.server_halvings,
        )  # fmt: skip

    def _soak(self) -> dict[str, Any]:
        return soak(
            self.lineup.running,
            self.profiles["mixed"],
            count=self.settings.soak_texts,
            seconds=self.settings.soak_texts * _SOAK_SECONDS,
        )

    def _sizes(self) -> dict[str, Any]:
        return {
            spec.name: sizes(
                spec.files(self.source, self.prepared), python_of(spec.environment), spec.distribution.split()
            )
            for spec in self.lineup.specs()
        }

    def _roofline(self, sections: Mapping[str, Any]) -> dict[str, Any]:
        peaks = {kind: measured_peak(kind, seconds=self.settings.peak_seconds) for kind in ("fp32", "int8")}
        speeds = sections.get("offline", {}).get("STS", {})
        share = share_of_peak(
            {name: speed["tokens_per_second"] for name, speed in speeds.items()},
            {spec.name: peaks[spec.peak] for spec in self.lineup.specs() if spec.peak},
            operations=matrix_operations(self.prepared.float32),
            threads=self.threads,
        )
        theory = theoretical_peaks(describe_machine())
        found = {"fp32_peak_gflops": peaks["fp32"], "int8_peak_gops": peaks["int8"], "share": share}
        return {**found, "theoretical": theory} if theory else found

    def _jobs(self) -> dict[str, Any]:
        sentences = read_corpus(self.data, _PAIRED, seed=self.settings.seed).sentences
        variants = [spec.variant for spec in self.lineup.specs() if spec.variant]
        return jobs(
            variants, sentences, artifact=self.source.artifact, checkpoint=self.source.checkpoint,
            threads=self.threads, rounds=self.settings.rounds,
        )  # fmt: skip

    def _profile(self) -> dict[str, Any]:
        texts = self.corpus.sentences[:_PROFILED]
        variants = [spec.variant for spec in self.lineup.specs() if spec.variant]
        return {variant: operator_shares(self.source.artifact, variant, texts) for variant in variants}

    def _data(self) -> Path:
        if self.data is None:
            raise InputError("the STS files are not at hand: set EMBEDRT_DATA to the folder that holds sts-en/")
        return self.data

    def _described(self) -> dict[str, Any]:
        chosen = self.settings
        return {
            "model": _model_name(chosen),
            "texts": self.corpus.label,
            "tokens": self.tokens["STS"],
            "rounds": chosen.rounds,
            "seed": chosen.seed,
            "threads": self.threads,
            "p99_bound_milliseconds": chosen.p99_bound_milliseconds,
            "reference": self.lineup.reference.name,
            "profiles": {name: {"texts": len(self.profiles[name]), "tokens": self.tokens[name]} for name in PROFILES},
        }


def _model_name(settings: BenchSettings) -> str:
    folder = settings.checkpoint.resolve()
    return MINILM if folder.parent.name == PACKAGE else folder.name
