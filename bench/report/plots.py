"""The plots of a report. Each draws what it has and names what it has not; each figure is in a table as well."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from embedrt_bench.report.bars import bars, dots
from embedrt_bench.report.lines import latency_by_length
from embedrt_bench.report.measures import Measure, by_key
from embedrt_bench.report.names import not_measured
from embedrt_bench.report.scatter import throughput_against_quality
from embedrt_bench.report.svg import inline_svg
from embedrt_bench.report.tables import headline
from matplotlib.axes import Axes

__all__ = ["Plot", "plots"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot that is ready for the page."""

    title: str
    note: str
    """Which engines are not in it; empty if all are."""
    svg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A plot before it is SVG."""

    title: str
    description: str
    """What it shows, for those who cannot see it."""
    axes: Axes
    engines: Iterable[str]
    """Whose figures are in it."""


def plots(result: Mapping[str, Any]) -> dict[str, Plot]:
    """Every plot that ``result`` has figures for, by the name of the table that says the same."""
    found = by_key(result)
    with mpl.rc_context():
        mpl.rcdefaults()  # a reader's own matplotlibrc is for the reader's own plots
        drawn = {name: draw(result, found) for name, draw in _PLOTS.items()}
        return {name: _finished(result, name, one) for name, one in drawn.items() if one is not None}


def _finished(result: Mapping[str, Any], name: str, drawn: Drawn) -> Plot:
    svg = inline_svg(drawn.axes, name=name, title=drawn.title, description=drawn.description)
    return Plot(title=drawn.title, note=not_measured(result, drawn.engines), svg=svg)


def _engines_of(*shown: Measure) -> list[str]:
    return list(dict.fromkeys(name for one in shown for name in one.values))


def _engines(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Drawn | None:
    throughput, _ = headline(found)
    cosine = found.get("quality/cosine_mean")
    both = [name for name in throughput.values if name in cosine.values] if throughput and cosine else []
    if throughput is None or cosine is None or not both:
        return None
    speed, faithful = ({name: one.values[name].median for name in both} for one in (throughput, cosine))
    fastest = max(both, key=lambda name: speed[name])
    return Drawn(
        title="Throughput against quality",
        description=f"Mean cosine to the reference against texts a second, both logarithmic. Fastest: {fastest} with "
        f"{speed[fastest]:.0f} texts a second at a mean cosine of {faithful[fastest]:.4f}.",
        axes=throughput_against_quality(list(result["engines"]), speed, faithful),
        engines=both,
    )


def _latency(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Drawn | None:
    of_length = {
        int(key.split("/")[1]): one
        for key, one in found.items()
        if key.startswith("single_stream/") and key.endswith("/p50")
    }
    if not of_length:
        return None
    shortest, longest = min(of_length), max(of_length)
    least = [min(of_length[length].values.items(), key=lambda item: item[1].median) for length in (shortest, longest)]
    return Drawn(
        title="Latency by length",
        description="Median milliseconds for one text against its tokens, both logarithmic, a line for each engine. Least at "
        f"{shortest} tokens: {least[0][0]}, {least[0][1].median:.2f} ms; at {longest} tokens: {least[1][0]}, "
        f"{least[1][1].median:.2f} ms.",
        axes=latency_by_length(list(result["engines"]), of_length),
        engines=_engines_of(*of_length.values()),
    )


def _profiles(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Drawn | None:
    of_profile = {key.partition("/")[2]: one for key, one in found.items() if key.startswith("offline/")}
    if not of_profile:
        return None
    return Drawn(
        title="Throughput by kind of text",
        description=f"Texts a second on a logarithmic axis, a row for each engine, a mark for each of {', '.join(of_profile)}.",
        axes=dots(list(result["engines"]), of_profile, unit="texts a second"),
        engines=_engines_of(*of_profile.values()),
    )


def _memory(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Drawn | None:
    wanted = {"at start": "cold_start/peak_megabytes", "after the soak": "soak/megabytes_after"}
    there = {label: found[key] for label, key in wanted.items() if key in found}
    if not there:
        return None
    return Drawn(
        title="Memory",
        description=f"Resident megabytes {' and '.join(there)}, bars for each engine, least first.",
        axes=bars(list(result["engines"]), there, unit="MB", form="{:.0f}"),
        engines=_engines_of(*there.values()),
    )


def _roofline(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Drawn | None:
    share = found.get("roofline/share")
    if share is None:
        return None
    best = max(share.values, key=lambda name: share.values[name].median)
    return Drawn(
        title="Share of the roofline",
        description="Part of the peak measured in the same precision, a bar for each engine, largest first. "
        f"Largest: {best} with {share.values[best].median:.0%}.",
        axes=bars(list(result["engines"]), {"": share}, unit="", form="{:.0%}", whole=1.0),
        engines=share.values,
    )


_PLOTS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Measure]], Drawn | None]] = {
    "engines": _engines,
    "latency": _latency,
    "profiles": _profiles,
    "memory": _memory,
    "roofline": _roofline,
}
