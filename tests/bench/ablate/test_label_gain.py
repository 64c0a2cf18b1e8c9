"""Label accuracy against what a round gained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.ablate.by_kind import kind_by_task
from bench.ablate.label_gain import centred, distinct, main, relation, rounds_of
from probing.records import Problem
from rl.round_files import PROBLEMS, VERDICTS, Verdict, read_rows, write_records
from seedling.bench import DEV_PATH

VERDICT = Verdict("", (0,), (0, 0), (2,), 0, 1.0, 1.0, 0.0, 2, True)


def make_run(run: Path, greedy: list[float], right: list[list[bool]], started_from: list[int]) -> Path:
    """A run of the base and as many rounds as `right` has lists: of each problem, whether its label is right."""
    texts = [row["description"] for row in read_rows(DEV_PATH) if kind_by_task("seedling_dev")[row["id"]] == "rushed"]
    for index, value in enumerate(greedy):
        folder = run / f"round_{index:02d}"
        folder.mkdir(parents=True)
        (folder / "eval.json").write_text(json.dumps({"seedling": {"greedy_pass@1": value}}))
        if index:
            labels = right[index - 1]
            problems = [Problem(str(i), "", texts[i], "f", "def f(n: int) -> int:", "", "") for i in range(len(labels))]
            write_records(folder / PROBLEMS.file, problems)
            write_records(folder / VERDICTS.file, [replace(VERDICT, problem_id=str(i), label_correct=r) for i, r in enumerate(labels)])
            (folder / "metrics.json").write_text(json.dumps({"started_from": started_from[index - 1]}))
    return run


def test_the_change_is_from_the_checkpoint_that_the_round_started_from(tmp_path: Path):
    run = make_run(tmp_path / "run", [0.4, 0.5, 0.3], [[True, False], [True, True]], [0, 0])
    first, second = rounds_of(run)
    assert [round(row["change"], 6) for row in (first, second)] == [0.1, -0.1]
    assert [row["labels"]["rushed"] for row in (first, second)] == [0.5, 1.0]
    assert first["labels"]["neither"] is None and second["problems"]["all"] == 2


def test_a_round_that_is_not_over_is_passed_over(tmp_path: Path):
    run = make_run(tmp_path / "run", [0.4, 0.5, 0.3], [[True, False], [True, True]], [0, 0])
    (run / "round_02" / "metrics.json").unlink()
    assert [row["round"] for row in rounds_of(run)] == [1]


def test_a_round_that_two_runs_share_counts_once(tmp_path: Path):
    runs = [make_run(tmp_path / name, [0.4, 0.5, end], [[True], [end > 0.5]], [0, 1]) for name, end in (("a", 0.6), ("b", 0.45))]
    found = distinct([row for run in runs for row in rounds_of(run)])
    assert [(row["run"], row["round"]) for row in found] == [(str(runs[0]), 1), (str(runs[0]), 2), (str(runs[1]), 2)]


def test_r_and_slope_are_those_of_a_least_squares_line():
    rng = np.random.default_rng(3)
    share_N = rng.uniform(0.3, 0.7, 40)
    change_N = 0.2 * share_N + rng.normal(0, 0.02, 40)
    found = relation(np.stack([share_N, change_N], axis=1))
    assert found is not None
    assert found["slope"] == pytest.approx(np.polyfit(share_N, change_N, 1)[0])
    assert found["r"] == pytest.approx(np.corrcoef(share_N, change_N)[0, 1])
    assert found["slope_ci"][0] < 0.2 < found["slope_ci"][1] and found["r_ci"][0] < found["r"] < found["r_ci"][1]


def test_rounds_are_compared_with_others_of_their_number():
    """Here both fall from the first round to the second, and within a number they go against each other."""
    pair_N2 = np.array([[0.7, 0.05], [0.6, 0.06], [0.5, 0.01], [0.4, 0.02], [0.1, 0.5]])
    assert relation(pair_N2[:4])["r"] > 0.7  # type: ignore[index]
    within_N2 = centred(pair_N2, [1, 1, 2, 2, 3])
    assert len(within_N2) == 4  # the only third round is left out
    assert relation(within_N2)["r"] == pytest.approx(-1)  # type: ignore[index]


@pytest.mark.parametrize("pairs", [[[0.5, 0.1], [0.6, 0.2], [0.7, 0.3]], [[0.5, 0.1]] * 5, []])
def test_no_correlation_of_too_few_rounds_or_without_spread(pairs: list[list[float]]):
    assert relation(np.array(pairs, dtype=np.float64).reshape(-1, 2)) is None


def test_the_table_and_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    right = [[True, True], [True, False], [False, False], [True, True]]
    run = make_run(tmp_path / "run", [0.4, 0.5, 0.5, 0.4, 0.5], right, [0, 1, 2, 3])
    main([str(run), "--json", str(tmp_path / "out.json")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith("| 1 | +10.0 | 100.0 % (2) | – (0) | 100.0 % (2) | – (0) |")
    assert lines[-4].startswith("| all | 1.00 [1.00, 1.00] | 2.00 [")
    assert lines[-4].endswith("| – | – |")  # one round of each number
    assert json.loads((tmp_path / "out.json").read_text())["relations"]["all"]["all"]["rounds"] == 4


def test_a_run_without_audited_rounds_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([str(make_run(tmp_path / "run", [0.4], [], []))])
    assert ended.value.code == 2 and "no audited round" in capsys.readouterr().err
