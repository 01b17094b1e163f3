"""A comparison on the terminal: what changed beyond noise, and how much did not."""

from embedrt_bench.report.compare import Change, Comparison
from embedrt_bench.report.names import short
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["print_comparison"]

_NAMED = 10
"""Figures of one result only that are named; the others are counted, and in the JSON."""


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Warnings, a row for each change beyond noise, and counts of the rest."""
    for warning in comparison.warnings:
        console.print(Text.assemble(("not the same ", "yellow"), warning), soft_wrap=True)
    if comparison.relative:
        console.print(
            "Times are therefore compared as ratios to sentence-transformers float32 in the same run.", soft_wrap=True
        )
    moved = [change for change in comparison.changes if change.beyond_noise]
    if moved:
        console.print(_table(moved))
    console.print(f"{len(moved)} figures changed beyond noise, {len(comparison.changes) - len(moved)} did not.")
    for names, which in ((comparison.only_before, "first"), (comparison.only_after, "second")):
        if names:
            shown = "; ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
            console.print(Text(f"Only in the {which} ({len(names)}): {shown}"), soft_wrap=True)


def _table(changes: list[Change]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in ("engine", "figure", "unit"):
        table.add_column(header)
    for header in ("before", "after", "ratio", ""):
        table.add_column(header, justify="right")
    for change in changes:
        verdict = Text("better", style="green") if change.better else Text("worse", style="red")
        figures = (
            f"{change.before:.5g}",
            f"{change.after:.5g}",
            "" if change.ratio is None else f"{change.ratio:.3f} ×",
        )
        table.add_row(Text(change.engine), Text(change.title), Text(short(change.unit)), *figures, verdict)
    return table
