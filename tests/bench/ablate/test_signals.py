"""Signals of a run against its greedy accuracy, checkpoint by checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.ablate.signals import KEPT_APART, checkpoints_of, correlation, main
from rl.console import UserError

NEXT = "distinct behaviours a problem"


def write_run(folder: Path, greedy: list[float], agreement: list[float | None], distinct: list[float], started_from: list[int]) -> Path:
    """distinct, started_from: of rounds 1, 2, …"""
    rows = []
    for index, (reached, agreed) in enumerate(zip(greedy, agreement, strict=True)):
        path = folder / f"round_{index:02d}"
        path.mkdir(parents=True)
        (path / "eval.json").write_text(json.dumps({"seedling": {"greedy_pass@1": reached}}))
        (path / "held_out.json").write_text(json.dumps({"agreement": agreed}))
        if index:
            (path / "metrics.json").write_text(json.dumps({"round": index, "started_from": started_from[index - 1]}))
            rows.append({"round": index, "stage": "consensus", "step": None, "distinct_behaviours": distinct[index - 1]})
            rows.append({"round": index, "stage": "grpo", "step": 1, "distinct_behaviours": 99.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_votes_of_a_round_tell_of_the_checkpoint_that_it_started_from(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0.4, 0.5, 0.45, 0.6], [0.7, 0.8, 0.75, None], [5.0, 4.0, 3.0], [0, 1, 1])
    found = checkpoints_of(run)
    assert [row["greedy"] for row in found] == [0.4, 0.5, 0.45, 0.6]
    assert [row[KEPT_APART] for row in found] == [0.7, 0.8, 0.75, None]
    assert [row[NEXT] for row in found] == [5.0, 4.0, None, None]  # round 3 went back to round 1; nothing follows round 3


def test_where_a_teacher_is_asked_its_votes_say_nothing_of_the_checkpoint(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0.4, 0.5], [0.7, 0.8], [5.0], [0])
    (run / "config.yaml").write_text("teacher: {decay: 0.5}")
    assert [(row[KEPT_APART], row[NEXT]) for row in checkpoints_of(run)] == [(0.7, None), (0.8, None)]


def test_runs_are_compared_within_themselves() -> None:
    high = [{"greedy": 0.5 + 0.01 * i, "s": 0.1 + 0.02 * i} for i in range(5)]
    low = [{"greedy": 0.3 + 0.01 * i, "s": 0.9 + 0.02 * i} for i in range(5)]  # over both together the sign would turn
    assert correlation([high, low], "s") == pytest.approx(1.0)
    assert correlation([[{"greedy": r["greedy"], "s": -float(r["s"])} for r in high]], "s") == pytest.approx(-1.0)


def test_too_few_checkpoints_or_no_spread_give_no_figure() -> None:
    assert correlation([[{"greedy": 0.1 * i, "s": float(i)} for i in range(3)]], "s") is None
    assert correlation([[{"greedy": 0.1 * i, "s": 1.0} for i in range(6)]], "s") is None


def test_the_table_has_every_signal_and_each_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    greedy, steps = [0.4, 0.45, 0.5, 0.47, 0.52], [1, 2, 3, 4]
    runs = [write_run(tmp_path / name, greedy, [*greedy], [4.0, 3.0, 3.5, 2.0], [i - 1 for i in steps]) for name in "ab"]
    main([*map(str, runs), "--json", str(tmp_path / "found.json")])
    assert f"| {KEPT_APART} | 1.00 | 1.00, 1.00 |" in capsys.readouterr().out
    assert json.loads((tmp_path / "found.json").read_text())["correlations"][NEXT]["all"] < 0


def test_a_folder_without_rounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run of several evaluated rounds"):
        checkpoints_of(tmp_path)
