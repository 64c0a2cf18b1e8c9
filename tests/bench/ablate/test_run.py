"""The ablation from plan to tables, with made-up runs: what is finished is left alone, what is shared is linked, failures are told."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from bench.ablate import __main__ as ablate
from bench.ablate import bundled
from bench.ablate.plan import QUICK, SIGNALS, Job, make_job
from bench.ablate.runner import rounds_of_the_lead, take_over_rounds
from bench.ablate.tables import tables

pytestmark = pytest.mark.slow

FAKE = Path(__file__).with_name("fake_train.py")
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def made_up_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(Job, "command", lambda job, base: [sys.executable, str(FAKE), "--config", str(base), *job.overrides])
    monkeypatch.setattr("bench.ablate.runner.POLL_SECONDS", 0.02)
    monkeypatch.setattr("bench.ablate.collect.BINS", 4)


def run(folder: Path, *words: str) -> int:
    paths = ["--out", str(folder / "runs"), "--results", str(folder / "results"), "--jobs", "2", "--arms", "oracle"]
    return ablate.main(["--quick", "--seeds", "2", *paths, *words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ablation")


def test_from_plan_to_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    result = json.loads((folder / "results" / "ablation_quick.json").read_text())
    assert result["seeds"] == [0, 1] and result["not_finished"] == [] and result["tasks"] == 40
    soft = result["arms"]["soft"]
    assert result["headline"] == "greedy" and result["tasks_of"]["pass@1"] == 20
    assert soft["greedy"]["value"] == pytest.approx(result["arms"]["base"]["greedy"]["value"] + soft["gain"]["value"])
    assert soft["past temperature"]["value"] == pytest.approx(soft["gain"]["value"] + 0.05), "greedy lies 0.05 above the best temperature"
    assert soft["best temperature minus the base's"]["value"] == pytest.approx(0.12, abs=0.01)
    assert soft["gain"]["value"] == pytest.approx(0.12, abs=0.01)
    assert soft["recovered"]["value"] == pytest.approx(0.8, abs=0.05)
    assert [row["seed"] for row in soft["by_seed"]] == [0, 1] and soft["by_seed"][0]["guard_actions"] == ["entropy: raise_kl"]
    assert len(soft["curves"]["entropy"]) == 4 and soft["curves"]["majority_wrong"] == []
    verdicts = {row["target"]: row["met"] for row in result["targets"]}
    assert verdicts["share of the oracle's gain that soft recovers"] is False and verdicts["soft minus mixed"] is None
    assert {row["arm"]: row["best_round"] for row in result["long"].values()} == {"soft_unguarded": 1, "soft": 3, "random": 0}
    ends = {row["minus"]: row for row in result["long_differences"]}
    assert set(ends) == {"soft_unguarded", "random"} and ends["soft_unguarded"]["seeds"] == [0]
    assert ends["soft_unguarded"]["value"] == pytest.approx(0.14, abs=0.01), "their gains are 0.12 and -0.02"
    assert (folder / "results" / "ablation_quick.png").stat().st_size > 10_000
    shown = capsys.readouterr().out
    assert "| arm | greedy | best temperature | pass@1 | gain, greedy pass@1, points |" in shown
    assert "| consensus, soft |" in shown and tables(result) in shown and "–" in shown  # what was not measured is not a figure


def test_one_run_on_several_seeds_is_one_gain(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    runs = [str(folder / "runs" / f"seed-{seed}" / "soft") for seed in (0, 1)]
    bundled.main([*runs, "--json", str(tmp_path / "bundled_run.json")])
    record = json.loads((tmp_path / "bundled_run.json").read_text())
    assert [found["seed"] for found in record["runs"]] == [0, 1]
    greedy = record["over_seeds"]["greedy"]
    assert greedy["gain"] == pytest.approx(0.12, abs=0.01) and greedy["gain_ci"][0] < greedy["gain"] < greedy["gain_ci"][1]
    assert "--config configs/seedling.yaml --run_dir soft --rounds 1 " in record["runs"][0]["command"]
    assert "| greedy | 40 |" in capsys.readouterr().out


def test_a_folder_without_a_finished_run_is_one_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bundled.main([str(tmp_path)])
    assert "no finished run lies here" in capsys.readouterr().err


def test_results_from_before_greedy_decoding_are_still_shown() -> None:
    result = json.loads((ROOT / "bench" / "results" / "ablation.json").read_text())
    old = {key: value for key, value in result.items() if key not in ("headline", "tasks_of")}
    new = ("greedy", "best temperature")
    old["arms"] = {arm: {k: v for k, v in found.items() if k not in new} for arm, found in result["arms"].items()}
    assert "| arm | pass@1 | gain, pass@1, points |" in tables(old)


def test_what_is_shared_is_the_lead_s_own_file(folder: Path) -> None:
    lead, arm = (folder / "runs" / "seed-1" / name / "round_01" / "problems.jsonl" for name in ("soft", "oracle"))
    assert json.loads(arm.read_text()) == {"made_by": "soft"} and arm.samefile(lead)
    long = folder / "runs" / "long-seed-0" / "soft"
    assert not long.joinpath("round_01", "problems.jsonl").samefile(lead)
    logged = [json.loads(line) for line in (folder / "runs" / "seed-1" / "oracle" / "metrics.jsonl").read_text().splitlines()]
    assert logged[0]["stage"] == "problems" and logged[0]["kept"] == 9


def test_a_long_run_without_guards_begins_where_the_lead_s_guards_first_acted(folder: Path) -> None:
    lead, arm = (folder / "runs" / "long-seed-0" / name for name in ("soft", "soft_unguarded"))
    same = [
        (arm / name / "metrics.json").samefile(lead / name / "metrics.json") for name in ("round_00", "round_01", "round_02", "round_03")
    ]
    assert same == [True, True, False, False]  # in round 2 a guard acted
    stages = [(row["round"], row["stage"]) for row in map(json.loads, (arm / "metrics.jsonl").read_text().splitlines())]
    assert (1, "grpo") in stages and "guards" not in {stage for _, stage in stages}


@pytest.mark.parametrize(("guard", "shared"), [("entropy", 1), ("between_rounds", 2)])
def test_the_guard_between_rounds_leaves_its_own_round_as_it_was(tmp_path: Path, guard: str, shared: int) -> None:
    keys = [key for name in SIGNALS for key in (f"--guards.{name}", "null")]
    jobs = [
        make_job(Path("configs/seedling.yaml"), QUICK, tmp_path, arm, k, 0, True, ()) for arm, k in (("soft", []), ("soft_unguarded", keys))
    ]
    jobs[0].folder.mkdir(parents=True)
    (jobs[0].folder / "metrics.jsonl").write_text(json.dumps({"round": 2, "stage": "guards", "step": None, "guard": guard}) + "\n")
    assert rounds_of_the_lead(jobs[0], jobs[1]) == shared


def test_a_run_that_is_its_lead_s_copy_has_a_lock_of_its_own(tmp_path: Path) -> None:
    job = make_job(Path("configs/seedling.yaml"), QUICK, tmp_path / "out", "soft", [], 0, False, ())
    (tmp_path / "lead").mkdir()
    for name in (".lock", "summary.json"):
        (tmp_path / "lead" / name).write_text("{}")
    take_over_rounds(tmp_path / "lead", job, job.config.rounds)
    assert (job.folder / "summary.json").exists() and not (job.folder / ".lock").exists()


def test_what_is_finished_is_not_run_again(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Job, "command", lambda job, base: pytest.fail("a finished run was started again"))
    assert run(folder) == 0
    assert "7 of 7 runs are finished already" in capsys.readouterr().out


def test_long_runs_that_are_finished_count_where_they_are_left_out(folder: Path) -> None:
    assert run(folder, "--no-long") == 0
    assert len(json.loads((folder / "results" / "ablation_quick.json").read_text())["long"]) == 3


def test_runs_of_another_config_or_of_other_weights_are_not_mixed_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(folder, "--grpo.learning_rate", "1e-3")
    assert ended.value.code == 2 and "made by another config" in capsys.readouterr().err
    identity = folder / "runs" / "identity.json"
    identity.write_text(json.dumps(json.loads(identity.read_text()) | {"weights": "other"}))
    with pytest.raises(SystemExit) as ended:
        run(folder)
    assert ended.value.code == 2 and "made with other weights" in capsys.readouterr().err


def test_a_run_that_fails_is_told_with_its_last_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, "--no-long", "--tracking.tags", "fail")
    shown = capsys.readouterr()
    assert ended.value.code == 2 and "no run has finished" in shown.err
    assert "FAILED  seed 0 · consensus, soft" in shown.out and "the disk is full" in shown.out


def test_without_guards_nothing_is_run_again_unless_one_acted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = ["--arms", "soft_unguarded", "--no-long", "--seeds", "1"]
    assert run(tmp_path, *arms) == 0
    lead, arm = (tmp_path / "runs" / "seed-0" / name for name in ("soft", "soft_unguarded"))
    assert "the same as seed 0 · consensus, soft, where no guard acted" in capsys.readouterr().out
    found = json.loads((tmp_path / "results" / "ablation_quick.json").read_text())
    assert found["minutes_of_runs"] == found["arms"]["soft"]["by_seed"][0]["minutes"] > 0
    assert (arm / "summary.json").samefile(lead / "summary.json") and "held_out: null" in (arm / "config.yaml").read_text()
    shutil.rmtree(arm)
    with (lead / "metrics.jsonl").open("a") as log:
        log.write(json.dumps({"round": 1, "stage": "guards", "step": 3, "guard_action": "raise_kl"}) + "\n")
    assert run(tmp_path, *arms) == 0 and not (arm / "summary.json").samefile(lead / "summary.json")
