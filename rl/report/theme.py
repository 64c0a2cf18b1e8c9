"""Plots that follow the page's theme: matplotlib draws in placeholder colours, which become CSS variables in the SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#010203", "#040506", "#070809", "#0a0b0c"
SERIES = ("#a10001", "#a20002", "#a30003", "#a40004", "#a50005", "#a60006", "#a70007", "#a80008")
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--card"} | {color: f"--s{i}" for i, color in enumerate(SERIES, 1)}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "axes.prop_cycle": cycler(color=SERIES),
}
WIDTH, HEIGHT = 4.6, 2.9  # inches; at 390 pixels of screen the text is still 9 pixels high


def new_figure(height: float = HEIGHT, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A figure outside pyplot's state. Call inside `matplotlib.rc_context(STYLE)`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """Inline SVG: scales with its box, takes its colours from the page, the same bytes for the same data.

    name: unique on the page (ids derive from it). alt: what a screen reader says.
    """
    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"', svg)
    svg = re.sub(r"url\(#([^)]*)\)", lambda m: f"url(#{name}-{m[1]})", svg)
    svg = re.sub(r'xlink:href="#([^"]*)"', lambda m: f'href="#{name}-{m[1]}"', svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 var(--sans)", svg)  # as older versions write it
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    label = alt.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def legend_above(axes: Axes, columns: int = 3) -> None:
    """A legend in one line over the axes, at the left."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, handlelength=1.2, columnspacing=1.2, borderpad=0.2)


def whole_ticks(axes: Axes, values: Sequence[int]) -> None:
    """Ticks at whole rounds only."""
    axes.set_xticks(list(values))
    axes.set_xlim(min(values) - 0.25, max(values) + 0.25)
