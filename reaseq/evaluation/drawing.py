"""How plots are drawn: inline SVG with the same bytes for the same data, in the page's colours, safe to put in a page.

Ink is drawn in two stand-in colours that become CSS colours afterwards, so that a plot follows the page into dark mode.
Text from the data enters a plot through `Texts` alone: the drawing is made with stand-ins of the same width, so that no
markup, formula or foreign glyph meets the renderer, and the escaped text takes their place at the very end.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reaseq.evaluation.pages import displayed

ID, FULL, GAIN, LOSS, QUIET = "#8792a2", "#2f6fde", "#15966f", "#cf4a5c", "#c3a04a"
COLOURS = {"id": ID, "full": FULL}
NAMES = {"id": "ID-only", "full": "full model"}

INK, LINE = "#010203", "#030201"
"""Replaced by CSS colours."""
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "path.simplify": True,
    "timezone": "UTC",
}


class Texts:
    """Text from the data on its way into one plot."""

    def __init__(self) -> None:
        self._held: list[str] = []

    def stand_in(self, text: str, length: int) -> str:
        """What to draw in place of the text, of which `length` characters are shown."""
        shown = displayed(text, length)
        self._held.append(shown)
        width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown)
        return f"@{len(self._held) - 1:04d}".ljust(width, "n")

    def put_back(self, drawing: str) -> str:
        """The drawing with the texts, escaped, in their places."""
        return re.sub(r"@(\d{4})n*", lambda match: escape(self._held[int(match[1])]), drawing)


def svg(
    name: str,
    draw: Callable[[Sequence[Axes]], None],
    *,
    size: tuple[float, float],
    columns: int = 1,
    widths: Sequence[float] | None = None,
    texts: Texts | None = None,
) -> str:
    """A plot.

    Args:
        name: unique on its page; ids within the drawing begin with it.
        draw: draws on the axes, one per column.
        size: inches.
        columns: axes side by side.
        widths: of the columns, relative to each other.
        texts: where `draw` got stand-ins for text from the data, the same object.
    """
    name = re.sub(r"\W+", "-", name)
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(1, columns, width_ratios=widths)
        draw([figure.add_subplot(grid[0, n]) for n in range(columns)])
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = _inline(buffer.getvalue().decode(), name)
    return texts.put_back(drawing) if texts else drawing


def _inline(drawing: str, name: str) -> str:
    """The drawing without prolog, metadata and namespaces (HTML knows them), with ids of its own and CSS colours."""
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", drawing)
    drawing = re.sub(r"<style.*?</style>", "", drawing, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', drawing))
    drawing = re.sub(r'\sid="([^"]*)"', lambda match: match[0] if match[1] in used else "", drawing)
    drawing = re.sub(r'(\sid="|href="#|url\(#)', rf"\1{name}-", drawing)
    drawing = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'role="img"', drawing, count=1)
    drawing = re.sub(r"font-family: [^;\"]*; ?", "", drawing)
    return drawing.replace(INK, "currentColor").replace(LINE, "var(--line)")
