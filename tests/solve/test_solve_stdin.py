"""`ucoder solve --io stdin` and `ucoder judge --io stdin`: candidates are programs, judged by what they print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from probing.records import STDIN
from probing.samplers.base import Completion, Progress, SamplingParams
from rewards.clusters.inputs import InputsConfig
from rewards.judge import cli as judge_cli
from rewards.judge.programs import run_programs
from rewards.rules.consensus import ConsensusConfig
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.user_error import UserError
from rl.cli import main
from rl.solve.dialogue import talk
from rl.solve.statement import read_program_statement
from rl.solve.vote import Vote
from tests.own.programs import SPELLINGS

STATEMENT = """# Sum

The first line holds n (1 <= n <= 50), the second line n integers. Print their sum.

Sample Input

3
31 7 16

Sample Output

54
"""
RIGHT = [spelling.format("sum(xs)") for spelling in SPELLINGS]
WRONG = SPELLINGS[0].format("sum(map(abs, xs))")
TEXTS = ["3\n31 7 16\n", "2\n-5 9\n", "1\n4\n"]


class ToyModel:
    """Answers a question for inputs with two, and one for a solution with the next program."""

    def __init__(self, *programs: str) -> None:
        self.programs = programs

    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        solving = "The complete" in prompts[0] or "Answer with one code block" in prompts[0]
        texts = [f"{code}\n```" for code in self.programs] if solving else ["2\n-5 9\n### Input\n1\n4\n"]
        return [[Completion(texts[i % len(texts)], (1, 2), (-0.1 * (i + 1),) * 2, True) for i in range(n)] for _ in prompts]

    def close(self) -> None: ...


@pytest.fixture
def solve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """solve(model, *words, text) -> exit status."""

    def run(model: ToyModel, *words: str, text: str = STATEMENT) -> int:
        file = tmp_path / "problem.md"
        file.write_text(text)
        monkeypatch.setattr("probing.samplers.engines.factory.open_sampler", lambda *_: model)
        common = ["--model", "seedling", "--io", "stdin", "--inputs", "12", "--samples", str(max(2, len(model.programs)))]
        try:
            return main(["solve", str(file), *common, *words])
        except SystemExit as left:
            return int(left.code or 0)

    return run


def test_the_program_that_most_agree_with_is_printed_and_written(solve: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "program.py"
    assert solve(ToyModel(WRONG, *RIGHT), "--prompts", "instruct", "--out", str(out)) == 0
    said = capsys.readouterr().out
    assert out.read_text().rstrip() in RIGHT and said.startswith(out.read_text().rstrip())
    assert "reads standard input and prints" in said and "4 of 5 (80 %)" in said and "signature" not in said and "interface" not in said
    assert "'2\\n-5 9\\n'" in said and "the statement says '54', 0 ruled out" in said


def test_samples_of_the_statement_rule_programs_out(solve: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shifted = [SPELLINGS[i].format("sum(xs) + 1") for i in range(3)]
    assert solve(ToyModel(*shifted, RIGHT[0], RIGHT[3]), "--prompts", "instruct", "--json", "-") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["entry"] == STDIN and record["program"] in RIGHT and record["known"][0]["ruled_out"] == 3
    assert record["origins"][0] == "statement" and record["pool"][0] == repr(TEXTS[0])


def test_what_does_not_go_together_ends_on_one_screen(solve: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (("--prompts", "seedling"), "lacks tests_stdin.jinja, solve_stdin.jinja, which --io stdin needs"),
        (("--prompts", "instruct", "--signature", "def f(x: int) -> int:"), "has no signature"),
    ):
        assert solve(ToyModel(*RIGHT), *words) == 2
        printed = capsys.readouterr()
        assert said in " ".join((printed.out + printed.err).split()) and "Traceback" not in printed.err


def test_a_sample_without_output_is_an_input_alone() -> None:
    statement = read_program_statement("Print the sum.\n\nSample Input 1\n\n1\n5\n\nSample Input 2\n\n2\n3 4\n\nSample Output 2\n\n7.0\n")
    assert [(e.input, e.value, e.known) for e in statement.examples] == [(repr("1\n5\n"), None, False), (repr("2\n3 4\n"), "7", True)]


@pytest.mark.parametrize("said", ["4", "4.0", "'4'"])
def test_a_person_says_what_is_printed(said: str) -> None:
    with Sandbox(SandboxConfig(workers=1)) as sandbox:
        programs = run_programs([*RIGHT, WRONG, WRONG], STDIN, [repr(text) for text in TEXTS], sandbox)
        vote = Vote.of(programs, sandbox, ConsensusConfig(), InputsConfig(keep=3))
        after = talk(vote, Console(quiet=True), lambda prompt: said)
    assert after is not None and after.code in RIGHT and np.isin(after.programs.places, range(4)).all()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    candidates, inputs = tmp_path / "candidates.jsonl", tmp_path / "inputs.json"
    candidates.write_text("".join(json.dumps({"code": f"Here:\n```python\n{code}\n```"}) + "\n" for code in [WRONG, *RIGHT]))
    inputs.write_text(json.dumps(TEXTS))
    return [str(candidates), "--inputs", str(inputs)]


def test_judge_ranks_programs(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert judge_cli.main([*files, "--io", "stdin", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    winner = next(cluster for cluster in report["clusters"] if cluster["winner"])
    assert winner["samples"] == 4 and report["valid"] == 5 and sorted(winner["outcomes"]) == ["'4'", "'4'", "'54'"]
    assert {row["candidate"] for row in report["ranking"][:4]} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--entry is missing"),
        (("--io", "stdin", "--entry", "f"), "--entry is about functions"),
        (("--io", "stdin", "--given", "x.py", "--asserts", "a.json"), "--asserts and --given are about functions"),
    ],
)
def test_judge_says_what_does_not_go_together(files: list[str], words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        judge_cli.main([*files, *words])


def test_judge_says_which_input_is_no_text(files: list[str]) -> None:
    Path(files[-1]).write_text(json.dumps(["1\n4\n", [3]]))
    with pytest.raises(UserError, match="input 2"):
        judge_cli.main([*files, "--io", "stdin"])
