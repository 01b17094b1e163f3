"""A matplotlib figure as an SVG element that stands inside an HTML page.

The same figure gives the same bytes; ids are made unique by the plot's name, colors become CSS variables, texts stay texts.
"""

import html
import io
import re

import matplotlib as mpl
from embedrt_bench.report.looks import FAINT, INK, VARIABLES
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

__all__ = ["FONT", "WIDTH", "canvas", "inline_svg", "logarithmic"]

WIDTH = 331.0
"""Of every plot in points: what a phone shows without scaling its letters down."""
FONT = 10.0
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def canvas(height: float, *, left: float = 12, right: float = 12, bottom: float = 38, top: float = 10) -> Axes:
    """Axes in a figure that is ``height`` points high, with margins in points."""
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    axes = figure.add_axes(
        (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - bottom - top) / height)
    )
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelsize=FONT, labelcolor=INK, color=FAINT, which="both")
    axes.grid(visible=True, color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    return axes


def logarithmic(axis: Axis) -> None:
    """Plain numbers along a logarithmic axis; where it spans less than two decades, at 2 and 5 as well."""
    low, high = axis.get_view_interval()
    digits = "25" if high < 100 * low else ""
    axis.set_major_formatter("{x:,g}")
    axis.set_minor_formatter(lambda x, _: f"{x:,g}" if f"{x:e}"[0] in digits else "")


def inline_svg(axes: Axes, *, name: str, title: str, description: str) -> str:
    """The figure of ``axes`` as ``<svg role="img">`` with ``title`` and ``description`` for those who cannot see it."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes were removed from their figure")
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata=_NO_METADATA)
    text = file.getvalue()
    text = text[text.index("<svg") :].strip()
    for color, variable in VARIABLES.items():
        text = text.replace(color, f"var({variable}, {color})")
    text = re.sub(r"font-family: [^;]*; ", "", text)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
    view = re.search(r'viewBox="[^"]+"', text)
    labels = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view[0] if view else ""} '
        f'role="img" aria-labelledby="{name}-title" aria-describedby="{name}-description">\n'
        f'<title id="{name}-title">{html.escape(title)}</title>\n'
        f'<desc id="{name}-description">{html.escape(description)}</desc>'
    )
    return re.sub(r"<svg[^>]*>", lambda _: labels, text, count=1)
