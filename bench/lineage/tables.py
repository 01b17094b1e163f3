"""The tables of docs/lineage.md from a result file."""

from collections.abc import Callable
from typing import Any

from embedrt_bench.documents import heading, line, said_of_parts, versions, with_blocks
from embedrt_bench.lineage.measure import SETS
from embedrt_bench.lineage.systems import SYSTEMS

__all__ = ["with_tables"]


def with_tables(page: str, result: dict[str, Any]) -> str:
    """``page`` with every block ``<!-- table: NAME -->…<!-- end -->`` that ``result`` has something for made anew."""

    def made(block: str) -> str | None:
        if block not in _TABLES or block not in result:
            return None
        table, parts = _TABLES[block]
        return f"{table(result[block])}\n{said_of_parts(result, parts, _where)}"

    return with_blocks(page, "table", made)


def _systems(rows: dict[str, Any]) -> str:
    heads = ["system", "width", *SETS, "mean of English", "sentences/s"]
    lines, missing = heading(heads), []
    for system in SYSTEMS:
        found = rows.get(system.name, {})
        if "scores" not in found:
            missing.append(f"{system.what} ({found['reason']})" if "reason" in found else system.what)
            continue
        scores = [found["scores"][name] for name in SETS]
        english = sum(scores[:-1]) / len(scores[:-1])
        rate = f"{found['texts_per_second']['median']:,.0f}" if "texts_per_second" in found else "–"
        cells = [*(f"{score:.2f}" for score in scores), f"{english:.2f}", rate.replace(",", " ")]
        lines.append(line([system.what, str(found["dimension"]), *cells]))
    return "\n".join([*lines, "", *([f"Not measured: {'; '.join(missing)}."] if missing else [])])


def _vocabulary(rows: dict[str, Any]) -> str:
    heads = ["model", "texts kept for", "texts", "pieces", "kept", "weights, MB", "saved, MB", "saved"]
    lines = heading(heads, words=2)
    for model, found in rows.items():
        for name, made in found.items():
            share = made["bytes_saved"] / made["bytes_before"]
            cells = [made["texts"], made["pieces_before"], made["pieces"]]
            sizes = [f"{made['bytes_before'] / 1e6:.1f}", f"{made['bytes_saved'] / 1e6:.1f}", f"{share:.0%}"]
            lines.append(line([model, name, *map(str, cells), *sizes]))
    return "\n".join([*lines, ""])


def _derived(rows: dict[str, Any]) -> str:
    heads = ["what", "made of", "max \\|Δ\\|", "int8: cosine", "what its manifest says"]
    lines = heading(heads, words=len(heads))
    for name, made in rows.items():
        if "problem" in made:
            lines.append(line([name, made["note"], f"refused: {made['problem']}", "", ""]))
            continue
        int8 = made.get("int8_problem", "") if made["int8"] is None else f"{made['int8']:.4f}"
        lines.append(line([name, made["note"], f"{made['difference']:.1e}", int8, made["told"]]))
    return "\n".join([*lines, ""])


_TABLES: dict[str, tuple[Callable[[dict[str, Any]], str], tuple[str, ...]]] = {
    "systems": (_systems, ("quality", "speed")),
    "vocabulary": (_vocabulary, ("vocabulary",)),
    "derived": (_derived, ("derived",)),
}
"""How each is made, and the parts of the run that it shows."""


def _where(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return f"Measured {result['date']} on {machine['threads']} cores of an {machine['cpu']}, {versions(result)}."
