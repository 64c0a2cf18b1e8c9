"""Breadth: the base against each seed's chosen checkpoint, on all tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.ablate import breadth
from tests.bench.ablate import fake_train

TASKS = [f"t{i}" for i in range(fake_train.TASKS)]


def finished_run(folder: Path, seed: int) -> Path:
    fake_train.main(["--config", "configs/seedling.yaml", "--run_dir", str(folder / "soft"), "--seed", str(seed), "--rounds", "1"])
    return folder / "soft"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of `ucoder eval`: the base reaches a fifth of each task, any other model a half."""
    commands: list[list[str]] = []

    def evaluated(argv: list[str]) -> int:
        commands.append(argv)
        of = dict(zip(argv[:-1:2], argv[1:-1:2], strict=True))
        reached = 0.2 if of["--model"] == "seedling" else 0.5
        tasks = [{"id": task, "pass@1": 0.1, "pass@16": reached, "majority@16": 0.3} for task in TASKS]
        metrics = {"pass@1": 0.1, "pass@1_ci": [0.0, 0.2], "pass@16": reached, "tasks": len(TASKS)}
        record = {"command": "ucoder eval", "benchmarks": {"seedling": {"metrics": metrics, "tasks": tasks}}}
        Path(of["--json"]).write_text(json.dumps(record))
        return 0

    monkeypatch.setattr(breadth, "ucoder_eval", evaluated)
    return commands


def test_differences_are_of_the_chosen_checkpoints_and_past_voting_of_their_greedy_answers(
    tmp_path: Path, asked: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [finished_run(tmp_path / str(seed), seed) for seed in (0, 1)]
    breadth.main([*map(str, runs), "--out", str(tmp_path / "out"), "--json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["over_seeds"]["pass@16"]["gain"] == pytest.approx(0.3)
    assert found["over_seeds"]["pass@4"] is None  # nobody measured it
    greedy = [json.loads(line)["pass@1"] for run in runs for line in (run / "round_01" / "eval_seedling_greedy.jsonl").open()]
    assert found["over_seeds"]["past voting"]["gain"] == pytest.approx(sum(greedy) / len(greedy) - 0.3)
    base = [json.loads(line)["pass@1"] for line in (runs[0] / "round_00" / "eval_seedling_greedy.jsonl").open()]
    assert found["vote over greedy"]["gain"] == pytest.approx(0.3 - sum(base) / len(base))
    models = [command[command.index("--model") + 1] for command in asked]
    assert models == ["seedling", *(str(run / "best") for run in runs)]  # the base once
    assert "| seed-1 | 10.0 % [0.0, 20.0] | – | 50.0 % | – |" in capsys.readouterr().out


def test_two_runs_of_one_seed_are_refused(tmp_path: Path, asked: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    runs = [finished_run(tmp_path / name, 0) for name in "ab"]
    with pytest.raises(SystemExit) as left:
        breadth.main([*map(str, runs), "--out", str(tmp_path / "out"), "--json", str(tmp_path / "found.json")])
    assert left.value.code == 2 and "two runs have one seed" in capsys.readouterr().err and not asked
