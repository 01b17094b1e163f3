"""Throughput against quality: a point for each engine, its name beside it."""

import math
from collections.abc import Mapping, Sequence

from embedrt_bench.report.labels import Box, place
from embedrt_bench.report.looks import INK, looks
from embedrt_bench.report.names import is_ours, short
from embedrt_bench.report.svg import FONT, canvas, logarithmic
from matplotlib.axes import Axes

__all__ = ["throughput_against_quality"]

_EXACT = 1e-6
"""A cosine this near to 1 is float32's own noise."""
_LETTER = 0.56
"""Width of a letter over its height, on average."""


def throughput_against_quality(engines: Sequence[str], speed: Mapping[str, float], cosine: Mapping[str, float]) -> Axes:
    """Cosine to the reference, its distance from 1 logarithmic, against texts a second, logarithmic."""
    axes = canvas(330, left=50, right=10, bottom=38, top=22)
    nines = {name: -math.log10(max(1 - value, _EXACT)) for name, value in cosine.items()}
    for name, look in looks(engines).items():
        if name in speed:
            axes.plot(speed[name], nines[name], look.marker, color=look.color, markersize=7 if is_ours(name) else 5)
    low = max(0, math.floor(min(nines.values())))
    ticks = range(low, 7)
    axes.set_yticks(ticks, ["exact" if tick == 6 else f"{1 - 10.0**-tick:.{tick}f}" for tick in ticks])
    axes.set(xscale="log", xlabel="texts a second", ylim=(low - 0.5, 7.4))
    axes.set_xlim(min(speed.values()) / 1.6, max(speed.values()) * 1.6)
    logarithmic(axes.xaxis)
    axes.set_title("mean cosine to the reference", loc="left", fontsize=FONT, color=INK, x=-0.17)
    axes.xaxis.label.set(fontsize=FONT, color=INK)
    _label(axes, {name: (speed[name], nines[name]) for name in speed})
    return axes


def _label(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    where = {name: tuple(map(float, axes.transData.transform(point))) for name, point in points.items()}
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in where.values()]
    inside: Box = (axes.bbox.x0, axes.bbox.y0, axes.bbox.x1 + 8, axes.bbox.y1 + 6)
    for name, (x, y) in sorted(where.items(), key=lambda item: (not is_ours(item[0]), -item[1][0])):
        text = short(name)
        box = place((x, y), (len(text) * FONT * _LETTER, FONT * 1.2), taken, inside)
        taken.append(box)
        middle = (box[1] + box[3]) / 2
        side = "left" if box[0] > x else "right" if box[2] < x else "center"
        left = {"left": box[0], "right": box[2], "center": (box[0] + box[2]) / 2}[side]
        tie = {"arrowstyle": "-", "color": looks([name])[name].color, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4}
        axes.annotate(
            text, (x, y), (left, middle), xycoords="figure points", fontsize=FONT, color=INK, ha=side, va="center",
            weight="bold" if is_ours(name) else "normal", arrowprops=tie if abs(middle - y) > FONT else None,
        )  # fmt: skip
