"""`ucoder solve`: the program, the report, the record, and one screen for each mistake. The model is a toy; the sandbox is real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from probing.stages.solutions import TYPING
from rewards.judge import cli as judge_cli
from rl.cli import main
from rl.solve.report import tidy
from tests.solve.toys import BROKEN, RIGHT, SIGNED, SPREAD, STATEMENT, ToyModel

VOTERS = [RIGHT, RIGHT, RIGHT, SIGNED, SIGNED, SPREAD]


@pytest.fixture
def solve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """solve(model, *words, text) -> exit status."""

    def run(model: ToyModel, *words: str, text: str = STATEMENT) -> int:
        file = tmp_path / "problem.md"
        file.write_text(text)
        monkeypatch.setattr("probing.samplers.engines.factory.open_sampler", lambda *_: model)
        common = ["--model", "seedling", "--prompts", "instruct", "--inputs", "20", "--samples", str(max(2, len(model.answers["solve"])))]
        try:
            return main(["solve", str(file), *common, *words])
        except SystemExit as left:
            return int(left.code or 0)

    return run


def test_the_program_of_the_largest_cluster_and_how_far_to_trust_it(solve: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert solve(ToyModel([*VOTERS, BROKEN])) == 0
    out, err = capsys.readouterr()
    assert out.startswith(RIGHT) and err == ""  # no bars where nobody watches
    assert "3 of 6 (50 %), +17 points ahead" in out and "3 distinct" in out and "Theorem 2.4" in out
    assert "no vote      1: too few inputs give a value" in out and "Where candidates disagree" in out


def test_the_record_says_what_ucoder_judge_says_of_the_same_programs(
    solve: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert solve(ToyModel([*VOTERS, "no program here"]), "--json", "-") == 0
    record = json.loads(capsys.readouterr().out)
    codes, inputs = tmp_path / "candidates.jsonl", tmp_path / "inputs.json"
    rows = [{"code": c or "", "logprob": p} for c, p in zip(record["programs"], record["mean_logprobs"], strict=True)]
    codes.write_text("".join(json.dumps(row) + "\n" for row in rows))
    inputs.write_text(json.dumps(record["pool"]))
    assert judge_cli.main([str(codes), "--entry", record["entry"], "--inputs", str(inputs), "--keep", "20", "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)
    assert {key: record[key] for key in judged} == judged
    assert record["program"] == RIGHT and record["won"] is True


def test_the_same_seed_gives_the_same_record(solve: Any, capsys: pytest.CaptureFixture[str]) -> None:
    records = []
    for seed in ("3", "3", "4"):
        assert solve(ToyModel(VOTERS), "--seed", seed, "--json", "-") == 0
        record = json.loads(capsys.readouterr().out)
        records.append({key: value for key, value in record.items() if key not in ("seconds", "command", "seed")})
    assert records[0] == records[1]
    assert records[0]["pool"] != records[2]["pool"]


def test_examples_of_the_statement_outvote_a_wrong_majority_unless_they_are_ignored(
    solve: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, text = tmp_path / "solution.py", STATEMENT + "\nlargest_gap([9, 1]) == 8\n"
    wrong = [SIGNED, SIGNED, SIGNED, RIGHT, RIGHT]
    assert solve(ToyModel(wrong), "--out", str(out), text=text) == 0
    assert out.read_text() == RIGHT + "\n" and "the statement says 8, 3 ruled out" in capsys.readouterr().out
    assert solve(ToyModel(wrong), "--no-examples", "--out", str(out), text=text) == 0
    assert out.read_text() == SIGNED + "\n"


def test_examples_that_no_candidate_meets_together_are_told_apart_from_those_that_none_meets(
    solve: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ToyModel([RIGHT, SIGNED, SPREAD])
    text = STATEMENT + "\nlargest_gap([9, 1]) == 8\nlargest_gap([3, 1]) == -2\nlargest_gap([1, 5, 9]) == 77\n"
    assert solve(model, "--json", "-", text=text) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert record["conflicting_examples"] == [{"input": "[[9, 1]]", "value": "8"}, {"input": "[[3, 1]]", "value": "-2"}]
    assert record["unmet_examples"] == [{"input": "[[1, 5, 9]]", "value": "77"}] and record["distinct_programs"] == 3
    assert "not all of these give 8 for largest_gap([9, 1])" in err and "not all of these give -2 for largest_gap([3, 1])" in err
    assert "no candidate gives 77" in err and "no candidate gives -2" not in err and "no candidate gives 8" not in err


def test_a_person_s_answers_go_into_the_record(
    solve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("builtins.input", lambda: "b")
    file = tmp_path / "record.json"
    assert solve(ToyModel([RIGHT, RIGHT, RIGHT, SIGNED, SIGNED]), "--interactive", "--json", str(file)) == 0
    record = json.loads(file.read_text())
    assert record["program"] == SIGNED and record["known"][0]["by"] == "person" and record["known"][0]["ruled_out"] == 3
    assert "What does largest_gap(" in capsys.readouterr().out


def test_answers_that_rule_everybody_out_end_without_a_program(solve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("builtins.input", lambda: "n")
    out = tmp_path / "solution.py"
    assert solve(ToyModel([RIGHT, RIGHT, SIGNED, SIGNED]), "--interactive", "--out", str(out)) == 1
    assert not out.exists()


def test_unknown_logprobs_are_null_and_the_vote_goes_on_without_them(solve: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model = ToyModel(VOTERS)
    model.knows_logprobs = False
    assert solve(model, "--json", "-") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["mean_logprobs"] == [None] * len(VOTERS) and record["program"] == RIGHT and record["won"]


def test_no_vote_is_said_with_its_reasons(solve: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "solution.py"
    assert solve(ToyModel([BROKEN, BROKEN, "def largest_gap(xs): import numpy; return 0"]), "--out", str(out)) == 1
    said = capsys.readouterr().out
    assert "No vote: no candidate has a vote (3 sampled)" in said and "2: too few inputs" in said and "1: they need a module" in said
    assert not out.exists()


def test_without_two_that_agree_the_first_of_the_ranking_is_shown_with_a_warning(solve: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert solve(ToyModel([RIGHT, SIGNED, SPREAD]), "--json", "-") == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert record["won"] is False and record["program"] in (RIGHT, SIGNED, SPREAD) and "do not rely on it" in err


@pytest.mark.parametrize(
    ("model", "text", "said"),
    [
        (ToyModel(), "Do something nice.", "no signature with types"),
        (ToyModel(tests=["no calls"]), STATEMENT, "no call that fits"),
        (ToyModel(["I am sorry."] * 2), STATEMENT, "none of 2 answers holds a program"),
    ],
)
def test_a_stage_that_gives_nothing_ends_in_one_screen(
    solve: Any, model: ToyModel, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert solve(model, text=text) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("ucoder cannot start") and said in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nowhere/problem.md", "--model", "seedling"], "no such file"),
        (["FILE", "--model", "./nowhere"], "no model at ./nowhere"),
        (["FILE", "--model", "seedling", "--samples", "1"], "--samples 1"),
        (["FILE", "--model", "seedling", "--temperature", "0"], "--temperature 0"),
        (["FILE", "--model", "seedling", "--inputs", "0"], "--inputs 0"),
        (["FILE", "--model", "seedling", "--signature", "f(x)"], "no signature with typed arguments"),
        (["FILE", "--model", "seedling", "--nonsense"], "unknown argument '--nonsense'"),
        (["FILE", "--model", "seedling", "--out", "/proc/nowhere/x.py"], "--out cannot be written"),
        (["FILE", "--model", "seedling", "--prompts", "nowhere"], "no prompt set 'nowhere'"),
        (["FILE", "--model", "seedling", "--url", "http://127.0.0.1:9/v1"], "no OpenAI-compatible server answers"),
        (["FILE", "--model", "seedling", "--packages", "nosuchpackage"], "nosuchpackage"),
        (["-", "--model", "seedling", "--interactive"], "both come from standard input"),
        (["FILE"], "--model"),
    ],
)
def test_mistakes_end_in_one_screen(tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "problem.md"
    file.write_text(STATEMENT)
    with pytest.raises(SystemExit) as left:
        main(["solve", *(str(file) if word == "FILE" else word for word in words)])
    out, err = capsys.readouterr()
    assert left.value.code == 2 and said in err and out == ""


@pytest.mark.parametrize(
    ("rest", "shown"),
    [
        ("def f(x: List[int]) -> Optional[int]:\n    return x", "from typing import List, Optional\n\n\n"),
        ("def f(Listing):\n    return Listing", ""),
    ],
)
def test_a_program_is_shown_with_the_names_of_typing_that_it_uses(rest: str, shown: str) -> None:
    assert tidy(TYPING + rest) == shown + rest
    assert tidy(rest) == rest
