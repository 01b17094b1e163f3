"""A result as ONE HTML file: nothing is loaded from elsewhere, no script runs, plots are inline SVG.

It is laid out for a phone of 360 pixels, a desk and A4 paper; every text that comes from the result is escaped.
"""

from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources
from typing import Any

from embedrt_bench.report.method import commands, method
from embedrt_bench.report.names import ABBREVIATIONS, is_ours, unavailable
from embedrt_bench.report.plots import Plot, plots
from embedrt_bench.report.tables import Table, tables

__all__ = ["html_report"]

_HEADINGS = {
    "engines": "Side by side",
    "latency": "One text at a time",
    "tail": "The slowest of a hundred",
    "profiles": "A corpus at once",
    "server": "Under load",
    "memory": "Memory and size",
    "roofline": "Share of the roofline",
    "profile": "Where the time goes",
    "bert_zh": "A larger model",
    "jobs": "Whole commands",
}
_WIDE = ("engines",)
"""Tables that need the whole width of a desk; the others stand beside their plot there."""


def html_report(result: Mapping[str, Any]) -> str:
    """The page. The same result gives the same page."""
    made, drawn = tables(result), plots(result)
    sections = {name: _section(name, made, drawn.get(name)) for name in _HEADINGS if name in made}
    headings = {name: _HEADINGS[name] for name in sections} | {
        "engine-settings": "Engines", "machine": "Machine and versions", "method": "Method", "repeat": "Repeat it"
    }  # fmt: skip
    body = "\n".join([_head(result, headings), *sections.values(), _engines(result), _machine(result), _method(result)])
    style = resources.files("embedrt_bench.report").joinpath("style.css").read_text(encoding="utf-8")
    model = escape(str(result["settings"]["model"]))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>embedrt bench: {model}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(result: Mapping[str, Any], headings: Mapping[str, str]) -> str:
    machine, settings = result["machine"], result["settings"]
    links = "".join(f'<li><a href="#section-{name}">{text}</a></li>' for name, text in headings.items())
    return (
        f"<header>\n<h1>Sentence embeddings, measured: {escape(str(settings['model']))}</h1>\n"
        f"<p>{escape(str(result['date']))}, {escape(str(settings['threads']))} threads of {escape(str(machine['cpu']))}. "
        f"{escape(str(settings['texts']))}; {escape(str(settings['rounds']))} interleaved rounds, medians. "
        "Times belong to this machine; what carries over is the ratio between engines of one run.</p>\n"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n</header>\n<main>'
    )


def _section(name: str, made: Mapping[str, Table], plot: Plot | None) -> str:
    drawn = "" if plot is None else _figure(plot)
    if name in _WIDE:
        parts = [drawn + (_table("ratios", made["ratios"]) if "ratios" in made else ""), _table(name, made[name])]
    else:
        parts = [drawn + _table(name, made[name])]
    pairs = "\n".join(
        f'<div class="pair{" beside" if "<figure" in part else ""}">\n{part}</div>' for part in parts if part
    )
    return _headed(name, _HEADINGS[name], pairs)


def _headed(name: str, heading: str, content: str) -> str:
    return (
        f'<section id="section-{name}" aria-labelledby="heading-{name}">\n<h2 id="heading-{name}">{heading}</h2>\n'
        f"{content}\n</section>"
    )


def _figure(plot: Plot) -> str:
    caption = f"{plot.title}. {plot.note} {ABBREVIATIONS}".replace("  ", " ")
    return f"<figure>\n{plot.svg}\n<figcaption>{escape(caption)}</figcaption>\n</figure>\n"


def _table(name: str, table: Table, kind: str = "") -> str:
    """A table with a caption and headers for columns and rows, in a box that scrolls by itself."""
    columns = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = "\n".join(_row(row) for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>\n' if table.note else ""
    return (
        f'<div>\n<div class="scroll" tabindex="0" role="region" aria-labelledby="caption-{name}">\n'
        f'<table{kind and f" class={kind}"}>\n<caption id="caption-{name}"><span>{escape(table.caption)}</span></caption>\n'
        f"<thead><tr>{columns}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>\n{note}</div>\n"
    )


def _row(row: tuple[str, ...]) -> str:
    ours = ' class="ours"' if is_ours(row[0]) else ""
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
    return f'<tr{ours}><th scope="row">{escape(row[0])}</th>{cells}</tr>'


def _engines(result: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            ", ".join(f"{key} {value}" for key, value in engine["settings"].items()),
            str(engine.get("environment", "own")),
        )
        for name, engine in result["engines"].items()
        if engine["available"]
    ]
    rows += [(name, f"not measured: {reason}", "–") for name, reason in unavailable(result).items()]
    table = Table(caption="Engines and their settings", columns=("Engine", "Settings", "Environment"), rows=tuple(rows))
    return _headed("engine-settings", "Engines", _table("engine-settings", table, "words"))


def _machine(result: Mapping[str, Any]) -> str:
    machine, settings = result["machine"], result["settings"]
    facts = {
        "Date": result["date"],
        "Processor": f"{machine['cpu']}, family/model {machine['cpu_family_model']}",
        "Instructions": ", ".join(machine["instructions"]),
        "Processors, threads used": f"{machine['processors']}, {settings['threads']}",
        "Frequency governor": machine["governor"],
        "System": machine["system"],
        "Packages": ", ".join(f"{name} {version}" for name, version in machine["packages"].items()),
        **{f"Setting: {name.replace('_', ' ')}": _in_words(value) for name, value in settings.items()},
        **_peaks(result.get("roofline", {})),
    }
    return _headed("machine", "Machine and versions", f"<dl>\n{_terms(facts.items())}\n</dl>")


def _in_words(value: Any) -> str:
    """A setting; one that has parts as ``name: 5000 texts, 75000 tokens``."""
    if not isinstance(value, Mapping):
        return str(value)
    return "; ".join(
        f"{name}: {', '.join(f'{count} {unit}' for unit, count in part.items())}" for name, part in value.items()
    )


def _peaks(roofline: Mapping[str, Any]) -> dict[str, str]:
    facts = {}
    if "fp32_peak_gflops" in roofline:
        facts["Peak measured, one thread"] = (
            f"float32 {roofline['fp32_peak_gflops']:.0f} GFLOP/s, int8 {roofline['int8_peak_gops']:.0f} GOP/s"
        )
    if theory := roofline.get("theoretical"):
        facts["Peak by theory"] = (
            f"float32 {theory['fp32_gflops']:.0f} GFLOP/s, int8 {theory['int8_gops']:.0f} GOP/s: {theory['why']}"
        )
    return facts


def _terms(facts: Iterable[tuple[str, Any]]) -> str:
    return "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts)


def _method(result: Mapping[str, Any]) -> str:
    sentences = "\n".join(f"<li>{escape(sentence)}</li>" for sentence in method(result))
    return (
        _headed("method", "Method", f"<ul>\n{sentences}\n</ul>")
        + "\n"
        + _headed("repeat", "Repeat it", f"<pre><code>{escape(commands(result))}</code></pre>")
        + "\n</main>"
    )
