"""Brings the tables of the result files into the documents, between the markers that name them.

``python -m embedrt_bench.readme`` rewrites them; with ``--check`` it only says whether they are up to date. One result file,
results/cpu.json, feeds every table of a report; the names in :mod:`embedrt_bench.separate_tables` have files of their own.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embedrt_bench.report.names import ABBREVIATIONS, is_ours
from embedrt_bench.report.reading import load
from embedrt_bench.report.tables import Table, tables
from embedrt_bench.results import RESULTS, read_result
from embedrt_bench.separate_tables import SEPARATE_TABLES, where

__all__ = ["main", "with_tables"]

_ROOT = Path(__file__).resolve().parents[1]
_NAMES = ("README.md", "docs/performance.md", "docs/quantization.md")
DOCUMENTS = tuple(_ROOT / name for name in _NAMES if (_ROOT / name).is_file())
RESULT = "cpu.json"


def with_tables(text: str, results: Path = RESULTS) -> str:
    """``text`` with every block ``<!-- table: NAME -->…<!-- end -->`` made anew from the files in ``results``.

    Raises:
        InputError: the result file is not there or does not follow its format.
        ValueError: there is no table of that name in it.
    """

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        separate = name in SEPARATE_TABLES and (results / f"{name}.json").is_file()
        table = _separate(name, results) if separate else _of_report(name, results)
        return f"<!-- table: {name} -->\n{table}\n<!-- end -->"

    return re.sub(r"<!-- table: ([\w-]+) -->\n.*?<!-- end -->", replace, text, flags=re.DOTALL)


def _separate(name: str, results: Path) -> str:
    make: Callable[[dict[str, Any]], str] = SEPARATE_TABLES[name]
    return make(read_result(results / f"{name}.json"))


def _of_report(name: str, results: Path) -> str:
    result = load(results / RESULT)
    made = tables(result)
    if name not in made:
        there = ", ".join([*made, *SEPARATE_TABLES])
        raise ValueError(f"{results / RESULT} has no table {name!r}; there are: {there}")
    notes = " ".join(filter(None, (made[name].note, ABBREVIATIONS if "s-t" in str(made[name].columns) else "")))
    return f"{_markdown(made[name])}\n\n{notes}{notes and chr(10)}{where(result)}"


def _markdown(table: Table) -> str:
    """Rows of ours are bold; figures stand to the right."""
    rule = "|---|" + "---:|" * (len(table.columns) - 1)
    rows = [[f"**{cell}**" for cell in row] if is_ours(row[0]) else row for row in table.rows]
    lines = [_line(table.columns), rule, *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Any) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


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
