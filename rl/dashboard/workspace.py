"""The panels of `ucoder dashboard`: a curated Weights & Biases workspace, made from code.

The panels are data (`SECTIONS`), so that a test can hold every metric they name against what a run really logs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rewards.clusters.hidden import TOLERANCE
from rl.report.publish import CLUSTERS_TABLE, ROLLOUTS_TABLE
from rl.round_files import BOUND_ERROR


@dataclass(frozen=True)
class Panel:
    """One line plot."""

    title: str
    metrics: tuple[str, ...] = ()  # names as `rl.tracking.monitor` sends them
    axis: str = "step"  # "step" (optimizer steps over all rounds) or "round"
    pattern: str | None = None  # instead of names, where they depend on the run: every metric that matches, as a whole


@dataclass(frozen=True)
class SectionOfPanels:
    name: str
    panels: tuple[Panel, ...] = ()
    tables: tuple[str, ...] = ()  # names of logged tables
    open: bool = False


# The twelve panels that tell whether a run is healthy come first.
SECTIONS = (
    SectionOfPanels(
        "Loop",
        (
            Panel("Greedy pass@1 by benchmark", axis="round", pattern=r"eval/[^/]+/greedy_pass@1"),
            Panel("Parts of the reward (their mix is centred in each group)", ("grpo/consensus", "grpo/quality")),
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
            Panel("Seconds by stage", axis="round", pattern=r"seconds/.+"),
            Panel("Missing rollouts (our failures, not wrong answers)", ("grpo/missing", "outcomes/infrastructure")),
        ),
        open=True,
    ),
    SectionOfPanels("Programs", tables=(CLUSTERS_TABLE, ROLLOUTS_TABLE)),
    SectionOfPanels(
        "Sampling",
        (
            Panel("Problems proposed and kept", ("funnel/proposed", "funnel/kept"), "round"),
            Panel("Why problems were dropped", axis="round", pattern=r"funnel/dropped/.+"),
            Panel("Solutions: tokens a second", ("sampling/tokens_per_second",), "round"),
            Panel("Solutions: tokens each", ("sampling/mean_tokens",), "round"),
            Panel("Solutions: mean logprob of a token (nats)", ("sampling/mean_logprob",), "round"),
            Panel("Solutions: shares without a program, and cut off", ("sampling/no_program", "sampling/cut_off"), "round"),
        ),
    ),
    SectionOfPanels(
        "Consensus and probe",
        (
            Panel("Label accuracy of the bank", ("consensus/label_accuracy",), "round"),
            Panel("Share and margin of the bank's winners", ("consensus/top_share", "consensus/margin"), "round"),
            Panel("Agreement on problems kept apart (chooses the checkpoint)", ("held_out/agreement",), "round"),
            Panel("Distinct behaviours of the bank", ("consensus/distinct_behaviours",), "round"),
            Panel("Test inputs: rank of agreement with the winner (1: all say the same)", ("consensus/input_rank",), "round"),
            Panel(
                "Test inputs: shares that nearly all err on, and that repeat a split",
                ("consensus/dead_share", "consensus/duplicate_share"),
                "round",
            ),
            Panel(
                "Theorem 2.4, optimistic: p of wrong behaviours, share of problems it bounds",
                ("consensus/median_wrong_agreement", "consensus/optimistic_bound_says_something"),
                "round",
            ),
            Panel(
                f"Share of inputs on which programs of one cluster may differ ({100 * (1 - BOUND_ERROR):g} % confidence)",
                ("consensus/median_hidden_difference",),
                "round",
            ),
            Panel(
                f"Inputs kept, and pool needed for a hidden difference of {100 * TOLERANCE:g} %",
                ("consensus/inputs_kept", "consensus/median_pool_needed"),
                "round",
            ),
            Panel("Probe pooled, and mean logprob within", ("probe/probe_auroc_pooled", "probe/logprob_auroc_within"), "round"),
            Panel(
                "Against references, within problems (audited, never trained on)",
                ("probe/audit/probe_within", "probe/audit/consensus_within", "probe/audit/mean_logprob_within"),
                "round",
            ),
            Panel("Does the frozen probe still agree with consensus?", ("grpo/probe_concordance", "grpo/quality_gate")),
        ),
    ),
    SectionOfPanels(
        "Sandbox",
        (
            Panel("Stage 5: outcomes by kind", axis="round", pattern=r"sandbox/.+"),
            Panel("Training: values, exceptions, modules not offered", ("outcomes/value", "outcomes/exception", "outcomes/not_offered")),
            Panel("Training: timeouts, memory, killed", ("outcomes/timeout", "outcomes/memory", "outcomes/killed")),
            Panel("Rollouts without a program", ("grpo/no_program",)),
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
    ),
    SectionOfPanels(
        "Eval",
        (
            Panel(
                "Greedy pass@1 with its 95 % interval",
                ("eval/greedy_pass@1", "eval/greedy_pass@1_ci/low", "eval/greedy_pass@1_ci/high"),
                "round",
            ),
            Panel(
                "Gain of greedy pass@1 over the base",
                ("eval/greedy_gain", "eval/greedy_gain_ci/low", "eval/greedy_gain_ci/high"),
                "round",
            ),
            Panel("Gain at the best temperature of each", ("eval/best_gain", "eval/best_gain_ci/low", "eval/best_gain_ci/high"), "round"),
            Panel("pass@1 with its 95 % interval", ("eval/pass@1", "eval/pass@1_ci/low", "eval/pass@1_ci/high"), "round"),
            Panel("Gain over the base with its 95 % interval", ("eval/gain", "eval/gain_ci/low", "eval/gain_ci/high"), "round"),
            Panel("pass@k and majority@k by benchmark", axis="round", pattern=r"eval/[^/]+/(pass|majority)@\d+"),
            Panel("Share of problems whose majority is wrong", ("eval/majority_wrong",), "round"),
            Panel("Behavioural entropy (nats)", ("eval/entropy",), "round"),
            Panel("Length (tokens) of an answer", ("eval/mean_length",), "round"),
        ),
    ),
)


def metric_names() -> tuple[str, ...]:
    """Every metric that a panel names."""
    return tuple(dict.fromkeys(name for section in SECTIONS for panel in section.panels for name in panel.metrics))


def shown(panel: Panel, logged: Iterable[str]) -> list[str]:
    """Of the logged metrics, those that the panel shows, in its own order."""
    if panel.pattern is None:
        there = set(logged)
        return [name for name in panel.metrics if name in there]
    return sorted(name for name in logged if re.fullmatch(panel.pattern, name))


def build(entity: str, project: str, name: str) -> Any:
    """The `wandb_workspaces.workspaces.Workspace`, not yet saved."""
    import wandb_workspaces.reports.v2 as reports
    import wandb_workspaces.workspaces as workspaces

    def plot(panel: Panel, place: int) -> reports.LinePlot:
        layout = reports.Layout(x=8 * (place % 3), y=6 * (place // 3), w=8, h=6)
        pattern = None if panel.pattern is None else f"^{panel.pattern}$"
        return reports.LinePlot(title=panel.title, x=panel.axis, y=list(panel.metrics), metric_regex=pattern, layout=layout)

    def table(name: str, place: int) -> reports.WeavePanelSummaryTable:
        return reports.WeavePanelSummaryTable(table_name=name, layout=reports.Layout(x=0, y=12 * place, w=24, h=12))

    sections = [
        workspaces.Section(
            name=s.name,
            panels=[*(plot(p, i) for i, p in enumerate(s.panels)), *(table(t, i) for i, t in enumerate(s.tables))],
            is_open=s.open,
            pinned=i == 0,
        )
        for i, s in enumerate(SECTIONS)
    ]
    return workspaces.Workspace(entity=entity, project=project, name=name, sections=sections)
