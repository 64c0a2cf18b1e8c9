"""The monitor: nothing is lost, missing stays missing, every tracker receives, a resumed run continues."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl.config.schema import Config, load_config
from rl.dashboard import workspace
from rl.run_data import RunData, read_logged
from rl.tracking.monitor import Monitor, read_metrics, read_points
from rl.tracking.tracker import Point, tracker_run_id
from rl.tracking.wandb_tracker import wandb_mode
from tests.rl.tracking import wandb_file

ROOT = Path(__file__).resolve().parents[3]


class Recorder:
    """A tracker that remembers. delivered: lines of metrics.jsonl that it holds from earlier starts."""

    def __init__(self, delivered: int = 0) -> None:
        self.delivered = delivered
        self.points: list[tuple[dict[str, float], int, int | None]] = []
        self.rows: list[int] = []
        self.tables: list[tuple[str, int]] = []
        self.closed = 0

    def log(self, point: Point) -> None:
        self.points.append((dict(point.values), point.round, point.step))
        self.rows.append(point.row)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], round: int) -> None:
        self.tables.append((name, round))

    def artifact(self, path: Path, name: str, kind: str, aliases: Sequence[str]) -> None:
        raise AssertionError("artifacts are off by default")

    def close(self) -> None:
        self.closed += 1


def config(*report_to: str) -> Config:
    return load_config(None, ["--tracking.report_to", f"[{', '.join(report_to)}]"])


def summary_row(round: int) -> dict[str, Any]:
    return {
        "round": round,
        "pass@1": 0.4 + 0.05 * round,
        "pass@1_ci": [0.35, 0.45],
        "pass@16": 0.8,
        "majority@16": 0.5,
        "label_accuracy": 0.7,
        "probe_auroc_within_raw": 0.6,
        "probe_auroc_within_controlled": 0.58,
        "probe_auroc_pooled": 0.7,
        "length_auroc_within": 0.5,
        "logprob_auroc_within": 0.6,
        "entropy": 1.2,
        "mean_length": 40.0,
        "seconds": {"solutions": 30.0, "training": 60.0, "eval": 5.0},
        "benchmarks": {"seedling": {"pass@1": 0.4}, "livecodebench": {"unavailable": "no data"}},
        "training": {"guard_actions": [{"guard": "kl"}]},
        "funnel": {"proposed": 100, "kept": 60, "dropped": {"malformed": 10, "near_duplicate": 30}},
    }


GRPO_FIGURES = {
    **dict.fromkeys(("loss", "grad_norm", "learning_rate", "entropy", "kl", "reward", "seconds", "consensus", "quality"), 0.1),
    **dict.fromkeys(("quality_gate", "probe_concordance", "flat_groups", "distinct_behaviours", "majority_share"), 0.2),
    **dict.fromkeys(("behavioural_entropy", "tokens", "missing", "no_program"), 0.3),
    **{f"outcomes/{kind}": 1.0 for kind in ("value", "exception", "timeout", "memory", "killed", "infrastructure")},
    **{f"audit/{name}": 0.5 for name in ("accuracy", "label_accuracy", "reward_accuracy")},
}
GUARD_ACTION = {"guard_action": "lower_lr", "step": 2, "guard": "kl", "value": 0.9, "limit": 0.5, "cause": "step 2: KL rose"}


def write_a_run(monitor: Monitor) -> None:
    """Two rounds of two steps, as the loop logs them."""
    monitor.round(summary_row(0), 0)
    for round in (1, 2):
        log = monitor.training_log(round)
        for step in (1, 2):
            log({"step": step, **GRPO_FIGURES})
        log(GUARD_ACTION)
        monitor.round(summary_row(round), round)
        monitor.table("programs/clusters", ["program", "outcome"], [["return 1", "int:1"]], round)


def test_every_figure_is_a_line_of_jsonl(tmp_path: Path) -> None:
    with Monitor(tmp_path, config(), clock=lambda: 7.0) as monitor:
        monitor.log("solutions", 1, {"tokens_per_second": 3.5, "outcomes": {"value": 4}})
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        {"round": 1, "stage": "solutions", "step": None, "time": 7.0, "tokens_per_second": 3.5, "outcomes/value": 4}
    ]


def test_names_at_trackers(tmp_path: Path) -> None:
    tracker = Recorder()
    with Monitor(tmp_path, config(), trackers=[tracker]) as monitor:
        monitor.log("probe", 1, {"within": {"raw": 0.6}, "layer": 3, "reason": "text stays in the file"})
        monitor.log("grpo", 1, {"loss": 0.1, "audit/accuracy": 0.5}, step=1)
        monitor.round(summary_row(1), 1)
    assert tracker.points[0][0] == {"probe/within/raw": 0.6, "probe/layer": 3.0}
    assert tracker.points[1][0] == {"grpo/loss": 0.1, "audit/accuracy": 0.5, "guards/fired": 0.0}
    assert {"eval/pass@1", "eval/seedling/pass@1", "eval/pass@1_ci/low", "seconds/eval", "funnel/dropped/malformed"} <= tracker.points[2][
        0
    ].keys()


def test_missing_is_null_in_the_file_and_absent_at_trackers(tmp_path: Path) -> None:
    tracker = Recorder()
    with Monitor(tmp_path, config(), trackers=[tracker]) as monitor:
        monitor.log("probe", 1, {"auroc": math.nan, "ceiling": math.inf, "gate": None, "weight": np.float32(0.5), "zero": 0.0})
    (row,) = read_metrics(tmp_path / "metrics.jsonl")
    assert (row["auroc"], row["ceiling"], row["gate"], row["weight"], row["zero"]) == (None, None, None, 0.5, 0.0)
    assert tracker.points == [({"probe/weight": 0.5, "probe/zero": 0.0}, 1, None)]


def test_steps_go_on_over_rounds(tmp_path: Path) -> None:
    tracker = Recorder()
    with Monitor(tmp_path, config(), trackers=[tracker]) as monitor:
        write_a_run(monitor)
    assert [step for values, _, step in tracker.points if "grpo/loss" in values] == [1, 2, 3, 4]
    assert [values["guards/fired"] for values, _, _ in tracker.points if "guards/fired" in values] == [0.0, 0.0, 1.0, 1.0, 1.0, 2.0]
    assert tracker.tables == [("programs/clusters", 1), ("programs/clusters", 2)]
    assert tracker.closed == 1


def test_a_resumed_run_continues_its_axes_and_its_id(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder(delivered=9)
    with Monitor(tmp_path, config(), trackers=[first]) as monitor:
        write_a_run(monitor)
    with Monitor(tmp_path, config(), trackers=[second]) as monitor:
        monitor.training_log(3)({"step": 1, "loss": 0.1})
        monitor.training_log(3)({**GUARD_ACTION, "step": 1})
    assert second.points[0] == ({"grpo/loss": 0.1, "guards/fired": 2.0}, 3, 5)
    assert second.points[1][0]["guards/fired"] == 3.0
    assert tracker_run_id(tmp_path, "wandb") == tracker_run_id(tmp_path, "wandb") != tracker_run_id(tmp_path, "trackio")


def test_a_repeated_stage_counts_once_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with Monitor(tmp_path, config(), trackers=[]) as monitor:
        monitor.training_log(1)({"step": 1, "loss": 0.1})
        monitor.training_log(1)({"step": 2, "loss": 0.2})
    path.write_text(path.read_text() + '{"round": 1, "stage": "grpo", "st')
    with Monitor(tmp_path, config(), trackers=[]) as monitor:
        monitor.training_log(1)({"step": 2, "loss": 0.9})
        monitor.training_log(1)({"step": 3, "loss": 0.3})
    assert [(row["step"], row["loss"]) for row in read_metrics(path)] == [(1, 0.1), (2, 0.9), (3, 0.3)]


def test_two_actions_of_one_guard_at_one_step_are_two(tmp_path: Path) -> None:
    with Monitor(tmp_path, config(), trackers=[]) as monitor:
        for action in ("roll_back", "stop"):
            monitor.training_log(1)({"guard_action": action, "guard": "loss", "step": 7})
    assert [row["guard_action"] for row in read_metrics(tmp_path / "metrics.jsonl")] == ["roll_back", "stop"]


def test_steps_of_sft_come_before_those_of_grpo(tmp_path: Path) -> None:
    with Monitor(tmp_path, config(), trackers=[]) as monitor:
        for index in (1, 2):
            for stage, steps in (("sft", (1, 2)), ("grpo", (1, 2, 3))):
                for step in steps:
                    monitor.training_log(index, stage)({"step": step, "loss": 0.1})
            monitor.training_log(index)({**GUARD_ACTION, "step": 3})
    rows = read_logged(tmp_path / "metrics.jsonl")
    run = RunData(tmp_path, ({},), {}, False, {}, rows, {}, {})
    assert [row["global_step"] for row in run.training_steps()] == list(range(1, 11))
    assert [row["stage"] for row in run.training_steps()[:5]] == ["sft"] * 2 + ["grpo"] * 3
    points = list(read_points(rows))
    assert [step for figures, _, step in points if {"sft/loss", "grpo/loss"} & figures.keys()] == list(range(1, 11))
    assert [step for figures, _, step in points if "guards/value" in figures] == [5, 10], "guards watch GRPO"


def train_steps(folder: Path, steps: Sequence[int], guard_at: int | None = None, stage: str = "grpo") -> None:
    """One start of round 1's training; an action of a guard comes before its step's figures, as in training."""
    with Monitor(folder, config(), trackers=[]) as monitor:
        log = monitor.training_log(1, stage)
        for step in steps:
            if step == guard_at:
                log({**GUARD_ACTION, "step": step})
            log({"step": step, "loss": step / 10})


def seen(folder: Path) -> tuple[list[int], int, list[int | None], float]:
    """(steps, guards' actions) as the report has them, and (steps, actions) of its curves."""
    path = folder / "metrics.jsonl"
    run = RunData(folder, ({},), {}, False, {}, read_logged(path), {}, {})
    points = [(step, values) for values, _, step in read_points(read_metrics(path)) if "grpo/loss" in values]
    fired = points[-1][1]["guards/fired"]
    return [row["global_step"] for row in run.training_steps()], len(run.guard_events), [step for step, _ in points], fired


def test_steps_and_guards_that_a_resumed_training_did_not_keep_count_no_more(tmp_path: Path) -> None:
    train_steps(tmp_path, (1, 2, 3, 4, 5), guard_at=5)
    train_steps(tmp_path, (4,))  # from the checkpoint of step 3
    assert seen(tmp_path) == ([1, 2, 3, 4], 0, [1, 2, 3, 4], 0.0)
    assert not [row for row in read_metrics(tmp_path / "metrics.jsonl") if row["stage"] == "resumed"]


def test_a_guard_before_the_checkpoint_counts_and_one_in_the_first_step_after_it_does_if_it_fires_again(tmp_path: Path) -> None:
    train_steps(tmp_path, (1, 2, 3, 4), guard_at=3)
    train_steps(tmp_path, (4, 5), guard_at=4)
    train_steps(tmp_path, (4, 5), guard_at=4)
    assert seen(tmp_path) == ([1, 2, 3, 4, 5], 2, [1, 2, 3, 4, 5], 2.0)


def test_a_training_that_begins_again_leaves_other_rounds_and_trainings_alone(tmp_path: Path) -> None:
    train_steps(tmp_path, (1, 2), stage="sft")
    train_steps(tmp_path, (1, 2, 3), guard_at=2)
    with Monitor(tmp_path, config(), trackers=[]) as monitor:
        monitor.training_log(2)({"step": 1, "loss": 0.1})
        monitor.log("guards", 1, {"guard": "between_rounds"})
    train_steps(tmp_path, (1,))  # killed before its first checkpoint
    kept = [(row["round"], row["stage"], row["step"]) for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert kept == [(1, "sft", 1), (1, "sft", 2), (2, "grpo", 1), (1, "guards", None), (1, "grpo", 1)]


def test_a_first_start_says_nothing_of_resuming(tmp_path: Path) -> None:
    train_steps(tmp_path, (1, 2, 3), guard_at=2)
    train_steps(tmp_path, (4,))
    assert "resumed" not in (tmp_path / "metrics.jsonl").read_text()


def test_a_tracker_gets_each_point_once_whatever_was_killed_and_repeated(tmp_path: Path) -> None:
    whole, lost_some, new = Recorder(), Recorder(delivered=1), Recorder()
    with Monitor(tmp_path, config(), trackers=[whole]) as monitor:
        monitor.log("problems", 1, {"kept": 4})
        for step in (1, 2):
            monitor.training_log(1)({"step": step, "loss": step / 10})
        monitor.training_log(1)({**GUARD_ACTION, "step": 2})
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"round": 1, "stage": "grpo", "st')  # killed here; the training goes on after step 1
    whole.delivered = 4
    with Monitor(tmp_path, config(), trackers=[whole, lost_some, new]) as monitor:
        monitor.training_log(1)({"step": 2, "loss": 0.2})
        monitor.training_log(1)({**GUARD_ACTION, "step": 2})
        monitor.training_log(1)({"step": 3, "loss": 0.3})
    assert [values.get("grpo/loss") for values, _, _ in whole.points] == [None, 0.1, 0.2, None, 0.3]
    assert (whole.rows, lost_some.rows, new.rows) == ([0, 1, 2, 3, 8], [1, 2, 3, 8], [0, 1, 2, 3, 8])
    assert new.points == whole.points and whole.points[-1][0]["guards/fired"] == 1.0


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    with Monitor(tmp_path, config("wandb"), main=False) as monitor:
        write_a_run(monitor)
    assert list(tmp_path.iterdir()) == []


def test_an_offline_run_at_wandb_counts_steps_over_rounds(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    with Monitor(tmp_path, config("wandb")) as monitor:
        write_a_run(monitor)
    points = wandb_file.history(tmp_path)
    assert [(point["round"], point["step"]) for point in points if "grpo/loss" in point] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert [table["data"] for table in wandb_file.tables(tmp_path, "programs/clusters")] == [[["return 1", "int:1"]]] * 2


def test_points_are_read_back_as_they_were_sent(tmp_path: Path) -> None:
    tracker = Recorder()
    with Monitor(tmp_path, config(), trackers=[tracker]) as monitor:
        write_a_run(monitor)
    assert list(read_points(read_metrics(tmp_path / "metrics.jsonl"))) == tracker.points


def test_tensorboard_receives_scalars(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Monitor(tmp_path, config("tensorboard")) as monitor:
        write_a_run(monitor)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("grpo/loss")] == [1, 2, 3, 4]
    assert [event.step for event in events.Scalars("eval/pass@1")] == [0, 1, 2]


def test_trackio_receives_scalars(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    script = (
        "import sys; from pathlib import Path; from rl.tracking.monitor import Monitor\n"
        "from tests.rl.tracking.test_monitor import config, write_a_run\n"
        "run = Path(sys.argv[1]); with_trackio = config('trackio').model_copy(update={'run_dir': str(run)})\n"
        "with Monitor(run, with_trackio) as monitor: write_a_run(monitor)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with sqlite3.connect(tmp_path / "trackio" / "ucoder.db") as database:
        rows = [
            (name, step, json.loads(values))
            for name, step, values in database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id")
        ]
    assert [step for _, step, values in rows if "grpo/loss" in values] == [1, 2, 3, 4]
    assert [step for _, step, values in rows if "eval/pass@1" in values] == [0, 2, 4]
    assert {name.endswith(tracker_run_id(tmp_path, "trackio")) for name, _, _ in rows} == {True}


@pytest.mark.parametrize(
    ("environment", "asked", "mode"),
    [
        ({}, "auto", "offline"),
        ({"WANDB_API_KEY": "k"}, "auto", "online"),
        ({"WANDB_API_KEY": "k", "WANDB_MODE": "offline"}, "auto", "offline"),
        ({"WANDB_API_KEY": "k"}, "disabled", "disabled"),
    ],
)
def test_wandb_is_offline_without_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], asked: str, mode: str
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb_mode(load_config(None, ["--tracking.mode", asked])) == mode


@pytest.mark.parametrize("package", ["wandb", "trackio", "wandb_workspaces", "vllm", "deepspeed", "ray"])
def test_a_heavy_dependency_has_one_importer(package: str) -> None:
    pattern = re.compile(rf"^\s*(import|from) {package}\b", re.MULTILINE)
    sources = [path for floor in ("probing", "rewards", "rl", "seedling") for path in (ROOT / floor).rglob("*.py")]
    assert len([path for path in sources if pattern.search(path.read_text(encoding="utf-8"))]) <= 1


def test_the_dashboard_can_be_built(tmp_path: Path) -> None:
    pytest.importorskip("wandb_workspaces")
    built = workspace.build("someone", "ucoder", "ucoder")
    assert [len(made.panels) for made in built.sections] == [len(asked.panels) + len(asked.tables) for asked in workspace.SECTIONS]
    assert len(workspace.SECTIONS[0].panels) == 12
