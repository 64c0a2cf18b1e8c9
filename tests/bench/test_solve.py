"""bench.solve: what its figures leave out and count, that it goes on where it stopped, and that solving never sees a test."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.solve import __main__ as bench
from bench.solve.summary import markdown, summary
from rl.benchmarks.base import Benchmark
from tests.evals.toys import DOUBLE, fenced

pytestmark = pytest.mark.slow

RIGHT, WRONG = "def double(x):\n    return x + x", "def double(x):\n    return x * x"
TASK = replace(DOUBLE, statement="Double the number x.\nassert double(3) == 6")
CANDIDATES = [WRONG, WRONG, WRONG, RIGHT, RIGHT]


def row(vote: bool | None, greedy: bool | None, passed: list[bool | None], share: float | None = 0.5) -> dict[str, Any]:
    handed = {"passed": vote, "won": share is not None, "share": share}
    return {"id": "t", "greedy": greedy, "passed": passed, "vote": handed, "examples": handed}


def write_answers(path: Path, texts: list[str]) -> Path:
    rows = [
        {"benchmark": "mbpp_plus", "task": TASK.id, "index": i, "completion": fenced(t), "tokens": 9, "finished": True}
        for i, t in enumerate(texts)
    ]
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))
    return path


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    drawn, greedy = write_answers(tmp_path / "drawn.jsonl.gz", CANDIDATES), write_answers(tmp_path / "greedy.jsonl.gz", [WRONG])
    files = ["--rows", str(tmp_path / "rows.jsonl"), "--json", str(tmp_path / "solve.json")]
    return ["--answers", str(drawn), "--greedy", str(greedy), *files]


def run(words: list[str], benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(bench, "load_benchmark", lambda *_: benchmark)
    assert bench.main(words) == 0
    return dict(json.loads(Path(words[words.index("--json") + 1]).read_text()))


def test_missing_is_left_out_and_unsolved_is_counted() -> None:
    rows = [row(True, True, [True, False]), row(None, False, [None, True]), {"id": "u", "greedy": True, "passed": [True], "unsolved": "x"}]
    found = summary(rows)
    assert found["figures"]["vote"] == {"tasks": 2, "missing": 1, "share": 0.5, "share_ci": found["figures"]["vote"]["share_ci"]}
    assert found["figures"]["pass@1"]["share"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert found["gains"]["vote over greedy"]["tasks"] == 2 and found["gains"]["vote over greedy"]["gain"] == -50
    assert found["unsolved"] == 1


def test_gains_are_paired_by_task() -> None:
    found = summary([row(True, False, [False])] * 6 + [row(False, False, [True])] * 2)
    assert found["gains"]["vote over greedy"]["gain"] == 75 and found["gains"]["vote over greedy"]["worse"] == 0
    assert found["gains"]["vote over pass@1"]["better"] == 6 and found["gains"]["vote over pass@1"]["worse"] == 2


def test_winners_are_counted_by_their_share_and_tasks_without_one_apart() -> None:
    found = summary(
        [row(True, True, [True], 1.0), row(False, True, [True], 0.95), row(True, True, [True], 0.3), row(False, True, [True], None)]
    )
    assert [(r["tasks"], r["passed"]) for r in found["by_share"]] == [(0, None), (1, 1.0), (0, None), (2, 0.5)]
    assert found["without_winner"] == 1


def test_the_shown_assert_rules_out_a_wrong_majority_and_the_tables_say_so(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    record = run(words, Benchmark("mbpp_plus", (TASK,), "tests"), monkeypatch)
    [found] = record["rows"]
    assert found["passed"] == [False, False, False, True, True] and found["greedy"] is False
    assert (found["vote"]["candidate"], found["vote"]["passed"]) == (0, False)
    assert (found["examples"]["candidate"], found["examples"]["passed"]) == (3, True)
    assert record["command"].startswith("python -m bench.solve --answers drawn.jsonl.gz") and "/" not in record["command"]
    assert "| greedy | 1 | 0.0 %" in markdown(record) and "mutants of the shown call" in markdown(record)


def test_tests_and_reference_do_not_reach_solving(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(TASK, inputs=("[2]",), reference="def double(x):\n    return x * x")
    first = run(words, Benchmark("mbpp_plus", (TASK,), "tests"), monkeypatch)["rows"][0]
    Path(words[words.index("--rows") + 1]).unlink()
    second = run(words, Benchmark("mbpp_plus", (other,), "tests"), monkeypatch)["rows"][0]
    assert first["passed"] != second["passed"]
    for key in ("vote", "examples"):
        assert {k: v for k, v in first[key].items() if k not in ("passed", "first_of_ranking")} == {
            k: v for k, v in second[key].items() if k not in ("passed", "first_of_ranking")
        }


def test_it_goes_on_where_it_stopped_and_not_with_other_settings(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = Benchmark("mbpp_plus", (TASK,), "tests")
    first = run(words, benchmark, monkeypatch)
    monkeypatch.setattr(bench, "solve_tasks", lambda *_: pytest.fail("solved twice"))
    assert run(words, benchmark, monkeypatch)["rows"] == first["rows"]
    with pytest.raises(SystemExit) as left:
        bench.main([*words, "--input_tokens", "99"])
    assert left.value.code == 2 and "other settings" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "said"), [([], "nothing to draw candidates from"), (["--answers", "x.jsonl"], "without --greedy")])
def test_what_is_lacking_is_said(given: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "load_benchmark", lambda *_: Benchmark("mbpp_plus", (TASK,), "tests"))
    with pytest.raises(SystemExit) as left:
        bench.main(given)
    assert left.value.code == 2 and said in capsys.readouterr().err
