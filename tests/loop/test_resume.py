"""Killed with -9 in every stage, the same command goes on at the first unfinished one, to the same result."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.loop.runs import finish, kill_at

# Each kill comes when this file appears, that is, in the stage after it.
MILESTONES = (
    "config.yaml",
    "round_00/temperature.json",
    "round_00/eval.json",
    "round_01/problems.jsonl",
    "round_01/suites.jsonl",
    "round_01/candidates.jsonl",
    "round_01/executions.jsonl",
    "round_01/clusters.jsonl",
    "round_01/scores.jsonl",
    "round_01/grpo/trainer/checkpoint-1/complete.json",
    "round_01/training.json",
)


def result(folder: Path) -> dict[str, str]:
    """What a run leaves behind, without the times."""
    found = {}
    for path in sorted(folder.glob("round_*/*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row.pop("seconds", None)
        found[str(path.relative_to(folder))] = json.dumps(rows)
    for path in sorted(folder.glob("round_*/grpo/checkpoint/*.safetensors")):
        found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.mark.slow
def test_a_run_killed_in_every_stage_ends_with_the_same_result(whole, tmp_path):
    folder = tmp_path / "run"
    for milestone in MILESTONES:
        kill_at(folder, milestone)
    finish(folder)
    assert result(folder) == result(whole)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result_and_a_finished_run_is_left_alone(whole, tmp_path):
    again = tmp_path / "run"
    finish(again)
    assert result(again) == result(whole)
    before = result(again)
    finish(again)
    assert result(again) == before


def test_a_run_leaves_every_stage_a_file_and_a_summary(whole):
    names = {p.name for p in (whole / "round_01").iterdir()}
    stages = ("problems", "suites", "candidates", "executions", "clusters", "scores")
    assert {*(f"{stage}.jsonl" for stage in stages), "probe.json"} <= names
    summary = json.loads((whole / "summary.json").read_text())
    assert {"base", "rounds", "final", "loop_seconds", "stage_seconds", "peak_memory_mb"} <= set(summary)
    assert len(summary["rounds"]) == 1 and summary["peak_memory_mb"] > 100
    assert (whole / "report.html").stat().st_size > 1000 and (whole / "versions.json").exists()


def test_a_run_says_how_it_ended_and_what_its_stages_held(whole):
    progress, times = (json.loads((whole / name).read_text()) for name in ("progress.json", "times.json"))
    assert (progress["state"], progress["stage"], progress["error"]) == ("finished", None, None)
    assert times["memory"].keys() == times["stages"].keys()
    held = {number: {name: most for name, most in stages.items() if most > 100} for number, stages in times["memory"].items()}
    assert {number: set(stages) for number, stages in held.items()} == {number: set(stages) for number, stages in times["stages"].items()}


def test_every_trained_group_has_its_rewards_broken_down(whole):
    steps = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines() if '"stage": "grpo"' in line]
    assert len(steps) >= 3 and all(0 <= s["consensus"] <= 1 for s in steps)
