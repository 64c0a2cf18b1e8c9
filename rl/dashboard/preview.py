"""The panels of the Weights & Biases dashboard, drawn here from a run's own metrics.jsonl: for a look without an account.

It shows what `rl.dashboard.workspace.SECTIONS` names, under the same names and on the same axes; it is not W&B's page.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from rewards.user_files import check_writable
from rl.config.run_folder import write_atomically
from rl.console import UserError
from rl.dashboard.workspace import SECTIONS, Panel, shown
from rl.report.screenshot import screenshot
from rl.report.theme import SERIES, STYLE, legend_above, new_figure, to_svg, whole_ticks
from rl.run_data import read_logged
from rl.tracking.monitor import read_points

HERE = Path(__file__).parent
STYLESHEET = HERE.parent / "report" / "report.css"  # the look of both pages
PICTURE_HEIGHT = 1380  # pixels: the first section
Curves = Mapping[str, Sequence[tuple[int, float]]]  # metric -> (place on its axis, value), in order


def write_preview(run_dir: Path, out: Path) -> Path:
    """Draw the dashboard of a run into `out` (.html, or .png by headless Chromium). Raises UserError for a run without metrics."""
    if out.suffix not in (".html", ".png"):
        raise UserError("a preview is a page or a picture", str(out), "name a file that ends in .html or .png")
    if not run_dir.is_dir():
        raise UserError("there is no such run folder", str(run_dir), "give the run_dir of a run")
    check_writable(out, "--preview")
    page = render(run_dir)
    if out.suffix == ".html":
        write_atomically(out, page)
        return out
    with tempfile.TemporaryDirectory(prefix="ucoder-preview-") as folder:
        path = Path(folder) / "preview.html"
        path.write_text(page, encoding="utf-8")
        return screenshot(path, out, height=PICTURE_HEIGHT)


def render(run_dir: Path) -> str:
    """The page as a string. Raises UserError for a run without metrics."""
    by_axis = read_curves(run_dir / "metrics.jsonl")
    if not any(by_axis.values()):
        raise UserError("the run has logged no metrics", str(run_dir), "give the run_dir of a run that has begun")
    sections = []
    for number, section in enumerate(SECTIONS):
        drawn = [(p.title, p.axis, panel_svg(p, by_axis[p.axis], f"p{number}-{i}")) for i, p in enumerate(section.panels)]
        sections.append((section.name, [(title, axis, svg) for title, axis, svg in drawn if svg is not None], section.tables))
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("preview.html.jinja").render(
        css=Markup(STYLESHEET.read_text(encoding="utf-8")), run=run_dir.resolve().name, sections=sections
    )


def read_curves(path: Path) -> dict[str, Curves]:
    """The logged curves by axis ("step", "round"); of two values at one place, the later."""
    found: dict[str, dict[str, dict[int, float]]] = {"step": {}, "round": {}}
    for figures, round, step in read_points(read_logged(path)):
        for name, value in figures.items():
            axis, place = ("round", round) if step is None else ("step", step)
            found[axis].setdefault(name, {})[place] = value
    return {axis: {name: sorted(points.items()) for name, points in curves.items()} for axis, curves in found.items()}


def panel_svg(panel: Panel, curves: Curves, name: str) -> Markup | None:
    """One panel as inline SVG; None where the run logged nothing for it."""
    names = shown(panel, curves)
    if not names:
        return None
    with matplotlib.rc_context(STYLE):
        columns = 1 if len(names) <= 3 else 2
        figure, axes = new_figure(height=2.3 + 0.18 * -(-len(names) // columns))
        for place, metric in enumerate(names):
            points, color = curves[metric], SERIES[place % len(SERIES)]
            style = "-" if place < len(SERIES) else "--"  # no two curves alike
            marker = ("o" if place < len(SERIES) else "s") if panel.axis == "round" or len(points) == 1 else None
            axes.plot(*zip(*points, strict=True), color=color, linestyle=style, marker=marker, markersize=5, linewidth=1.6, label=metric)
        if panel.axis == "round":
            whole_ticks(axes, sorted({place for metric in names for place, _ in curves[metric]}))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not any(value for metric in names for _, value in curves[metric]):
            axes.set_ylim(-0.02, 1)  # a curve that is 0 throughout lies at the bottom
        axes.set_xlabel(panel.axis)
        legend_above(axes, columns)
        return Markup(to_svg(figure, name, panel.title))
