"""A result on the terminal."""

from collections.abc import Mapping
from typing import Any

from embedrt_bench.report.names import ABBREVIATIONS, short, unavailable
from embedrt_bench.report.tables import Table, tables
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

__all__ = ["laid_out", "print_result"]


def print_result(result: Mapping[str, Any], console: Console) -> None:
    """Every table of ``result``, and the engines that are not there with what to do about it."""
    machine, settings = result["machine"], result["settings"]
    console.print(
        Text(
            f"{settings['model']}, {settings['texts']}; {settings['threads']} threads of {machine['cpu']}, {result['date']}\n"
        )
    )
    for table in tables(result).values():
        console.print(laid_out(table))
    console.print(Text(ABBREVIATIONS))
    for name, reason in unavailable(result).items():
        console.print(Text.assemble(("not measured ", "yellow"), f"{name}: {reason}"), soft_wrap=True)


def laid_out(table: Table) -> RichTable:
    """A table as rich draws it; cells are text, never markup."""
    drawn = RichTable(
        title=Text(table.caption, style="bold"), title_justify="left", caption=Text(table.note) if table.note else None,
        caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for number, header in enumerate(table.columns):
        drawn.add_column(Text(short(header)), justify="right" if number else "left", min_width=0 if number else 12)
    for row in table.rows:
        drawn.add_row(Text(short(row[0])), *map(Text, row[1:]))
    return drawn
