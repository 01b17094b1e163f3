"""Rows of bars, and rows of marks: an engine a row, its whole name above it."""

import itertools
from collections.abc import Mapping, Sequence

from embedrt_bench.report.looks import FAINT, INK, looks
from embedrt_bench.report.measures import Measure
from embedrt_bench.report.names import is_ours
from embedrt_bench.report.svg import FONT, canvas, logarithmic
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

__all__ = ["bars", "dots"]

_NAME, _BAR = 15.0, 12.0
_MARKS = "os^Dv<"


def bars(
    engines: Sequence[str], of_label: Mapping[str, Measure], *, unit: str, form: str, whole: float | None = None
) -> Axes:
    """A bar for each engine and label, with its figure at its end; ``whole`` is what each is a part of."""
    first = next(iter(of_label.values()))
    names = _sorted(engines, of_label, first)
    row = _NAME + _BAR * len(of_label) + 4
    axes = canvas(row * len(names) + 10, bottom=5, top=5)
    largest = whole or max(value.median for one in of_label.values() for value in one.values.values())
    axes.set(xlim=(0, largest * (1.12 if whole else 1.7)), ylim=(row * len(names), 0))
    look = looks(engines)
    for number, name in enumerate(names):
        _name(axes, name, number * row)
        for bar, (label, one) in enumerate(of_label.items()):
            height = number * row + _NAME + _BAR * (bar + 0.5)
            value = one.values.get(name)
            text = "not measured" if value is None else f"{form.format(value.median)} {unit}"
            length = value.median if value else 0.0
            if whole:
                axes.barh(height, whole, _BAR - 3, color="none", edgecolor=FAINT, linewidth=0.8)
            fill = "none" if bar else look[name].color
            axes.barh(height, length, _BAR - 3, color=fill, edgecolor=look[name].color, linewidth=1)
            axes.annotate(
                f"{text} {label}".strip(), (whole or length, height), (4, 0), textcoords="offset points",
                fontsize=FONT - 0.5, color=INK, va="center",
            )  # fmt: skip
    _bare(axes)
    return axes


def dots(engines: Sequence[str], of_label: Mapping[str, Measure], *, unit: str) -> Axes:
    """A mark for each engine and label on one logarithmic axis."""
    names = _sorted(engines, of_label, next(iter(of_label.values())))
    row = _NAME + _BAR
    axes = canvas(row * len(names) + 84, top=46)
    axes.set(xscale="log", ylim=(row * len(names), 0), xlabel=unit)
    look, marks = looks(engines), dict(zip(of_label, itertools.cycle(_MARKS), strict=False))
    for number, name in enumerate(names):
        _name(axes, name, number * row)
        height = number * row + _NAME + _BAR / 2 - 1
        found = {
            mark: of_label[label].values[name].median for label, mark in marks.items() if name in of_label[label].values
        }
        axes.plot([min(found.values()), max(found.values())], [height, height], color=FAINT, linewidth=1)
        for mark, value in found.items():
            axes.plot(value, height, mark, color=look[name].color, markersize=6)
    axes.set_yticks([])
    logarithmic(axes.xaxis)
    axes.xaxis.label.set(fontsize=FONT, color=INK)
    axes.grid(visible=False, axis="y")
    axes.legend(
        handles=[Line2D([], [], color=INK, marker=mark, linestyle="", label=label) for label, mark in marks.items()],
        loc="lower left", bbox_to_anchor=(-0.03, 1.0), ncols=2, frameon=False, fontsize=FONT, labelcolor=INK, handletextpad=0.1,
    )  # fmt: skip
    return axes


def _sorted(engines: Sequence[str], of_label: Mapping[str, Measure], by: Measure) -> list[str]:
    """Engines with a figure, the best by ``by`` first, those without that one last."""
    there = [name for name in engines if any(name in one.values for one in of_label.values())]
    sign = -1 if by.more_is_better else 1
    return sorted(there, key=lambda name: sign * by.values[name].median if name in by.values else float("inf"))


def _name(axes: Axes, name: str, top: float) -> None:
    axes.annotate(
        name, (0, top + _NAME / 2 + 1), xycoords=("axes fraction", "data"), fontsize=FONT, color=INK, va="center",
        weight="bold" if is_ours(name) else "normal",
    )  # fmt: skip


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines["bottom"].set_visible(False)
