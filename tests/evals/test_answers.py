"""`ucoder eval --answers`: what is already there is graded as if it had just been drawn, and no model is loaded."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rl.benchmarks.evalplus import PlusBenchmark, task_of
from rl.cli import main
from rl.config.evals import normal_name
from tests.evals.toys import DOUBLE, FIRST, TOY, fenced

WINDOW, EARLIER = "livecodebench:v6:2024-08-01:2025-05-01", "livecodebench:v6:2024-01-01:2024-07-31"
MORE = ["--model", "somebody", "--temperature", "0.8"]
PLUS = {"task_id": "T/0", "prompt": "def inc(x):\n", "entry_point": "inc", "canonical_solution": "    return x + 1\n"}
PLUS |= {"base_input": [[1]], "plus_input": [[2]], "atol": 0}


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for loader in ("probing.models.loading.load_model", "probing.models.loading.load_tokenizer", "rl.evals.cli.resolve_model"):
        monkeypatch.setattr(loader, lambda *_, **__: pytest.fail("a model was loaded"))
    toys = {
        "toy": TOY,
        WINDOW: replace(TOY, name="livecodebench"),
        EARLIER: replace(TOY, name="livecodebench"),
        "plus": PlusBenchmark("plus", (task_of(PLUS, False),), "tests"),
    }

    def load(name: str, limit: int | None = None, fetch: bool = False) -> Any:
        found = toys[normal_name(name)]
        return replace(found, tasks=found.tasks[:limit])

    monkeypatch.setattr("rl.evals.cli.load_benchmark", load)


def row(task: str, index: int, code: str, **more: Any) -> dict[str, Any]:
    return {"benchmark": "toy", "task": task, "index": index, "completion": fenced(code), "tokens": 10} | more


RIGHT, WRONG = DOUBLE.reference, "def double(x):\n    return 0"
ROWS = [
    row(FIRST.id, 1, FIRST.reference, tokens=512),
    row(DOUBLE.id, 0, RIGHT),
    row(DOUBLE.id, 1, WRONG, finished=False),
    row(FIRST.id, 0, "nothing"),
]


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def graded(tmp_path: Path, file: str, *words: str) -> dict[str, Any]:
    out = tmp_path / "out.json"
    assert main(["eval", "--answers", file, *MORE, "--json", str(out), *words]) == 0
    return json.loads(out.read_text())


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(["eval", *words])
    assert left.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_answers_are_graded_by_task_and_index(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl.gz", ROWS)
    record = graded(tmp_path, file)
    assert record["answers"] == {"file": "a.jsonl.gz", "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()}
    assert (record["model"], record["model_hash"], record["config"]["samples"]) == ("somebody", None, 2)
    rows = {task["id"]: task["correct"] for task in record["benchmarks"]["toy"]["tasks"]}
    assert rows == {DOUBLE.id: 1, FIRST.id: 1}
    metrics = record["benchmarks"]["toy"]["metrics"]
    assert (metrics["samples"], metrics["cut_off"], metrics["mean_length"]) == (4, 0.5, (10 * 3 + 512) / 4)


def test_what_samples_out_writes_is_read_back_to_the_same_figures(tmp_path: Path) -> None:
    first = graded(tmp_path, written(tmp_path / "a.jsonl", ROWS), "--samples_out", str(tmp_path / "b.jsonl.gz"))
    again = graded(tmp_path, str(tmp_path / "b.jsonl.gz"))
    assert again["benchmarks"] == first["benchmarks"]


def test_two_windows_of_a_benchmark_are_read_back_and_exported_apart(tmp_path: Path) -> None:
    rows = [one | {"benchmark": name} for name in (WINDOW, EARLIER) for one in ROWS]
    first = graded(tmp_path, written(tmp_path / "a.jsonl", rows), "--samples_out", str(tmp_path / "b.jsonl"))
    again = graded(tmp_path, str(tmp_path / "b.jsonl"), "--export", "official", "--export_dir", str(tmp_path / "out"))
    assert list(again["benchmarks"]) == [WINDOW, EARLIER] and again["benchmarks"] == first["benchmarks"]
    files = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert files == ["livecodebench_v6_2024-01-01_2024-07-31.json", "livecodebench_v6_2024-08-01_2025-05-01.json"]


def test_the_other_names_of_the_fields_are_read(tmp_path: Path) -> None:
    rows = [{"benchmark": "toy", "task_id": r["task"], "index": r["index"], "text": r["completion"], "n": r["tokens"]} for r in ROWS]
    metrics = graded(tmp_path, written(tmp_path / "a.jsonl", rows))["benchmarks"]["toy"]["metrics"]
    assert (metrics["pass@1"], metrics["mean_length"]) == (0.5, 135.5)


def test_a_line_separator_inside_an_answer_ends_no_line(tmp_path: Path) -> None:
    rows = [*ROWS[:1], row(DOUBLE.id, 0, f"# a\u2028b\n{RIGHT}"), *ROWS[2:]]
    assert graded(tmp_path, written(tmp_path / "a.jsonl", rows))["benchmarks"]["toy"]["metrics"]["pass@1"] == 0.5


@pytest.mark.parametrize(("style", "passed"), [("evalplus", 1.0), ("plain", 0.0)])
def test_tabs_are_handed_on_as_the_public_harnesses_do(tmp_path: Path, style: str, passed: float) -> None:
    code = "def inc(x):\n    y = x + 1\n\treturn y"  # Python takes a tab for eight columns: only as four spaces does it parse
    rows = [row("T/0", 0, code, benchmark="plus")]
    assert graded(tmp_path, written(tmp_path / "a.jsonl", rows), "--prompt", style)["benchmarks"]["plus"]["metrics"]["pass@1"] == passed


def test_a_benchmark_that_is_named_twice_is_measured_once(tmp_path: Path) -> None:
    record = graded(tmp_path, written(tmp_path / "a.jsonl", ROWS), "--benchmarks", "toy, Toy,toy")
    assert len(record["benchmarks"]) == 1


def test_answers_beyond_the_limit_are_passed_over(tmp_path: Path) -> None:
    record = graded(tmp_path, written(tmp_path / "a.jsonl", ROWS), "--limit", "1")
    assert record["benchmarks"]["toy"]["metrics"]["tasks"] == 1


@pytest.mark.parametrize(
    ("rows", "words", "said"),
    [
        (ROWS[:1] + ROWS[3:], MORE, "no answer to 1 of 2 tasks of toy: toy/double"),
        ([*ROWS, row("toy/third", 0, "x"), row("toy/third", 1, "x")], MORE, "toy has no task toy/third"),
        (ROWS[:3], MORE, "different numbers of answers: 1 to toy toy/first; 2 to toy toy/double"),
        ([*ROWS, ROWS[0]], MORE, "answer 1 to toy/first is there twice where a.jsonl, line 5"),
        ([{"benchmark": "toy", "task": "toy/first", "index": 0, "completion": "x"}], MORE, "'tokens' is missing"),
        ([row(FIRST.id, 0, "x", tokens="9")], MORE, "'tokens' is \"9\", where a number is wanted"),
        ([row(FIRST.id, 0, "x", finished=1)], MORE, "'finished' is 1"),
        ([], MORE, "the file has no answers"),
        (ROWS, MORE[2:], "without --model"),
        (ROWS, MORE[:2], "without --temperature"),
        (ROWS, [*MORE, "--temperature", "0"], "greedy decoding gives one"),
        (ROWS, [*MORE, "--samples", "2", "--url", "http://x/v1"], "--url, --samples has no meaning"),
        (ROWS, [*MORE, "--benchmarks", "plus"], "the file has answers to toy, none to plus"),
    ],
)
def test_what_cannot_be_graded_is_one_screen(
    rows: list[dict[str, Any]],
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    written(Path("a.jsonl"), rows)
    assert said in refused(capsys, "--answers", "a.jsonl", *words)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b"{}\n[1", "line 1"),
        ("a.jsonl", b"[1]\n", "no JSON object"),
        ("a.jsonl", b"\n{\n", "line 2"),
        ("a.jsonl", b"\xff\n", "cannot be read"),
        ("a.jsonl.gz", gzip.compress(b"{}\n", mtime=0)[:-6], "cannot be read"),
        ("a.jsonl.gz", b"{}\n", "cannot be read"),
        ("absent.jsonl", None, "No such file"),
    ],
)
def test_a_broken_file_is_one_screen(
    name: str, content: bytes | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert said in refused(capsys, "--answers", str(tmp_path / name), *MORE)
