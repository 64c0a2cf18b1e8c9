"""BigCodeBench's tests in our sandbox: the program and its task's `unittest` class in one process, as officially.

Follows bigcodebench 0.2.5: `bigcodebench/eval/__init__.py`, `unsafe_execute` (one module named `__test__`, a temporary folder, closed
standard input; passed is what leaves neither failure nor error within 240 seconds), and `bigcodebench/evaluate.py` (the calibrated
solution: the prompt's imports and signature go in front of it). Officially programs run unconfined; here in a child inside our
sandbox, in the environment of `make install-bigcodebench`. What a test needs and the sandbox refuses (the network, other processes),
or what is not there (NLTK's data), no program can have: a task whose own solution fails here is `unavailable`, and left out.

Since tests and program share a process, a program that patches `unittest` passes, here as officially.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from probing.reading import read_program
from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox
from rewards.sandbox.packages import PackagesError, make_offer
from rl.benchmarks.base import Benchmark, EvalTask, Unavailable
from rl.benchmarks.data import REPOSITORY

INSTALL = "make install-bigcodebench"
VARIABLE = "UCODER_BIGCODEBENCH"  # names another environment with the same libraries
LIBRARIES = Path(__file__).with_name("bigcodebench_libraries.txt")
SECONDS = 240.0  # for all tests of a task; officially by the clock, here of processor time, and twice as much by the clock
# imported beforehand too: what many tasks use, and what takes long
MODULES = (
    *("matplotlib.pyplot", "scipy.optimize", "scipy.spatial", "scipy.stats", "statsmodels.api", "sklearn.cluster"),
    *("sklearn.datasets", "sklearn.decomposition", "sklearn.ensemble", "sklearn.feature_extraction.text", "sklearn.linear_model"),
    *("sklearn.metrics", "sklearn.model_selection", "sklearn.preprocessing"),
)
SANDBOX: dict[str, Any] = {
    "seconds_per_input": SECONDS,
    "seconds_per_program": 2 * SECONDS,
    "max_timeouts": 1,
    "memory_mb": 8192,  # officially 30 GB of address space; no task's own solution needs more than this
    "scratch_mb": 1024,
    "output_kb": 1024,
    "digest_over": 1 << 20,
    "fast_lane": False,
    "file_modes": True,
    "clock": "real",
}
REASON_CHARACTERS = 200

DRIVER = '''
import builtins, contextlib, io, os, sys, tempfile, types, unittest


class _Closed(io.StringIO):
    """Takes what is printed; nothing can be read from it."""

    def read(self, *arguments):
        raise OSError

    readline = readlines = read

    def readable(self):
        return False


class _StandardInput(contextlib._RedirectStream):
    _stream = "stdin"


class _Result(unittest.TestResult):
    """Remembers what the tests stumbled over, and modules that were not there."""

    def __init__(self):
        super().__init__()
        self.said, self.absent = {}, None

    def _keep(self, test, error):
        self.said.setdefault(test.id().split(".")[-1], " ".join(f"{error[0].__name__}: {error[1]}".split())[:_CHARACTERS])
        if error[0] is ModuleNotFoundError:
            self.absent = error[1]

    def addError(self, test, error):
        super().addError(test, error)
        self._keep(test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._keep(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._keep(test, error)


def failing_tests():
    """{name of a test: what it said} of those that the program does not pass; raises what keeps the tests from running at all."""
    name = "__test__"
    module = types.ModuleType(name)
    names = {"__builtins__": builtins, "__file__": name + ".py", "__package__": None, "__doc__": None}
    module.__dict__.update(names, sys=sys, os=os, environ=os.environ)
    builtins.exit = builtins.quit = None
    os.chdir(tempfile.mkdtemp())
    closed = _Closed()
    with contextlib.redirect_stdout(closed), contextlib.redirect_stderr(closed), _StandardInput(closed):
        exec(compile(_CODE, name + ".py", "exec"), module.__dict__)
        sys.modules[name] = module
        result = _Result()
        unittest.TestLoader().loadTestsFromTestCase(module.TestCases).run(result)
    if result.absent is not None:
        raise result.absent
    return result.said
'''


@dataclass(frozen=True)
class BigCodeTask(EvalTask):
    """`inputs` is empty: the tests make the calls."""

    given: str = ""  # the code that the prompt shows
    head: str = ""  # official `code_prompt`: imports and signature, without a docstring
    tests: str = ""  # official test code: a class TestCases


class BigCodeBenchmark(Benchmark):
    """Passed is what passes all tests of its task; nothing else is known of a program's behaviour."""

    has_behaviours: ClassVar[bool] = False

    def unavailable(self) -> Unavailable | None:
        try:
            make_offer(self.sandbox["packages"], self.sandbox["environment"])
        except PackagesError as error:
            return Unavailable(self.name, str(error), f"{INSTALL}, or name an environment with the libraries in ${VARIABLE}")
        return None

    def prepared(self, sandbox: Sandbox) -> Benchmark:
        """With the tasks that cannot be scored here, those whose own solution fails, and those on whose solution the sandbox failed."""
        programs = [self.wrapped(task, Program(task.reference, task.entry, ())) for task in self.tasks]
        ran = {task.id: execution for task, execution in zip(self.tasks, sandbox.run(programs), strict=True)}
        lost = frozenset(name for name, execution in ran.items() if execution.missing)
        without = {name: fault for name, e in ran.items() if name not in lost and (fault := fault_of(e.outcomes[0]))}
        return replace(self, without=without, lost=lost)

    def program(self, task: EvalTask, completion: str) -> Program | None:
        assert isinstance(task, BigCodeTask)
        code = read_program(completion, task.entry, task.given)
        return None if code is None else Program(calibrated(task, code), task.entry, ())

    def wrapped(self, task: EvalTask, program: Program) -> Program:
        assert isinstance(task, BigCodeTask)
        names = {"_CODE": f"{program.code}\n{task.tests}", "_CHARACTERS": REASON_CHARACTERS}
        return Program("\n".join([DRIVER, *(f"{name} = {value!r}" for name, value in names.items())]), "failing_tests", ("[]",))

    def export(self, answers: Sequence[tuple[EvalTask, Sequence[tuple[str, str | None]]]]) -> str:
        """Samples for `bigcodebench.evaluate`, which puts the prompt's imports in front itself."""
        rows = [
            {"task_id": task.id, "solution": read_program(text, task.entry, task.given) or ""}
            for task, group in answers
            if isinstance(task, BigCodeTask)
            for text, _ in group
        ]
        return "".join(json.dumps(row) + "\n" for row in rows)

    def grade(self, runs: Sequence[tuple[EvalTask, Execution]], sandbox: Sandbox) -> list[bool | None]:
        return [None if execution.missing else not fault_of(execution.outcomes[0]) for _, execution in runs]


def calibrated(task: BigCodeTask, code: str) -> str:
    """The program with the prompt's imports and signature in front, so that what it forgot to import is there."""
    return f"{task.head}\n    pass\n{code}"


def fault_of(outcome: Outcome) -> str:
    """Why the tests do not pass; empty where they do."""
    if outcome.kind is not Kind.VALUE:
        return f"{outcome.kind.value} {outcome.payload}".strip()
    try:
        said = ast.literal_eval(outcome.payload)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return "a result that is no verdict"
    if said == {}:
        return ""
    test, words = next(iter(said.items())) if isinstance(said, dict) else ("", "a result that is no verdict")
    return f"{test}: {words}"


def settings() -> dict[str, Any]:
    """The sandbox's settings, with the environment that has the libraries."""
    stated = os.environ.get(VARIABLE)
    names = [line.partition("#")[0].partition("==")[0].strip() for line in LIBRARIES.read_text(encoding="utf-8").split("\n")]
    packages = (*filter(None, names), *MODULES)
    return SANDBOX | {
        "environment": Path(stated).expanduser() if stated else REPOSITORY / ".venv-bigcodebench",
        "packages": packages,
    }
