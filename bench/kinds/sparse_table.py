"""The tables of docs/sparse.md, made from bench/results/sparse.json: ``python -m embedrt_bench.kinds.sparse_table``."""

from pathlib import Path
from typing import Any

from embedrt_bench.documents import DOCS, heading, line, processor, versions, with_blocks
from embedrt_bench.kinds.beside import ORIGINAL
from embedrt_bench.results import RESULTS, read_result

__all__ = ["DOCUMENT", "RESULT", "main", "with_tables"]

DOCUMENT, RESULT = DOCS / "sparse.md", RESULTS / "sparse.json"
_HEADS = ("", "texts/s", "×", "one text, ms", "×", "MB", "heaviest terms kept", "cosine, mean", "smallest", "nDCG@10")


def with_tables(text: str, result: Path = RESULT) -> str:
    """``text`` with every block ``<!-- sparse: NAME -->…<!-- end -->`` made anew."""
    measured = read_result(result)
    return with_blocks(text, "sparse", lambda name: _TABLES[name](measured))


def _speed(measured: dict[str, Any]) -> str:
    rows = heading(_HEADS)
    rows += [line(_cells(name, row, measured["engines"][ORIGINAL])) for name, row in measured["engines"].items()]
    return "\n".join([*rows, "", _where(measured)])


def _cells(name: str, row: dict[str, Any], baseline: dict[str, Any]) -> tuple[str, ...]:
    fidelity = ("", "", "", "")
    if "cosine_mean" in row:
        change = f"{row['ndcg_change']:+.2f}" if "ndcg_change" in row else ""
        kept, mean, least = (row[key] for key in ("top_terms_overlap", "cosine_mean", "cosine_min"))
        fidelity = (f"{kept:.1%}", f"{mean:.4f}", f"{least:.3f}", change)
    return (
        f"**{name}**" if name != ORIGINAL else name,
        f"{row['texts_per_second']:.0f}",
        f"{row['texts_per_second'] / baseline['texts_per_second']:.1f} ×",
        f"{row['one_text_milliseconds']:.1f}",
        f"{baseline['one_text_milliseconds'] / row['one_text_milliseconds']:.1f} ×",
        f"{row['megabytes']:.0f}",
        *fidelity,
    )


def _budgets(measured: dict[str, Any]) -> str:
    budgets = list(next(iter(measured["budgets"].values())))
    rows = heading(("tokens a run", *budgets))
    rows += [
        line((f"{variant}, texts/s", *(f"{rate:.0f}" for rate in rates.values())))
        for variant, rates in measured["budgets"].items()
    ]
    return "\n".join(rows)


def _where(measured: dict[str, Any]) -> str:
    machine = measured["machine"]
    return (
        f"{measured['texts']} STS sentences, {measured['terms']:.0f} terms each in the mean, {machine['threads']} cores of an "
        f"{processor(measured)}, {versions(measured)}; {measured['date']}, interleaved, medians."
    )


_TABLES = {"speed": _speed, "budgets": _budgets}


def main() -> None:
    """Rewrite the document."""
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
