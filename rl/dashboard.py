"""`ucoder dashboard`: a curated Weights & Biases workspace, made from code.

The panels are data (`SECTIONS`), so that a test can hold every metric they name against what a run really logs.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rl.console import UserError, make_console


@dataclass(frozen=True)
class Panel:
    """One line plot."""

    title: str
    metrics: tuple[str, ...]  # names as `rl.monitor` sends them
    axis: str = "step"  # "step" (optimizer steps over all rounds) or "round"


@dataclass(frozen=True)
class SectionOfPanels:
    name: str
    panels: tuple[Panel, ...]
    open: bool = True


# The twelve panels that tell whether a run is healthy come first.
SECTIONS = (
    SectionOfPanels(
        "Loop",
        (
            Panel("Did it improve? pass@1 by benchmark", ("eval/pass@1", "eval/pass@1_ci/low", "eval/pass@1_ci/high"), "round"),
            Panel("Reward and its parts", ("grpo/reward", "grpo/consensus", "grpo/quality")),
            Panel(
                "Label and reward accuracy (audited, never trained on)", ("audit/label_accuracy", "audit/reward_accuracy", "audit/accuracy")
            ),
            Panel("Share of the majority", ("grpo/majority_share",)),
            Panel("Token entropy (nats)", ("grpo/entropy",)),
            Panel("Distinct behaviours a group", ("grpo/distinct_behaviours",)),
            Panel("Length (tokens a rollout)", ("grpo/tokens",)),
            Panel("KL from the round's start (nats a token)", ("grpo/kl",)),
            Panel(
                "Probe AUROC within problems: raw, length-controlled, length alone",
                ("probe/probe_auroc_within_raw", "probe/probe_auroc_within_controlled", "probe/length_auroc_within"),
                "round",
            ),
            Panel("Guards fired", ("guards/fired",)),
            Panel("Seconds by stage", ("seconds/solutions", "seconds/training", "seconds/eval"), "round"),
            Panel("Missing rollouts (our failures, not wrong answers)", ("grpo/missing", "outcomes/infrastructure")),
        ),
    ),
    SectionOfPanels(
        "Consensus and probe",
        (
            Panel("Label accuracy of the bank", ("consensus/label_accuracy",), "round"),
            Panel("pass@16 and majority@16", ("eval/pass@16", "eval/majority@16"), "round"),
            Panel("Probe pooled, and mean logprob within", ("probe/probe_auroc_pooled", "probe/logprob_auroc_within"), "round"),
            Panel("Does the frozen probe still agree with consensus?", ("grpo/probe_concordance", "grpo/quality_gate")),
            Panel("Problems proposed and kept", ("funnel/proposed", "funnel/kept"), "round"),
        ),
    ),
    SectionOfPanels(
        "GRPO",
        (
            Panel("Loss", ("grpo/loss",)),
            Panel("Gradient norm", ("grpo/grad_norm",)),
            Panel("Learning rate", ("grpo/learning_rate",)),
            Panel("Groups with nothing to compare", ("grpo/flat_groups",)),
            Panel("Behavioural entropy (nats)", ("grpo/behavioural_entropy",)),
            Panel("Seconds a step", ("grpo/seconds",)),
        ),
        open=False,
    ),
    SectionOfPanels(
        "Sandbox",
        (
            Panel("Outcomes: values and exceptions", ("outcomes/value", "outcomes/exception")),
            Panel("Outcomes: timeouts, memory, killed", ("outcomes/timeout", "outcomes/memory", "outcomes/killed")),
            Panel("Rollouts without a program", ("grpo/no_program",)),
        ),
        open=False,
    ),
)


def metric_names() -> tuple[str, ...]:
    """Every metric that a panel names."""
    return tuple(dict.fromkeys(name for section in SECTIONS for panel in section.panels for name in panel.metrics))


def build(entity: str, project: str, name: str) -> Any:
    """The `wandb_workspaces.workspaces.Workspace`, not yet saved."""
    import wandb_workspaces.reports.v2 as reports
    import wandb_workspaces.workspaces as workspaces

    def plot(panel: Panel, place: int) -> reports.LinePlot:
        layout = reports.Layout(x=8 * (place % 3), y=6 * (place // 3), w=8, h=6)
        return reports.LinePlot(title=panel.title, x=panel.axis, y=list(panel.metrics), layout=layout)

    sections = [
        workspaces.Section(name=s.name, panels=[plot(p, i) for i, p in enumerate(s.panels)], is_open=s.open, pinned=i == 0)
        for i, s in enumerate(SECTIONS)
    ]
    return workspaces.Workspace(entity=entity, project=project, name=name, sections=sections)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="ucoder dashboard", description="Make the curated Weights & Biases workspace of a project.")
    parser.add_argument("--project", default="ucoder", help="project at Weights & Biases")
    parser.add_argument("--entity", help="team or user; left out: the login's default")
    parser.add_argument("--name", default="ucoder", help="name of the workspace")
    parser.add_argument("--list", action="store_true", help="print the panels and their metrics, and make nothing")
    args = parser.parse_args(argv)
    console = make_console()
    if args.list:
        for section in SECTIONS:
            console.print(f"[bold]{section.name}[/]")
            for panel in section.panels:
                console.print(
                    f"  {panel.title} (by {panel.axis}): {', '.join(panel.metrics)}", markup=False, highlight=False, soft_wrap=True
                )
        return 0
    for module in ("wandb", "wandb_workspaces"):
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{module} is not installed", "ucoder dashboard", "pip install 'ucoder[dashboard]'")
    from rl.trackers import default_entity, logged_in_to_wandb

    if not logged_in_to_wandb():
        raise UserError("no login to Weights & Biases", "ucoder dashboard", "wandb login, or look at the panels with --list")
    workspace = build(args.entity or default_entity(), args.project, args.name)
    workspace.save()
    console.print(f"dashboard: {workspace.url}", soft_wrap=True, highlight=False)
    return 0
