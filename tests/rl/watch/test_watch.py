"""`ucoder watch`: what it says follows from the folder alone, at any moment of a run, and it never writes there."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from rl.cli import main
from rl.progress import NAME
from rl.watch.eta import run_left, stage_left
from rl.watch.reading import Reader
from rl.watch.screen import page, trend
from rl.watch.status import ACTIVE_SECONDS, SILENT_SECONDS, last_written, status_of
from tests.rl.fake_run import PROBLEMS, SAMPLES, write_run

NOW = 1_000_000.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("runs") / "night", rounds=3)
    stages = {"0": {"eval": 20.0}, **{str(n): {"solutions": 60.0, "training": 120.0, "eval": 20.0} for n in (1, 2, 3)}}
    memory = {"1": {"training": 2048.0, "solutions": 512.0}, "2": {"training": 3072.0}}
    (folder / "times.json").write_text(json.dumps({"stages": stages, "memory": memory, "peak_memory_mb": 3072.0}))
    return folder


def said(**changes: Any) -> dict[str, Any]:
    """A progress file as of NOW."""
    return {
        "state": "running",
        "host": "node7",
        "pid": 4242,
        "process_started": 1.0,
        "ranks": 1,
        "started": NOW - 100,
        "written": NOW - 1,
        "stage": {"round": 2, "name": "training", "started": NOW - 60},
        "task": {"round": 2, "name": "grpo", "unit": "steps", "total": 24, "started": NOW - 50, "done": 4, "advanced": NOW - 10},
        "memory_mb": 1024,
        "error": None,
        **changes,
    }


def shown(folder: Path, width: int = 140) -> str:
    console = Console(file=StringIO(), width=width, no_color=True, highlight=False)
    console.print(page(Reader(folder, clock=lambda: NOW).read()))
    output = console.file
    assert isinstance(output, StringIO)
    return output.getvalue()


def half_way(folder: Path, **changes: Any) -> Path:
    """A run of three rounds in the training of its second."""
    write_run(folder, rounds=3)
    (folder / "summary.json").unlink()
    for number in (2, 3):
        (folder / f"round_{number:02d}" / "metrics.json").unlink()
    stages = {"0": {"eval": 20.0}, "1": {"solutions": 60.0, "training": 120.0, "eval": 20.0}, "2": {"solutions": 66.0}}
    (folder / "times.json").write_text(json.dumps({"stages": stages, "peak_memory_mb": 2048.0}))
    (folder / NAME).write_text(json.dumps(said(**changes)))
    return folder


def test_a_running_run_shows_its_stage_and_both_times(tmp_path: Path) -> None:
    text = shown(half_way(tmp_path / "run"))
    assert "rounds 1 of 3 done" in text
    assert re.search(r"running +for 1 min 40 s \(node7, process 4242\)", text)
    assert "round 2 · training" in text
    assert "grpo: 4/24 steps  16 %" in text
    assert "ETA 3 min 10 s" in text  # 10 s a step, 20 to go, 10 s into the next
    # training 190 s more, its evaluation 20 s, and a whole round of 200 s
    assert "about 6 min 50 s more" in text


def test_rounds_stand_with_their_interval_and_gain(finished: Path) -> None:
    rows = [line for line in shown(finished).splitlines() if "│" in line]
    assert "41.0 % [38.5, 43.5]" in rows[0] and "–" in rows[0]
    assert "54.0 % [51.5, 56.5]" in rows[3] and "+13.0 points [+10.0, +16.0]" in rows[3]


def test_the_funnel_is_counted_from_the_round_s_files(tmp_path: Path) -> None:
    folder = half_way(tmp_path / "run")
    assert "– proposals → 14 problems" in shown(folder), "what is not known is a dash"
    (folder / "round_03" / "funnel.json").write_text(json.dumps({"proposed": 160, "kept": 93}))
    programs = len((folder / "round_03" / "executions.jsonl").read_text().splitlines())
    answers = f"{PROBLEMS * SAMPLES:,} answers ({PROBLEMS} without a program)"
    counted = f"{answers} → {programs} distinct programs → 14 votes with a winner → 11 in the band"
    assert f"160 proposals → 14 problems → 84 inputs → {counted}" in shown(folder, width=200)
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(line for line in lines if '"sampling"' not in line))
    assert f"84 inputs → – answers → {programs} distinct programs" in shown(folder, width=200)


def test_training_figures_are_those_of_the_last_training(finished: Path) -> None:
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["stage"] == "grpo" and row["round"] == 3]
    line = next(line for line in shown(finished).splitlines() if "token entropy" in line)
    assert f"{last[0]['entropy']:.3f}" in line and f"{last[-1]['entropy']:.3f}" in line
    assert "step 24" in shown(finished)


def test_what_is_best_so_far_is_said_once_a_round_is_evaluated(finished: Path) -> None:
    run = replace(Reader(finished, clock=lambda: NOW).read(), final={"choice": {"reason": "the last round"}})
    for rows, said_so in ((run.rows[:1], False), (run.rows[:2], True)):
        console = Console(file=StringIO(), width=140, no_color=True)
        console.print(page(replace(run, rows=rows)))
        assert ("best so far: the last round" in cast(StringIO, console.file).getvalue()) is said_so


def test_a_figure_that_rounds_to_nothing_has_no_sign(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", rounds=1)
    row = {"round": 1, "stage": "grpo", "step": 1, "consensus": -1e-8}
    (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    line = next(line for line in shown(folder).splitlines() if "agreement with the votes" in line)
    assert line.split("votes")[-1].split()[:2] == ["0.000", "0.000"]


def test_what_is_rewarded_is_shown_in_its_parts_and_not_mixed(tmp_path: Path) -> None:
    text = shown(write_run(tmp_path / "run", rounds=1))
    assert "agreement with the votes" in text and "the probe's score" in text
    assert "reward" not in text, "the mixed one is centred in each group: 0 at every step"


def test_guards_are_named_with_their_cause(finished: Path, tmp_path: Path) -> None:
    assert "raise kl  step 20: token entropy fell to 29% of its baseline" in shown(finished)
    assert "none has acted" in shown(write_run(tmp_path / "quiet", rounds=1, guards=False))


def test_time_and_memory_are_by_stage(finished: Path) -> None:
    lines = shown(finished).splitlines()
    assert re.search(r"training +– +2 min 00 s +2 min 00 s +2 min 00 s +3.0 GB", next(x for x in lines if x.strip().startswith("training")))
    assert re.search(r"solutions .* 0.5 GB", next(x for x in lines if x.strip().startswith("solutions")))


@pytest.mark.parametrize(
    ("changes", "alive", "state"),
    [
        ({}, True, "running"),
        ({}, None, "running"),
        ({"written": NOW - 5}, False, "running"),  # it may be ending just now
        ({"written": NOW - 20}, False, "killed"),
        ({"written": NOW - SILENT_SECONDS - 1}, None, "killed"),
        ({"written": NOW - SILENT_SECONDS + 1}, None, "running"),
        ({"written": NOW - SILENT_SECONDS - 1}, True, "silent"),
        ({"written": NOW + 30}, None, "running"),  # that machine's clock is ahead
        ({"state": "finished", "written": NOW - 9999}, False, "finished"),
        ({"state": "failed", "error": {"kind": "SandboxError", "text": "no more forks"}}, False, "failed"),
        ({"state": "interrupted"}, False, "interrupted"),
    ],
)
def test_the_status_follows_from_the_last_word(tmp_path: Path, changes: dict[str, Any], alive: bool | None, state: str) -> None:
    status = status_of(said(**changes), tmp_path, False, {"run_dir": str(tmp_path)}, NOW, lambda *_: alive)
    assert status.state == state
    goes_on = f"rl/train.py --config {tmp_path}/config.yaml" in status.remedy
    assert goes_on == (state in ("killed", "failed", "interrupted"))
    if state == "failed":
        assert "in round 2, training: SandboxError: no more forks" in status.text


def test_a_moved_run_goes_on_where_it_lies_with_its_ranks(tmp_path: Path) -> None:
    progress = said(state="interrupted", ranks=8)
    remedy = status_of(progress, tmp_path, False, {"run_dir": "runs/elsewhere"}, NOW).remedy
    assert remedy.endswith(f"--num_processes 8 rl/train.py --config {tmp_path}/config.yaml --run_dir {tmp_path}")


def test_a_run_without_progress_is_judged_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "round_01" / "grpo").mkdir(parents=True)
    (tmp_path / "round_01" / "grpo" / "rewards.jsonl").write_text("")
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.utime(path, (NOW - 5000, NOW - 5000))
    os.utime(tmp_path / "round_01" / "grpo" / "rewards.jsonl", (NOW - 7, NOW - 7))
    assert last_written(tmp_path) == NOW - 7
    assert status_of({}, tmp_path, False, {}, NOW).text.startswith("probably running")
    assert "nothing was written for" in status_of({}, tmp_path, False, {}, NOW + ACTIVE_SECONDS).text
    assert status_of({}, tmp_path, True, {}, NOW).state == "unknown"
    (tmp_path / "report.html").write_text("")
    assert status_of({}, tmp_path, True, {}, NOW).state == "finished"


def test_a_last_line_that_is_half_written_is_left_out(tmp_path: Path) -> None:
    folder = half_way(tmp_path / "run")
    whole = shown(folder)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"round": 3, "stage": "grpo", "step": 25, "entr')
    assert shown(folder) == whole


def test_a_reader_looks_again_only_at_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = half_way(tmp_path / "run")
    reader, looks = Reader(folder, clock=lambda: NOW), []
    from rl.watch import reading

    monkeypatch.setattr(reading, "count_lines", lambda path: looks.append(path.name) or 7)
    first = reader.read().funnel
    assert first is not None and first.problems == 7
    reader.read()
    assert sorted(looks) == ["executions.jsonl", "problems.jsonl"]
    with (folder / "round_03" / "problems.jsonl").open("a") as file:
        file.write("{}\n")
    reader.read()
    assert looks.count("problems.jsonl") == 2 and looks.count("executions.jsonl") == 1


def test_it_changes_nothing_in_the_folder(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert main(["watch", str(finished), "--once"]) == 0
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before
    assert "Rounds so far" in capsys.readouterr().out


def test_a_run_that_has_only_begun_is_shown(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model: seedling\nrounds: 2\n")
    text = shown(tmp_path)
    assert "rounds 0 of 2 done" in text and "no stage is finished yet" in text


def test_text_from_files_cannot_steer_the_terminal(tmp_path: Path) -> None:
    folder = half_way(tmp_path / "run", state="failed", error={"kind": "RoundError", "text": "a\x1b[2Jb\x07[bold]c[/bold]"})
    text = shown(folder)
    assert "\x1b" not in text and "\x07" not in text
    assert "[bold]c[/bold]" in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (NAME, '{"state": "running"}'),
        (NAME, '{"state": '),
        (NAME, "[]"),
        ("metrics.jsonl", "5\n"),
        ("metrics.jsonl", '{"round": 1}\n'),
        ("metrics.jsonl", b"\xff\xfe\n"),
        ("summary.json", '{"base": 3, "rounds": 7}'),
        ("config.yaml", "- a list"),
        ("times.json", '{"stages": {"x": 1}}'),
        ("round_03/clusters.jsonl", '{"problem_id": "a"}\n'),
        ("round_03/suites.jsonl", "{\n"),
        ("round_03/suites.jsonl", "null\n"),
        ("round_03/suites.jsonl", b"\xff\n"),
        ("round_03/clusters.jsonl", "[" * 100_000),
        ("times.json", "9" * 5000),
    ],
)
def test_a_broken_file_ends_on_one_screen_that_names_it(
    tmp_path: Path, name: str, content: str | bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = half_way(tmp_path / "run")
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SystemExit) as ended:
        main(["watch", str(folder), "--once"])
    assert ended.value.code == 2
    screen = capsys.readouterr().err
    assert str(folder / name) in screen and "Traceback" not in screen


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_that_is_no_run_ends_on_one_screen(tmp_path: Path, made: bool, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    if made:
        folder.mkdir()
        (folder / "holiday.json").write_text("{}")
    with pytest.raises(SystemExit) as ended:
        main(["watch", str(folder), "--once"])
    assert ended.value.code == 2
    assert "folder" in capsys.readouterr().err


def test_eta_needs_a_first_item_and_a_run_s_estimate_a_first_round() -> None:
    assert stage_left({"done": 0, "total": 9, "started": 0.0, "advanced": None}, 5.0) is None
    late = {"done": 2, "total": 4, "started": 0.0, "advanced": 20.0}
    assert stage_left(late, 500.0) == 10.0, "one that takes long does not take the next ones' time"
    assert run_left({"0": {"eval": 5.0}}, 3, 1, "problems", 1.0, None) is None


def test_what_a_sampler_says_of_the_time_left_is_taken() -> None:
    task = {"done": 2, "total": 4, "started": 0.0, "advanced": 20.0, "left": 50.0, "left_at": 30.0}
    assert stage_left(task, 40.0) == 40.0
    assert stage_left(task, 90.0) == 0.0
    assert stage_left({**task, "left": None}, 40.0) is None, "it cannot tell yet"
    assert stage_left({**task, "left": None, "left_at": None}, 20.0) == 20.0, "no sampler: by the pace so far"


def test_tokens_are_shown_with_their_rate(tmp_path: Path) -> None:
    folder = half_way(tmp_path / "run", task={**said()["task"], "tokens": 5000, "left": 30.0, "left_at": NOW - 10})
    text = shown(folder)
    assert "5,000 tokens, 100/s" in text and "ETA 20.0 s" in text


def test_a_trend_tells_rise_from_rounding() -> None:
    assert trend([1.0, 2.0, 3.0]) == "▁▅█"
    assert trend([1e-9, -1e-9, 0.0]) == "▁▁▁"
    assert trend([None, None]) == ""
