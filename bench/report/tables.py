"""The tables of a report as plain data: what terminal, HTML and Markdown each lay out in their own way.

A table whose sections were not measured is left out; an engine without a figure has a dash, and is named below the table.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from embedrt_bench.report.measures import Measure, by_key
from embedrt_bench.report.names import REFERENCE, baseline, is_ours, not_measured, short

__all__ = ["Table", "headline", "ratio", "tables", "times", "variants"]

DASH = "–"
Column = tuple[str, Mapping[str, str]]
"""A header, and the cells by engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text; the first cell of each names its row, the others are figures."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(result: Mapping[str, Any]) -> dict[str, Table]:
    """Every table that ``result`` has figures for, by name."""
    found = by_key(result)
    made = {name: make(result, found) for name, make in _TABLES.items()}
    return {name: table for name, table in made.items() if table is not None}


def headline(found: Mapping[str, Measure]) -> tuple[Measure | None, Measure | None]:
    """The throughput and the latency that stand for all: STS and 16 tokens, or the first that were measured."""
    profiles = [key for key in found if key.startswith("offline/")]
    medians = [key for key in found if key.startswith("single_stream/") and key.endswith("/p50")]
    throughput = "offline/STS" if "offline/STS" in found else next(iter(profiles), "")
    latency = "single_stream/16/p50" if "single_stream/16/p50" in found else next(iter(medians), "")
    return found.get(throughput), found.get(latency)


def _engines(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Table | None:
    throughput, latency = headline(found)
    columns = [
        *_speed(throughput),
        *_latency(latency),
        *_column("Start, s", found.get("cold_start/seconds"), "{:.2f}"),
        *_column("Peak, MB", found.get("cold_start/peak_megabytes"), "{:.0f}"),
        *_faithfulness(found),
    ]
    return _by_engine("Speed, memory and quality side by side", result, columns)


def variants(result: Mapping[str, Any]) -> Table | None:
    """Ours and the original: what documents show, and reports have in wider tables."""
    found = by_key(result)
    throughput, latency = headline(found)
    columns = [
        *_column("Model files, MB", found.get("sizes/artifact_megabytes"), "{:.1f}"),
        *_speed(throughput),
        *_latency(latency),
        *_faithfulness(found),
    ]
    shown = [(header, {name: cell for name, cell in cells.items() if _is_variant(name)}) for header, cells in columns]
    return _by_engine("Our variants", result, shown)


def _is_variant(name: str) -> bool:
    return is_ours(name) or name == REFERENCE


def _faithfulness(found: Mapping[str, Measure]) -> list[Column]:
    return [
        *_column("Cosine, mean", found.get("quality/cosine_mean"), "{:.4f}"),
        *_column("smallest", found.get("quality/cosine_min"), "{:.3f}"),
        *_column("STS", found.get("quality/sts_mean"), "{:.2f}"),
    ]


def _speed(throughput: Measure | None) -> list[Column]:
    if throughput is None:
        return []
    columns = _column(f"{throughput.key.partition('/')[2]}, texts/s", throughput, "{:.0f}")
    for other in (REFERENCE, baseline(throughput.values)):
        if other is not None and other in throughput.values:
            columns.append((f"× {short(other)}", _ratios(throughput, other)))
    return columns


def _latency(latency: Measure | None) -> list[Column]:
    if latency is None:
        return []
    columns = _column(f"{latency.key.split('/')[1]} tokens, p50 ms", latency, "{:.2f}")
    if REFERENCE in latency.values:
        columns.append((f"× {short(REFERENCE)}", _ratios(latency, REFERENCE)))
    return columns


def _ratios(measure: Measure, other: str) -> dict[str, str]:
    return {name: times(ratio(measure, name, other)) for name in measure.values}


def ratio(measure: Measure, name: str, other: str) -> float:
    """How many times as good ``name`` is as ``other``."""
    ours, theirs = measure.values[name].median, measure.values[other].median
    return ours / theirs if measure.more_is_better else theirs / ours


def times(value: float) -> str:
    """A ratio with as many digits as it deserves.

    >>> times(0.456), times(12.34), times(201.3)
    ('0.46 ×', '12.3 ×', '201 ×')
    """
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} ×"


def _ratio_table(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Table | None:
    throughput, _ = headline(found)
    ours = [name for name in throughput.values if is_ours(name)] if throughput else []
    peers = [name for name in throughput.values if not is_ours(name)] if throughput else []
    if throughput is None or not ours or not peers:
        return None
    rows = [(peer, *(times(ratio(throughput, name, peer)) for name in ours)) for peer in peers]
    return Table(
        caption=f"Ours against each: throughput, {throughput.key.partition('/')[2]}",
        columns=("Against", *ours),
        rows=tuple(rows),
        note=not_measured(result, throughput.values),
    )


def _latency_table(point: str) -> Callable[[Mapping[str, Any], Mapping[str, Measure]], Table | None]:
    def make(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Table | None:
        of_point = [one for key, one in found.items() if key.startswith("single_stream/") and key.endswith(point)]
        columns = [(one.key.split("/")[1], _cells(one, "{:.2f}")) for one in of_point]
        return _by_engine(f"One text at a time, {point} in milliseconds, by tokens", result, columns)

    return make


def _profiles(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Table | None:
    columns = [
        (key.partition("/")[2], _cells(one, "{:.0f}")) for key, one in found.items() if key.startswith("offline/")
    ]
    return _by_engine("A corpus at once, texts a second, by kind of text", result, columns)


def _server(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Table | None:
    rate = _column("Requests/s", found.get("server/requests_per_second"), "{:.0f}")
    latency = {name: f"{entry['p99_milliseconds']:.1f}" for name, entry in result.get("server", {}).items()}
    bound = result["settings"].get("p99_bound_milliseconds", "its bound of")
    columns = [*rate, ("p99 there, ms", latency)] if rate else []
    return _by_engine(f"Arrivals at random: highest rate that keeps p99 under {bound} ms", result, columns)


def _memory(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Table | None:
    soak = result.get("soak", {})
    texts = max((entry["texts"] for entry in soak.values()), default=0)
    fewer = [f"{name}: {entry['texts']}" for name, entry in soak.items() if entry["texts"] < texts]
    grown = {
        name: f"{entry['megabytes_after'] / entry['megabytes_after_warm_up'] - 1:+.1%}" for name, entry in soak.items()
    }
    columns = [
        *_column("Peak at start", found.get("cold_start/peak_megabytes"), "{:.0f}"),
        *_column("Warm", found.get("soak/megabytes_after_warm_up"), "{:.0f}"),
        *_column(f"After {'up to ' if fewer else ''}{texts} texts", found.get("soak/megabytes_after"), "{:.0f}"),
        *([("Growth", grown)] if grown else []),
        *_column("Model files", found.get("sizes/artifact_megabytes"), "{:.1f}"),
        *_column("Installed", found.get("sizes/install_megabytes"), "{:.0f}"),
    ]
    table = _by_engine("Memory and size on disk, in MB", result, columns)
    if table is None or not fewer:
        return table
    return replace(table, note=f"Fewer in the time given: {'; '.join(fewer)}. {table.note}".strip())


def _roofline(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Table | None:
    columns = _column("Share of the peak", found.get("roofline/share"), "{:.1%}")
    return _by_engine("Share of the measured peak, a corpus at once", result, columns)


def _profile(result: Mapping[str, Any], _found: Mapping[str, Measure]) -> Table | None:
    shares = result.get("profile", {})
    if not shares:
        return None
    operators = [*dict.fromkeys(name for of in shares.values() for name in of if name != "other"), "other"]
    return Table(
        caption="Share of the time in kernels, by operator, one thread",
        columns=("Operator", *shares),
        rows=tuple((name, *(f"{of[name]:.1%}" if name in of else "" for of in shares.values())) for name in operators),
    )


def _larger_model(_result: Mapping[str, Any], found: Mapping[str, Measure]) -> Table | None:
    rates = found.get("bert_zh/texts_per_second")
    first = None if rates is None else baseline(rates.values)
    if rates is None or first is None:
        return None
    return Table(
        caption="A 12-layer, 768-wide BERT with random weights, Chinese texts of 64 tokens",
        columns=("Engine", "texts/s", f"× {first}"),
        rows=tuple(
            (name, f"{value.median:.1f}", times(ratio(rates, name, first))) for name, value in rates.values.items()
        ),
    )


def _jobs(result: Mapping[str, Any], found: Mapping[str, Measure]) -> Table | None:
    exported, pairs = found.get("jobs/export_seconds"), found.get("jobs/pairs_seconds")
    columns = [
        *_column("Export, verified, s", exported, "{:.0f}"),
        *_column(f"{pairs.title}, s" if pairs else "", pairs, "{:.1f}"),
        *_column("Peak of that, MB", found.get("jobs/pairs_peak_megabytes"), "{:.0f}"),
    ]
    return _by_engine("Whole commands, from a cold process", result, columns)


def _column(header: str, measure: Measure | None, form: str) -> list[Column]:
    return [] if measure is None else [(header, _cells(measure, form))]


def _cells(measure: Measure, form: str) -> dict[str, str]:
    return {name: form.format(value.median) for name, value in measure.values.items()}


def _by_engine(caption: str, result: Mapping[str, Any], columns: Iterable[Column]) -> Table | None:
    """A row for every engine that has a figure in one of the ``columns``; None where there is no column."""
    columns = list(columns)
    names = [name for name in result["engines"] if any(name in cells for _, cells in columns)]
    if not names:
        return None
    return Table(
        caption=caption,
        columns=("Engine", *(header for header, _ in columns)),
        rows=tuple((name, *(cells.get(name, DASH) for _, cells in columns)) for name in names),
        note=not_measured(result, names),
    )


_TABLES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Measure]], Table | None]] = {
    "engines": _engines,
    "ratios": _ratio_table,
    "latency": _latency_table("p50"),
    "tail": _latency_table("p99"),
    "profiles": _profiles,
    "server": _server,
    "memory": _memory,
    "roofline": _roofline,
    "profile": _profile,
    "bert_zh": _larger_model,
    "jobs": _jobs,
}
