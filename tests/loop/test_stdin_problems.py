"""A round on problems whose solutions are programs, from the user's rows to a trained checkpoint."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from probing.records import STDIN
from rl.round_files import read_rows
from tests.loop.runs import finish
from tests.own.programs import SPELLINGS, STATEMENTS, program_rows
from tests.own.rows import write_rows

WORDS = (
    *("--problems.io", "stdin", "--prompts", "instruct", "--consolidation", "sft+grpo", "--audit", "false", "--choice.problems", "0"),
    *(
        "--problems.count",
        "8",
        "--solutions.max_new_tokens",
        "200",
        "--grpo.steps",
        "1",
        "--grpo.max_new_tokens",
        "32",
        "--evals.limit",
        "1",
    ),
    *("--suites.max_new_tokens", "32", "--guards.held_out_problems", "1", "--sandbox.seconds_per_input", "1"),
)


@pytest.mark.slow
def test_programs_are_executed_vote_and_are_learnt_from(tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "mine.jsonl", program_rows()))
    finish(tmp_path / "run", "--problems.source", path, "--solutions.source", path, *WORDS)
    folder = tmp_path / "run" / "round_01"
    problems = {row["id"]: row for row in read_rows(folder / "problems.jsonl")}
    assert len(problems) == len(STATEMENTS) and {row["entry"] for row in problems.values()} == {STDIN}
    for suite in read_rows(folder / "suites.jsonl"):
        assert suite["origins"][0] == "statement" and "mutated" in suite["origins"]
        assert all(isinstance(ast.literal_eval(text), str) for text in suite["inputs"])
    verdicts = read_rows(folder / "clusters.jsonl")
    assert len(verdicts) == len(STATEMENTS)
    for verdict in verdicts:
        assert verdict["labels"][:4] == [verdict["top"]] * 4 and verdict["kept"], "the four spellings print the same"
    programs = {row["program"] for row in read_rows(folder / "executions.jsonl")}
    assert any("__main__" in program for program in programs) and SPELLINGS[0].format("sum(xs)") in programs
    training = json.loads((folder / "training.json").read_text())
    assert training["sft_pairs"] > 0 and (tmp_path / "run" / training["checkpoint"]).is_dir()
    assert "Print their sum" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
