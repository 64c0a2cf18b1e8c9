"""`problems.io: stdin`: rows become problems whose solutions are programs, which are executed, vote and are rewarded by what they print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probing.parsing.proposals import Unreadable
from probing.reading import read_program, read_voter
from probing.records import STDIN, Candidate, Problem, TestSuite
from probing.samplers.base import Completion
from probing.stages.config import SuitesConfig
from probing.stages.stdin_suites import stdin_suite
from rewards.judge.determinism import Steady
from rewards.mixed import MixedConfig
from rewards.rules.consensus import ConsensusConfig, get_rule
from rewards.sandbox import Sandbox, SandboxConfig
from rl.config.chat_check import check_chat
from rl.config.schema import Config, load_config
from rl.console import UserError
from rl.labels.bank import distinct_programs, execute_bank, verdicts_of
from rl.loop.selection import make_tasks
from rl.own.opening import open_own
from rl.own.problems import read_problem
from rl.own.samples import CollectedSamples
from rl.round_files import BankProgram, Verdict
from rl.scoring.scoring import RolloutScorer
from rl.scoring.tasks import ConsensusSignal
from tests.own.programs import EXAMPLE, SPELLINGS, STATEMENTS, program_rows, programs
from tests.own.rows import write_rows
from tests.probing.asking import Wording
from tests.probing.models.test_chat_template import THINKING, with_template

TEXT = STATEMENTS["sum"][0]
PROBLEM = read_problem({"description": TEXT, "example": EXAMPLE}, "mine.jsonl#1", "stdin")
CONSENSUS = ConsensusConfig()


def config(*words: str) -> Config:
    return load_config(None, ["--problems.io", "stdin", "--prompts", "instruct", *words])


def test_a_row_needs_a_statement_alone_and_may_show_an_example() -> None:
    assert (PROBLEM.entry, PROBLEM.signature, PROBLEM.interface) == (STDIN, "", None)
    assert PROBLEM.example == "Input:\n4\n31 7 16 22\nOutput:\nunknown"
    bare = read_problem({"description": TEXT, "signature": "def f(x: int) -> int:", "entry": "f"}, "p", "stdin")
    assert (bare.entry, bare.signature, bare.example, bare.title) == (STDIN, "", "", "The first line holds n, the")


def test_a_row_of_functions_is_read_as_before() -> None:
    assert read_problem({"description": TEXT, "signature": "def f(x: int) -> int:", "example": "f(1) == 1"}, "p").entry == "f"


@pytest.mark.parametrize("example", [{"output": "6"}, {"input": "..."}, 3])
def test_an_example_that_is_none_makes_a_row_unusable(example: Any) -> None:
    with pytest.raises(Unreadable, match="unreadable example"):
        read_problem({"description": TEXT, "example": example}, "p", "stdin")


def test_a_source_without_a_usable_row_ends_on_one_screen(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "mine.jsonl", [{"description": TEXT, "example": {"inputs": "3"}}])
    with pytest.raises(UserError, match="unreadable example 1") as said:
        open_own(config("--problems.source", str(path)))
    assert '"input"' in said.value.remedy


def test_collected_programs_belong_to_their_rows(tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "mine.jsonl", program_rows()))
    own = open_own(config("--problems.source", path, "--solutions.source", path))
    assert own is not None and own.record["usable"] == len(STATEMENTS) and isinstance(own.samples, CollectedSamples)
    assert all(problem.reads_stdin and len(own.samples.of(problem)) == 6 for problem, _ in own.problems.deals)


@pytest.mark.parametrize("words", [("--consensus.rule", "codet"), ("--consensus.signature", "passfail"), ("--problems.io", "socket")])
def test_what_programs_cannot_be_judged_by_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"problems\.io"):
        config(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "invent_stdin.jinja, tests_stdin.jinja, solve_stdin.jinja"),
        (("--problems.source", "mine.jsonl"), "lacks tests_stdin.jinja, solve_stdin.jinja"),
        (("--problems.source", "mine.jsonl", "--problems.share", "0.5"), "invent_stdin.jinja"),
    ],
)
def test_a_prompt_set_without_prompts_for_programs_is_refused_before_any_work(words: tuple[str, ...], said: str) -> None:
    tokenizer = with_template(THINKING)
    check_chat(tokenizer, config(*words))
    check_chat(tokenizer, load_config(None, ["--prompts", "seedling"]))
    with pytest.raises(UserError, match=said):
        check_chat(tokenizer, config(*words, "--prompts", "seedling"))


@pytest.fixture(scope="module")
def executor() -> Iterator[Steady]:
    with Sandbox(SandboxConfig(workers=1)) as sandbox:
        steady = Steady(sandbox, "suspects")
        yield steady
        steady.close()


Judged = tuple[TestSuite, list[BankProgram], Verdict]


@pytest.fixture(scope="module")
def judged(executor: Steady) -> Judged:
    """Six candidates for the sum, judged on the example's input and its mutants."""
    suite = stdin_suite(PROBLEM, [], SuitesConfig(inputs=6, pool=12), 0)
    assert suite is not None
    codes = [read_program(f"```python\n{code}\n```", PROBLEM.entry) for code in programs(STATEMENTS["sum"][1])]
    candidates = [Candidate(PROBLEM.id, i, str(code), code, (1,), (-0.1,), True) for i, code in enumerate(codes)]
    bank = list(execute_bank([PROBLEM], [suite], distinct_programs(candidates), executor))
    [verdict] = verdicts_of([suite], candidates, bank, CONSENSUS, 6, (0.3, 0.8))
    return suite, bank, verdict


def test_programs_that_print_the_same_win_together_in_any_spelling(judged: Judged) -> None:
    _, bank, verdict = judged
    assert len(bank) == 6
    assert verdict.labels[:4] == (verdict.top,) * 4 and verdict.top == 0 and verdict.top not in verdict.labels[4:]
    assert verdict.top_share == pytest.approx(4 / 6, abs=1e-5) and verdict.kept


def test_grpo_rewards_a_program_for_what_it_prints(judged: Judged, executor: Steady) -> None:
    suite, bank, verdict = judged
    tasks = make_tasks(Wording("instruct"), [PROBLEM], [suite], bank, [verdict], SandboxConfig().canonicaliser())
    assert tasks[0].entry == STDIN and tasks[0].given == "" and "standard input" in tasks[0].prompt
    scorer = RolloutScorer(tasks, executor, read_voter, ConsensusSignal(get_rule(CONSENSUS)), MixedConfig(w_quality=0.0))
    right, wrong = SPELLINGS[2].format("0 + sum(xs)"), SPELLINGS[2].format("sum(xs) * 7")
    texts = [f"{right}\n```", f"{wrong}\n```", "print('hello')\n```", "I cannot."]
    batch = scorer.score([PROBLEM.id] * 4, [Completion(t, (1, 2), (-0.1, -0.1), True) for t in texts], 4, step=0)
    consensus = [s.reward.consensus for s in batch.scores]
    assert all(c is not None for c in consensus) and consensus[0] > max(consensus[1:]) and batch.scores[0].reward.total > 0
    assert [s.has_code for s in batch.scores] == [True, True, True, False]
    assert scorer.winner_shares(tasks, [[Completion(t, (1,), (-0.1,), True) for t in texts]]) == [0.25]


def test_problems_of_both_kinds_run_side_by_side(executor: Steady) -> None:
    function = Problem("f", "Twice", "Twice the number x.", "twice", "def twice(x: int) -> int:", "", "own")
    suites = [TestSuite(PROBLEM.id, ("'1\\n5\\n'",), ("model",)), TestSuite("f", ("[5]",), ("model",))]
    codes = [(PROBLEM.id, "input()\nprint(input())", (0,)), ("f", "def twice(x):\n    return x * 2", (0,))]
    first, second = execute_bank([PROBLEM, function], suites, codes, executor)
    assert [first.execution.outcomes[0].payload, second.execution.outcomes[0].payload] == ["'5'", "10"]
