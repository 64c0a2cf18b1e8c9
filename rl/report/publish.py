"""What a round leaves at the trackers beside its figures: tables for a person to read, and artifacts under aliases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.report.browser import ClusterView, ProblemView, problems_of
from rl.round_files import ROLLOUTS, read_rows
from rl.run_data import RoundFiles

if TYPE_CHECKING:
    from rl.run import Run

CLUSTERS_TABLE, ROLLOUTS_TABLE = "programs/clusters", "programs/rollouts"
LAST_STEPS = 5  # steps whose best and worst rollouts are shown
CLUSTER_COLUMNS = (
    "problem",
    "statement",
    "trained on",
    "label right",
    "share",
    "members",
    "winner",
    "program",
    "outcomes",
    "consensus",
    "probe",
)
ROLLOUT_COLUMNS = ("step", "problem", "reward", "consensus", "normed", "probe", "probe normed", "tokens", "outcomes", "completion")


def publish_round(run: Run, row: Mapping[str, Any]) -> None:
    """The tables of a finished round, its checkpoint and its probe. row: the round's row of summary.json."""
    index = row["round"]
    files = RoundFiles(index, run.round_folder(index))
    problems = problems_of(files, run.config.tracking.tables)
    if problems:
        run.monitor.table(CLUSTERS_TABLE, CLUSTER_COLUMNS, [_cluster_row(p, c) for p in problems for c in p.clusters], index)
    rollouts = files.folder / "grpo" / ROLLOUTS
    if run.config.tracking.tables and rollouts.is_file():
        run.monitor.table(ROLLOUTS_TABLE, ROLLOUT_COLUMNS, rollout_rows(read_rows(rollouts)), index)
    aliases = ("latest", f"round-{index}")
    run.monitor.artifact(run.folder / row["training"]["checkpoint"], "checkpoint", "model", aliases)
    if (probe := files.folder / "probe.json").is_file():
        run.monitor.artifact(probe, "probe", "probe", aliases)


def publish_result(run: Run, checkpoint: Path, report: Path) -> None:
    """What a run ends with."""
    run.monitor.artifact(checkpoint, "checkpoint", "model", ("best",))
    run.monitor.artifact(report, "report", "report", ("latest",))


def _cluster_row(problem: ProblemView, cluster: ClusterView) -> list[Any]:
    outcomes = "\n".join(f"{text} → {outcome}" for text, (_, outcome) in zip(problem.inputs, cluster.outcomes, strict=False))
    row = [problem.title, problem.statement, problem.kept, problem.label_correct, cluster.share, cluster.members, cluster.winner]
    return [*row, cluster.code, outcomes, cluster.consensus, cluster.probe]


def rollout_rows(rows: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """The best and worst rollouts of the last steps."""
    steps = sorted({row["step"] for row in rows})[-LAST_STEPS:]
    keys = ("step", "problem_id", "reward", "consensus", "consensus_normed", "probe", "probe_normed", "tokens")
    return [
        [*(row[key] for key in keys), ", ".join(f"{count} {kind}" for kind, count in row["outcomes"].items()), row["completion"]]
        for row in rows
        if row["step"] in steps
    ]
