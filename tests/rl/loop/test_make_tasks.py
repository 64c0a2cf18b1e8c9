"""What the trainer gets of a problem is written as the run's sandbox writes it."""

from __future__ import annotations

import pytest

from probing.records import Problem, TestSuite
from rewards.records import Execution, Kind, Outcome
from rewards.sandbox.config import SandboxConfig
from rl.loop.selection import make_tasks
from rl.round_files import BankProgram, Verdict
from tests.probing.asking import ask


@pytest.mark.parametrize(("whole_floats", "written"), [(True, ("1.0", "2.0")), (False, ("1", "2"))])
def test_an_argument_that_a_program_gives_back_is_known_as_one_under_every_setting(whole_floats: bool, written: tuple[str, str]) -> None:
    problem = Problem("p", "T", "Do it.", "f", "def f(x: float) -> float:", "", "graphs")
    suite = TestSuite("p", ("[1.0]", "[2.0]"), ("model", "model"))
    echo = BankProgram("p", "def f(x):\n    return x", (0, 1), Execution(tuple(Outcome(Kind.VALUE, text) for text in written), 0.0))
    verdict = Verdict("p", (0, 1), (0, 0), (2,), 0, 1.0, 1.0, 0.0, 2, True)
    [task] = make_tasks(ask, [problem], [suite], [echo], [verdict], SandboxConfig(whole_floats=whole_floats).canonicaliser())
    assert task.bank.echo.tolist() == [True]
