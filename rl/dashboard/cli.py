"""`ucoder dashboard`: makes the workspace at Weights & Biases, lists its panels, or draws them for a run here."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from rewards.user_error import Options
from rl.console import UserError, make_console
from rl.dashboard.workspace import SECTIONS, build


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for what the user has to put right."""
    parser = Options(prog="ucoder dashboard", description="Make the curated Weights & Biases workspace of a project.")
    parser.add_argument("--project", default="ucoder", help="project at Weights & Biases")
    parser.add_argument("--entity", help="team or user; left out: the login's default")
    parser.add_argument("--name", default="ucoder", help="name of the workspace")
    parser.add_argument("--list", action="store_true", help="print the panels and their metrics, and make nothing")
    parser.add_argument("--preview", type=Path, metavar="FILE", help="draw the panels of --run here, into .html or .png")
    parser.add_argument("--run", type=Path, metavar="RUN", help="folder of the run for --preview")
    args = parser.parse_args(argv)
    console = make_console()
    if args.list:
        for section in SECTIONS:
            console.print(f"[bold]{section.name}[/]")
            for panel in section.panels:
                names = panel.pattern or ", ".join(panel.metrics)
                console.print(f"  {panel.title} (by {panel.axis}): {names}", markup=False, highlight=False, soft_wrap=True)
            for table in section.tables:
                console.print(f"  table {table}", markup=False, highlight=False)
        return 0
    if args.preview is not None:
        if args.run is None:
            raise UserError("--preview needs a run to draw", "ucoder dashboard", "name its folder with --run")
        from rl.dashboard.preview import write_preview

        console.print(str(write_preview(args.run, args.preview)), markup=False, highlight=False, soft_wrap=True)
        return 0
    for module in ("wandb", "wandb_workspaces"):
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{module} is not installed", "ucoder dashboard", "pip install 'ucoder[dashboard]'")
    from rl.tracking.wandb_tracker import default_entity, logged_in_to_wandb, server_faults

    if not logged_in_to_wandb():
        remedy = "wandb login; or look at a run's own figures with --preview FILE --run RUN"
        raise UserError("no login to Weights & Biases", "ucoder dashboard", remedy)
    try:
        workspace = build(args.entity or default_entity(), args.project, args.name)
        workspace.save()
    except server_faults() as error:
        remedy = "wandb login, or try again later; or look at a run's own figures with --preview FILE --run RUN"
        raise UserError(f"Weights & Biases did not make it: {error}", "ucoder dashboard", remedy) from None
    console.print(f"dashboard: {workspace.url}", soft_wrap=True, highlight=False)
    return 0
