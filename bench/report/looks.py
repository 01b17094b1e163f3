"""How engines look in plots: a color for a family, a dash and a marker for a member of it.

The colors are those of Okabe and Ito, told apart by color-blind readers too; dash, marker and a label beside each line say the
same again. Colors stand in the SVG as CSS variables, so that :mod:`style.css` can turn them for dark mode and paper.
"""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["FAINT", "INK", "VARIABLES", "Look", "looks"]

INK, FAINT = "#1b1f24", "#c9ced6"
_FAMILIES = {
    "embedrt": "#0072b2",
    "sentence-transformers": "#d55e00",
    "fastembed": "#009e73",
    "light-embed": "#b0508a",
    "static": "#8a6d00",
}
_OTHERS = "#6b6b6b"
VARIABLES = {INK: "--ink", FAINT: "--faint", _OTHERS: "--others"} | {
    color: f"--{family}" for family, color in _FAMILIES.items()
}
"""Which CSS variable takes the place of which color."""
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (7, 2, 1.5, 2))
_MARKERS = "os^D"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """An engine in a plot."""

    color: str
    marker: str
    dashes: tuple[float, ...]
    """Points drawn and left out in turn; empty for a whole line."""


def looks(names: Iterable[str]) -> dict[str, Look]:
    """The look of each engine; the order of ``names`` decides about markers within a family."""
    seen: dict[str, int] = {}
    found = {}
    for name in names:
        color = next((color for family, color in _FAMILIES.items() if name.startswith(family)), _OTHERS)
        member = seen[color] = seen.get(color, -1) + 1
        found[name] = Look(color=color, marker=_MARKERS[member % 4], dashes=_DASHES[member % 4])
    return found
