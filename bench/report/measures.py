"""Every figure of a result in one flat list: what it is, its unit, which way is better, and how much of a change is noise.

Tables, plots and comparisons all read this list, so a figure is defined here and nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Measure", "Value", "by_key", "measures"]

TIMED, ONCE, MEMORY, COUNTED, COSINE, STS = 0.03, 0.10, 0.05, 0.001, 0.0002, 0.0005
"""Relative changes that mean nothing: of medians over rounds, of single figures, of resident memory, of sizes on disk, and of
cosines and STS scores, which other threads or another library version move in the last digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One engine's figure."""

    median: float
    runs: tuple[float, ...] = ()
    """The figure of each round; empty where it was taken once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure of every engine that has it."""

    key: str
    """Section and scenario, ``offline/STS``."""
    title: str
    unit: str
    more_is_better: bool
    tolerance: float
    """Relative change up to which two figures are the same."""
    timed: bool = True
    """Whether it depends on how fast the machine is."""
    values: Mapping[str, Value]
    """By engine."""


def measures(result: Mapping[str, Any]) -> list[Measure]:
    """All figures of ``result``, section by section; sections and engines without figures are left out.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: a section does not hold what the format says.
    """
    found = [one for section, read in _SECTIONS.items() for one in read(result.get(section) or {})]
    return [one for one in found if one.values]


def by_key(result: Mapping[str, Any]) -> dict[str, Measure]:
    """:func:`measures` by their keys."""
    return {one.key: one for one in measures(result)}


def _offline(section: Mapping[str, Any]) -> list[Measure]:
    return [
        Measure(
            key=f"offline/{profile}",
            title=f"Throughput, {profile}",
            unit="texts/s",
            more_is_better=True,
            tolerance=TIMED,
            values={name: _spread(found["texts_per_second"]) for name, found in engines.items()},
        )
        for profile, engines in section.items()
    ]


def _single_stream(section: Mapping[str, Any]) -> list[Measure]:
    return [
        Measure(
            key=f"single_stream/{length}/{point}",
            title=f"One text of {int(length)} tokens, {point}",
            unit="ms",
            more_is_better=False,
            tolerance=TIMED if point == "p50" else ONCE,
            values={name: _point(found, point) for name, found in engines.items()},
        )
        for length, engines in section.items()
        for point in ("p50", "p90", "p99")
    ]


def _point(found: Mapping[str, Any], point: str) -> Value:
    runs = found["runs"] if point == "p50" else ()
    return Value(median=float(found[point]), runs=tuple(float(run) for run in runs))


def _spread(found: Mapping[str, Any]) -> Value:
    return Value(median=float(found["median"]), runs=tuple(float(run) for run in found["runs"]))


def _server(section: Mapping[str, Any]) -> list[Measure]:
    return [
        _plain(section, "server/requests_per_second", "Server: highest rate", "requests/s", ONCE, more=True, timed=True)
    ]


def _cold_start(section: Mapping[str, Any]) -> list[Measure]:
    seconds = Measure(
        key="cold_start/seconds",
        title="Start to first vector",
        unit="s",
        more_is_better=False,
        tolerance=TIMED,
        values={name: _spread(found["seconds"]) for name, found in section.items()},
    )
    return [seconds, _plain(section, "cold_start/peak_megabytes", "Peak memory of that process", "MB", MEMORY)]


def _soak(section: Mapping[str, Any]) -> list[Measure]:
    return [
        _plain(section, "soak/megabytes_after_warm_up", "Memory after warm-up", "MB", MEMORY),
        _plain(section, "soak/megabytes_after", "Memory after the soak", "MB", MEMORY),
    ]


def _sizes(section: Mapping[str, Any]) -> list[Measure]:
    return [
        _plain(section, "sizes/artifact_megabytes", "Files of the model", "MB", COUNTED),
        _plain(section, "sizes/install_megabytes", "Installed packages", "MB", COUNTED),
    ]


def _quality(section: Mapping[str, Any]) -> list[Measure]:
    return [
        _plain(section, "quality/cosine_mean", "Cosine to the reference, mean", "", COSINE, more=True),
        _plain(section, "quality/cosine_min", "Cosine to the reference, smallest", "", COSINE * 10, more=True),
        _plain(section, "quality/sts_mean", "STS, Spearman × 100, mean", "", STS, more=True),
    ]


def _roofline(section: Mapping[str, Any]) -> list[Measure]:
    shares = {name: {"share": share} for name, share in section.get("share", {}).items()}
    return [_plain(shares, "roofline/share", "Share of the measured peak", "", ONCE, more=True)]


def _larger_model(section: Mapping[str, Any]) -> list[Measure]:
    rates = {name: {"texts_per_second": rate} for name, rate in section.items()}
    return [
        _plain(rates, "bert_zh/texts_per_second", "Throughput, a larger model", "texts/s", ONCE, more=True, timed=True)
    ]


def _jobs(section: Mapping[str, Any]) -> list[Measure]:
    of = max((entry["pairs_of"] for entry in section.values()), default=0)
    return [
        _plain(section, "jobs/export_seconds", "Export, verified", "s", ONCE, timed=True),
        _plain(section, "jobs/pairs_seconds", f"Most similar pairs of {of} sentences", "s", ONCE, timed=True),
        _plain(section, "jobs/pairs_peak_megabytes", "Peak memory of that", "MB", MEMORY),
    ]


def _plain(
    section: Mapping[str, Any],
    key: str,
    title: str,
    unit: str,
    tolerance: float,
    *,
    more: bool = False,
    timed: bool = False,
) -> Measure:
    """A figure that was taken once: ``key``'s last part in each engine's entry, left out where it is absent or null."""
    field = key.rpartition("/")[2]
    found = {name: entry.get(field) for name, entry in section.items()}
    values = {name: Value(median=float(value)) for name, value in found.items() if value is not None}
    return Measure(
        key=key, title=title, unit=unit, more_is_better=more, tolerance=tolerance, timed=timed, values=values
    )


_SECTIONS: dict[str, Callable[[Mapping[str, Any]], list[Measure]]] = {
    "offline": _offline,
    "single_stream": _single_stream,
    "server": _server,
    "cold_start": _cold_start,
    "soak": _soak,
    "sizes": _sizes,
    "quality": _quality,
    "roofline": _roofline,
    "bert_zh": _larger_model,
    "jobs": _jobs,
}
