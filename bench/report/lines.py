"""Latency by length: a line for each engine, labelled at its right end."""

from collections.abc import Mapping, Sequence

from embedrt_bench.report.labels import spread
from embedrt_bench.report.looks import INK, looks
from embedrt_bench.report.measures import Measure
from embedrt_bench.report.names import is_ours, short
from embedrt_bench.report.svg import FONT, canvas, logarithmic
from matplotlib.axes import Axes

__all__ = ["latency_by_length"]

_LABELS, _HEIGHT, _LEADER = 148.0, 330.0, 12.0


def latency_by_length(engines: Sequence[str], of_length: Mapping[int, Measure]) -> Axes:
    """Milliseconds against tokens, both logarithmic."""
    axes = canvas(_HEIGHT, left=34, right=_LABELS)
    lengths = sorted(of_length)
    ends: dict[str, tuple[float, float]] = {}
    for name, look in looks(engines).items():
        points = [
            (length, of_length[length].values[name].median) for length in lengths if name in of_length[length].values
        ]
        if points:
            width = 2 if is_ours(name) else 1.2
            line = axes.plot(*zip(*points, strict=True), color=look.color, marker=look.marker, markersize=3.5)[0]
            line.set(linewidth=width, dashes=look.dashes or (None, None))
            ends[name] = points[-1]
    axes.set(xscale="log", yscale="log", xlabel="tokens")
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.xaxis.minorticks_off()
    logarithmic(axes.yaxis)
    axes.set_title("ms", loc="left", fontsize=FONT, color=INK, pad=2, x=-0.16)
    axes.xaxis.label.set(fontsize=FONT, color=INK)
    _label(axes, ends)
    return axes


def _label(axes: Axes, ends: Mapping[str, tuple[float, float]]) -> None:
    """A name beside each line's end, tied to it where it had to move."""
    points = {name: axes.transData.transform(end) for name, end in ends.items()}
    heights = spread([float(y) for _, y in points.values()], gap=FONT * 1.2, low=6, high=_HEIGHT - 6)
    right = axes.bbox.x1
    for (name, (x, y)), height in zip(points.items(), heights, strict=True):
        color = looks(ends)[name].color
        axes.annotate(
            short(name), (float(x), float(y)), (right + _LEADER, height), xycoords="figure points", fontsize=FONT, color=INK,
            va="center", weight="bold" if is_ours(name) else "normal",
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 2, "relpos": (0, 0.5)},
        )  # fmt: skip
