"""`ucoder audit`: label accuracy follows from the marks, and marks that are not about this run's votes are refused."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rl.cli import main
from rl.console import UserError
from rl.evals.passk import wilson_interval
from rl.marking.accuracy import BANDS, HALF_WIDTH, label_accuracy, marks_needed
from rl.marking.marks import read_marks
from rl.report import write_report
from rl.report.browser import PROBLEMS_SHOWN, browser_data
from rl.report.conclusion import conclude
from rl.report.next_steps import next_steps
from rl.round_files import read_rows, write_rows
from rl.run_data import AUDIT, RunData, read_run
from tests.rl.fake_run import write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", rounds=2, audited=False)


def marks_of(run: RunData, marks: list[str], problems: list[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """A file as the browser exports it: marks of the first problems it lists."""
    data = browser_data(run)
    rows = [
        {"problem": p["id"], "round": p["round"], "winner": p["winner"], "mark": mark}
        for p, mark in zip(problems or data["problems"], marks, strict=False)
    ]
    return {"format": "ucoder-marks", "version": 1, "run": data["run"], "name": data["name"], "marks": rows}


def saved(folder: Path, content: Any) -> Path:
    path = folder.parent / "marks.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_accuracy_is_right_among_those_that_can_be_told(folder: Path) -> None:
    run = read_run(folder)
    marks = saved(folder, marks_of(run, ["right"] * 6 + ["wrong"] * 2 + ["unclear"] * 3))
    found = label_accuracy(run, read_marks(marks, run))
    assert [found["all"][key] for key in ("problems", "right", "wrong", "unclear", "accuracy")] == [28, 6, 2, 3, 0.75]
    assert found["all"]["interval"] == list(wilson_interval(6, 8))
    by_band = [band["right"] + band["wrong"] + band["unclear"] for band in found["bands"]]
    assert sum(by_band) == 11 and len(by_band) == len(BANDS) - 1
    verdicts = {row["problem_id"]: row for files in run.rounds for row in files.rows("clusters")}
    kept = [p["id"] for p in browser_data(run)["problems"][:11] if verdicts[p["id"]]["kept"]]
    assert sum(found["kept"][key] for key in ("right", "wrong", "unclear")) == len(kept)


def test_each_problem_is_in_the_band_of_its_share(folder: Path) -> None:
    rows = read_rows(folder / "round_01" / "clusters.jsonl")
    for row, share in zip(rows, [0.0, 0.29, 0.3, 0.5, 0.69, 0.7, 0.9, 1.0], strict=False):
        row["top_share"] = share
    write_rows(folder / "round_01" / "clusters.jsonl", rows[:8])
    (folder / "round_02" / "clusters.jsonl").unlink()
    run = read_run(folder)
    found = label_accuracy(run, read_marks(saved(folder, marks_of(run, ["right"] * 8)), run))
    assert [band["problems"] for band in found["bands"]] == [2, 1, 2, 1, 2]


def test_the_first_of_the_random_order_are_a_sample_and_picked_ones_are_not(folder: Path) -> None:
    run = read_run(folder)
    problems = browser_data(run)["problems"]
    first = problems[:5]
    surest = sorted(problems, key=lambda p: -p["top_share"])[:5]
    for chosen, fair in ((first, True), (surest, False)):
        found = label_accuracy(run, read_marks(saved(folder, marks_of(run, ["right"] * 5, chosen)), run))
        assert found["all"]["random_sample"] is fair
    kept = [p for p in problems if p["kept"]][:8]
    found = label_accuracy(run, read_marks(saved(folder, marks_of(run, ["right"] * 8, kept)), run))
    assert found["kept"]["random_sample"], "the list of those trained on is in the same order"


def test_the_first_marks_are_of_all_rounds_and_those_of_one_round_are_no_sample(folder: Path) -> None:
    run = read_run(folder)
    problems = browser_data(run)["problems"]
    assert {p["round"] for p in problems[:10]} == {1, 2}, "who stops early has marked problems of every round"
    for chosen, fair in ((problems[:10], True), ([p for p in problems if p["round"] == 1][:10], False)):
        found = label_accuracy(run, read_marks(saved(folder, marks_of(run, ["right"] * 10, chosen)), run))
        assert found["all"]["random_sample"] is fair


@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.95])
def test_enough_marks_give_the_interval_that_is_promised(accuracy: float) -> None:
    for trials, within in ((marks_needed(accuracy), True), (marks_needed(accuracy) - 1, False)):
        low, high = wilson_interval(accuracy * trials, trials)
        assert ((high - low) / 2 <= HALF_WIDTH) is within


def test_the_audit_is_kept_and_shown_in_the_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = read_run(folder)
    write_report(folder)
    assert "nobody has marked labels yet" in (folder / "report.html").read_text(encoding="utf-8")
    marks = saved(folder, marks_of(run, ["right"] * 9 + ["wrong"]))
    assert main(["audit", str(folder), str(marks)]) == 0
    out = capsys.readouterr().out
    assert "90.0 % [59.6, 98.2]" in out
    assert "all problems: 10 marks are not enough" in out and f"mark about {min(marks_needed(0.9), 28) - 10} more" in out
    kept = json.loads((folder / AUDIT).read_text())
    assert kept["all"]["accuracy"] == 0.9 and kept["name"] == "run"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "A person marked" in page and "nobody has marked" not in page
    assert browser_data(read_run(folder))["marks"] == kept["marks"], "another browser starts from these marks"


@pytest.mark.parametrize(("marks", "status"), [(["right"] * 20, "good"), (["wrong"] * 20, "bad"), (["right", "wrong"] * 10, "warn")])
def test_the_report_s_trust_follows_the_marks(folder: Path, marks: list[str], status: str) -> None:
    run = read_run(folder)
    assert main(["audit", str(folder), str(saved(folder, marks_of(run, marks)))]) == 0
    check = next(check for check in conclude(read_run(folder)).checks if check.title == "Are the labels right?")
    assert (check.status, check.first) == (status, True)


@pytest.mark.parametrize(
    ("marks", "words"), [(["wrong"] * 20, "Labels are weak"), (["right", "wrong"] * 5, "Too few labels are marked to tell: mark about")]
)
def test_the_next_step_is_more_marks_or_better_labels(folder: Path, marks: list[str], words: str) -> None:
    assert main(["audit", str(folder), str(saved(folder, marks_of(read_run(folder), marks)))]) == 0
    run = read_run(folder)
    assert any(step.text.startswith(words) for step in next_steps(run, conclude(run)))


def edited(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda found: {**found, **changes}


def with_mark(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda found: {**found, "marks": [{**found["marks"][0], **changes}]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: "{", "not valid JSON"),
        (lambda found: "[" * 100_000, "nested thousands deep"),
        (lambda found: "9" * 5000, "more digits than Python reads"),
        (lambda found: [], "no file of marks"),
        (lambda found: {"marks": []}, "no file of marks"),
        (edited(version=2), "version 2"),
        (edited(run="0" * 16, name="other"), "another run ('other')"),
        (edited(marks=[]), "no label is marked"),
        (edited(marks=["right"]), "mark 1"),
        (with_mark(mark="great"), "right, wrong, unclear"),
        (with_mark(problem=7), "mark 1"),
        (with_mark(problem="r01-unknown"), "no vote on r01-unknown"),
        (with_mark(winner="0" * 16), "another program was marked"),
        (with_mark(winner=None), "another program was marked"),
        (lambda found: {**found, "marks": [found["marks"][0], {**found["marks"][0], "mark": "wrong"}]}, "is marked right and wrong"),
    ],
)
def test_bad_marks_end_on_one_screen(
    folder: Path, change: Callable[[dict[str, Any]], Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(folder, change(marks_of(read_run(folder), ["right"])))
    with pytest.raises(SystemExit) as ended:
        main(["audit", str(folder), str(path)])
    assert ended.value.code == 2
    screen = capsys.readouterr().err
    assert words in screen and str(path) in screen and "Traceback" not in screen
    assert not (folder / AUDIT).exists(), "nothing is written"


def test_marks_of_a_run_with_other_problems_are_refused(folder: Path, tmp_path: Path) -> None:
    marks = marks_of(read_run(folder), ["right"])
    other = write_run(tmp_path / "other", rounds=2, audited=False)
    rows = read_rows(other / "round_01" / "problems.jsonl")
    write_rows(other / "round_01" / "problems.jsonl", rows[1:])
    with pytest.raises(SystemExit) as ended:
        main(["audit", str(other), str(saved(folder, marks))])
    assert ended.value.code == 2


def test_the_commands_of_the_page_on_watching_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[3] / "docs" / "watch.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    assert [words[1] for words in lines] == ["watch", "watch", "audit"]
    marks = saved(folder, marks_of(read_run(folder), ["right"]))
    for words in lines:
        assert words[0] == "ucoder"
        assert main([{"RUN": str(folder), "marks.json": str(marks)}.get(word, word) for word in words[1:]]) == 0
    example = json.loads(text.split("```json\n")[1].split("```")[0])
    assert set(example) == set(marks_of(read_run(folder), ["right"])), "the example has the fields of an exported file"
    assert set(example["marks"][0]) == {"problem", "round", "winner", "mark"}
    assert f"takes {marks_needed(0.7)} marks" in text and f"at most {PROBLEMS_SHOWN:,} problems" in text
    assert capsys.readouterr().out.count("Rounds so far") == 2


def test_a_missing_file_ends_on_one_screen(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["audit", str(folder), str(folder / "nowhere.json")])
    assert ended.value.code == 2 and "cannot be read" in capsys.readouterr().err


def test_a_run_may_move_and_keeps_its_marks(folder: Path) -> None:
    marks = saved(folder, marks_of(read_run(folder), ["right"] * 3))
    moved = folder.rename(folder.parent / "elsewhere")
    assert main(["audit", str(moved), str(marks)]) == 0


@pytest.mark.parametrize("content", ['{"run": "0000"}', "[]", "{"])
def test_an_audit_of_another_run_or_of_none_is_named(folder: Path, content: str) -> None:
    (folder / AUDIT).write_text(content)
    with pytest.raises(UserError) as raised:
        read_run(folder)
    assert raised.value.where == str(folder / AUDIT)
