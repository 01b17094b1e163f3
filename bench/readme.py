"""Brings the tables of the result files into the documents, between the markers that name them.

``python -m embedrt_bench.readme`` rewrites them; with ``--check`` it only says whether they are up to date. A marker names
a table of the report, and the result file if it is not cpu.json: ``<!-- table: memory -->``, ``<!-- table: soak/memory -->``.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedrt_bench.documents import DOCS, heading, line, processor, versions, with_blocks
from embedrt_bench.report.names import ABBREVIATIONS, is_ours
from embedrt_bench.report.reading import load
from embedrt_bench.report.tables import Table, tables, variants
from embedrt_bench.results import RESULTS

__all__ = ["main", "with_tables"]

_ROOT = DOCS.parent
_NAMES = ("README.md", "docs/performance.md", "docs/quantization.md")
DOCUMENTS = tuple(_ROOT / name for name in _NAMES if (_ROOT / name).is_file())
_RESULT = "cpu"


def with_tables(text: str, results: Path = RESULTS) -> str:
    """``text`` with every block ``<!-- table: NAME -->…<!-- end -->`` made anew from the files in ``results``.

    Raises:
        InputError: the result file is not there or does not follow its format.
        ValueError: there is no table of that name in it.
    """

    def made(block: str) -> str:
        file, _, name = block.rpartition("/")
        return _table(name, results / f"{file or _RESULT}.json")

    return with_blocks(text, "table", made)


def _table(name: str, path: Path) -> str:
    result = load(path)
    made = tables(result) | {"variants": variants(result)}
    table = made.get(name)
    if table is None:
        raise ValueError(f"{path} has no table {name!r}; there are: {', '.join(made)}")
    notes = " ".join(filter(None, (table.note, ABBREVIATIONS if "s-t" in str(table.columns) else "")))
    return f"{_markdown(table)}\n\n{notes}{notes and chr(10)}{_where(result)}"


def _where(result: dict[str, Any]) -> str:
    """On what and when a result was measured, in a sentence."""
    threads = result["machine"]["threads"]
    return (
        f"Measured {result['date']} on {threads} cores of an {processor(result)}, {versions(result)}; "
        "rounds interleaved, medians."
    )


def _markdown(table: Table) -> str:
    """Rows of ours are bold; figures stand to the right."""
    rows = [[f"**{cell}**" for cell in row] if is_ours(row[0]) else row for row in table.rows]
    lines = [*heading(_escaped(table.columns)), *(line(_escaped(row)) for row in rows)]
    return "\n".join(lines)


def _escaped(cells: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in cells]


def main() -> None:
    """Rewrite the documents, or check them."""
    for document in DOCUMENTS:
        before = document.read_text(encoding="utf-8")
        after = with_tables(before)
        if "--check" not in sys.argv[1:]:
            document.write_text(after, encoding="utf-8")
        elif before != after:
            sys.exit(f"{document.name} is not what the result files say: python -m embedrt_bench.readme")


if __name__ == "__main__":
    main()
