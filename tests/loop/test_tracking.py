"""What a real run leaves at its trackers: the files of a finished offline run are read back."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from rl.dashboard import cli, workspace
from rl.dashboard.preview import render
from rl.report.publish import CLUSTER_COLUMNS, CLUSTERS_TABLE, ROLLOUT_COLUMNS, ROLLOUTS_TABLE
from rl.report.screenshot import find_browser
from rl.tracking.tracker import tracker_run_id
from tests.rl.tracking import wandb_file

STEPS = [1, 2, 3]  # of the small run's one round


def test_wandb_holds_every_metric_that_the_dashboard_names(whole: Path) -> None:
    pytest.importorskip("wandb")
    points = wandb_file.history(whole)
    logged = {name for point in points for name in point}
    assert sorted(set(workspace.metric_names()) - logged) == []
    panels = [panel for section in workspace.SECTIONS for panel in section.panels]
    assert [panel.title for panel in panels if not workspace.shown(panel, logged)] == []
    axes = wandb_file.metric_axes(whole)
    for panel in panels:
        assert {axes[f"{name.split('/')[0]}/*"] for name in workspace.shown(panel, logged)} == {panel.axis}, panel.title
    assert [point["step"] for point in points if "grpo/loss" in point] == STEPS
    assert [point["round"] for point in points if "eval/pass@1" in point] == [0, 1]


def test_every_metric_at_wandb_lies_on_an_axis(whole: Path) -> None:
    pytest.importorskip("wandb")
    axes = wandb_file.metric_axes(whole)
    for point in wandb_file.history(whole):
        for name in point:
            if "/" in name and not name.startswith("_"):
                assert axes[f"{name.split('/')[0]}/*"] in point, name


def test_wandb_holds_the_clusters_of_a_few_problems(whole: Path) -> None:
    pytest.importorskip("wandb")
    (table,) = wandb_file.tables(whole, CLUSTERS_TABLE)
    assert table["columns"] == list(CLUSTER_COLUMNS)
    rows = [dict(zip(CLUSTER_COLUMNS, row, strict=True)) for row in table["data"]]
    assert 1 <= len({row["statement"] for row in rows}) <= 4
    assert all("def " in row["program"] and "→" in row["outcomes"] for row in rows)
    written = {json.loads(line)["program"].strip("\n") for line in (whole / "round_01" / "executions.jsonl").read_text().splitlines()}
    assert {row["program"] for row in rows} <= written


def test_wandb_holds_the_best_and_worst_rollouts_with_their_breakdown(whole: Path) -> None:
    pytest.importorskip("wandb")
    (table,) = wandb_file.tables(whole, ROLLOUTS_TABLE)
    assert table["columns"] == list(ROLLOUT_COLUMNS)
    rows = [dict(zip(ROLLOUT_COLUMNS, row, strict=True)) for row in table["data"]]
    assert sorted({row["step"] for row in rows}) == STEPS
    for step in STEPS:
        rewards = [row["reward"] for row in rows if row["step"] == step]
        assert rewards == sorted(rewards, reverse=True) and len(rewards) == 4
    assert all(0 <= row["consensus"] <= 1 and row["completion"] for row in rows)


def test_wandb_holds_checkpoint_probe_and_report_under_aliases(whole: Path) -> None:
    pytest.importorskip("wandb")
    found = wandb_file.artifacts(whole)
    this = tracker_run_id(whole, "wandb")
    checkpoints = {(name, aliases) for name, kind, aliases, _ in found if kind == "model"}
    assert checkpoints == {(f"checkpoint-{this}", frozenset({"latest", "round-1"})), (f"checkpoint-{this}", frozenset({"latest", "best"}))}
    files = {kind: files for _, kind, _, files in found}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= files["model"]
    assert (files["probe"], files["report"]) == ({"probe.json"}, {"report.html"})


def test_tensorboard_holds_the_same_figures(whole: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(whole / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("grpo/loss")] == STEPS
    rows = [json.loads((whole / f"round_0{i}" / "metrics.json").read_text()) for i in (0, 1)]
    assert [event.value for event in events.Scalars("eval/pass@1")] == pytest.approx([row["pass@1"] for row in rows])
    texts = accumulator.EventAccumulator(str(whole / "tensorboard" / "texts"))
    texts.Reload()
    assert f"{CLUSTERS_TABLE}/text_summary" in texts.Tags()["tensors"]


def test_trackio_holds_the_same_figures(whole: Path) -> None:
    pytest.importorskip("trackio")
    with sqlite3.connect(whole / "trackio" / "ucoder.db") as database:
        rows = [(step, json.loads(values)) for step, values in database.execute("SELECT step, metrics FROM metrics ORDER BY id")]
    assert [step for step, values in rows if "grpo/loss" in values] == STEPS
    assert [step for step, values in rows if "eval/pass@1" in values] == [0, STEPS[-1]]
    assert any(CLUSTERS_TABLE in values for _, values in rows)


def test_the_dashboard_is_drawn_from_the_run(whole: Path, tmp_path: Path) -> None:
    page = render(whole)
    assert page.count("<svg") == sum(len(section.panels) for section in workspace.SECTIONS)
    assert "not W&amp;B's page" in page
    if find_browser() is None:
        pytest.skip("no Chromium here to take a picture with")
    picture = tmp_path / "dashboard.png"
    assert cli.main(["--preview", str(picture), "--run", str(whole)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
