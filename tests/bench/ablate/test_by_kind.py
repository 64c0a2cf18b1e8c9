"""Scores by kind of task."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.ablate.by_kind import by_kind, kind_by_task, main
from probing.records import Problem
from rl.round_files import PROBLEMS, VERDICTS, Verdict, read_rows, write_records
from seedling.bench import DEV_PATH

VERDICT = Verdict("", (0,), (0, 0), (2,), 0, 1.0, 1.0, 0.0, 2, True)
KIND = {"a": "rushed", "b": "neither", "c": "neither"}


def test_a_mean_for_each_kind_and_for_all():
    found = by_kind({"a": 1.0, "b": 0.0, "c": 0.5}, KIND)
    assert found == {"all": (0.5, 3), "neither": (0.25, 2), "rushed": (1.0, 1), "misconception": (None, 0)}


def test_every_task_of_both_sets_has_a_kind():
    found = {name: list(kind_by_task(name).values()) for name in ("seedling", "seedling_dev")}
    assert {name: len(held) for name, held in found.items()} == {"seedling": 1000, "seedling_dev": 400}
    assert all({"neither", "rushed", "misconception"} == set(held) for held in found.values())


def test_one_row_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    task = next(task for task, kind in kind_by_task("seedling_dev").items() if kind == "rushed")
    (tmp_path / "config.yaml").write_text("evals: {benchmarks: [seedling_dev]}\n")
    for number, value in (("00", 0.0), ("01", 1.0)):
        (tmp_path / f"round_{number}").mkdir()
        (tmp_path / f"round_{number}" / "eval_seedling_dev_greedy.jsonl").write_text(json.dumps({"id": task, "pass@1": value}) + "\n")
    main([str(tmp_path)])
    rows = [line.split(" | ")[1:] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [["00", "0.0 % (1)", "– (0)", "0.0 % (1)", "– (0) |"], ["01", "100.0 % (1)", "– (0)", "100.0 % (1)", "– (0) |"]]


def test_labels_in_the_band_by_kind_of_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    described = {row["id"]: row["description"] for row in read_rows(DEV_PATH)}
    kinds = kind_by_task("seedling_dev")
    rushed = [described[task] for task, kind in kinds.items() if kind == "rushed"][:3]
    folder = tmp_path / "round_01"
    folder.mkdir()
    texts = [*rushed, "Something that the grammar does not know."]
    write_records(folder / PROBLEMS.file, [Problem(str(i), "", text, "f", "def f(n: int) -> int:", "", "") for i, text in enumerate(texts)])
    states = [(True, True), (True, False), (False, True), (True, None)]  # in the band, right
    write_records(folder / VERDICTS.file, [replace(VERDICT, problem_id=str(i), kept=k, label_correct=r) for i, (k, r) in enumerate(states)])
    main([str(tmp_path), "--labels"])
    assert capsys.readouterr().out.splitlines()[2].endswith("| 01 | 50.0 % (2) | – (0) | 50.0 % (2) | – (0) |")


def write_labels(folder: Path, labels: list[tuple[float, bool]]) -> None:
    """A round's problems, each with the share of the votes that its winner has, and whether that is right; the band keeps none."""
    described = {row["id"]: row["description"] for row in read_rows(DEV_PATH)}
    rushed = [described[task] for task, kind in kind_by_task("seedling_dev").items() if kind == "rushed"]
    folder.mkdir(parents=True)
    problems = [Problem(str(i), "", text, "f", "def f(n: int) -> int:", "", "") for i, text in enumerate(rushed[: len(labels)])]
    write_records(folder / PROBLEMS.file, problems)
    verdicts = [replace(VERDICT, problem_id=str(i), top_share=s, kept=False, label_correct=r) for i, (s, r) in enumerate(labels)]
    write_records(folder / VERDICTS.file, verdicts)


def test_labels_by_another_band_and_over_all_rounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_labels(tmp_path / "run" / "round_01", [(0.5, False), (0.7, True), (1.0, True)])
    write_labels(tmp_path / "run" / "round_02", [(0.9, False)])
    main([str(tmp_path / "run"), "--labels", "--band", "0.6", "1"])
    rows = [line.split(" | ")[1:4] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [["01", "100.0 % (2)", "– (0)"], ["02", "0.0 % (1)", "– (0)"], ["", "66.7 % (3)", "– (0)"]]


def test_a_band_of_scores_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), "--band", "0.6", "1"])
    assert ended.value.code == 2 and "--labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "no run lies here"),
        ("evals: {benchmarks: [mbpp]}\n", "this run has mbpp"),
        ("evals: {benchmarks: [seedling_dev]}\n", "no checkpoint of this run has the score"),
    ],
)
def test_a_folder_without_kinds_is_refused(tmp_path: Path, config: str | None, said: str, capsys: pytest.CaptureFixture[str]):
    if config is not None:
        (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)])
    assert ended.value.code == 2 and said in capsys.readouterr().err
