"""Benchmarks by name: what a task is, what a benchmark must do, and what is said when its data is not here.

A benchmark turns a completion into a program (`program`) and outcomes into verdicts (`grade`). Programs run in the sandbox; expected
outputs and tests stay on this side of it, so nothing that a program does can forge a verdict. A benchmark whose data is absent is
`Unavailable`, never a number.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

from probing.prompt import Prompt
from probing.reading import read_program
from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox
from rl.benchmarks.prompts import CodePrompt
from rl.config.evals import normal_name
from rl.console import UserError

# A new benchmark is a module with `load(name, options, fetch) -> Benchmark | Unavailable`, and its line here: module, what it is.
BENCHMARKS: dict[str, tuple[str, str]] = {
    "seedling": ("rl.benchmarks.seedling", "seedling-bench, 1,000 held-out compositions of the bundled model's grammar"),
    "seedling_dev": ("rl.benchmarks.seedling", "400 more held-out compositions, for choosing settings"),
    "humaneval": ("rl.benchmarks.humaneval", "HumanEval with its own checks"),
    "humaneval_plus": ("rl.benchmarks.evalplus", "HumanEval+, judged like evalplus"),
    "mbpp": ("rl.benchmarks.mbpp", "MBPP, sanitized, with its own asserts"),
    "mbpp_plus": ("rl.benchmarks.evalplus", "MBPP+, judged like evalplus"),
    "livecodebench": (
        "rl.benchmarks.livecodebench",
        "LiveCodeBench; livecodebench:v6:2024-08-01:2025-05-01[:lenient] names release and window",
    ),
    "bigcodebench_complete": (
        "rl.benchmarks.bigcodebench",
        "BigCodeBench-Complete, a function to complete; its unit tests run in our sandbox",
    ),
    "bigcodebench_complete_hard": ("rl.benchmarks.bigcodebench", "its hard subset"),
    "bigcodebench_instruct": ("rl.benchmarks.bigcodebench", "BigCodeBench-Instruct, the same from a description"),
    "bigcodebench_instruct_hard": ("rl.benchmarks.bigcodebench", "its hard subset"),
    "fullstackbench": ("rl.benchmarks.fullstackbench", "FullStackBench, scored by a SandboxFusion server"),
}
WITH_OPTIONS = ("livecodebench",)
# what a data file that is cut off, or has another shape than the official one, may raise where it is read
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, SyntaxError, RecursionError, EOFError, OSError)


@dataclass(frozen=True)
class EvalTask:
    """One task of a benchmark.

    >>> EvalTask("toy/0", "Write inc(x).", "inc", ("[1]",), "def inc(x): return x + 1", "Write inc(x).").inputs
    ('[1]',)
    """

    id: str
    prompt: str | Prompt | CodePrompt  # before the chat template; a text is the user's turn
    entry: str  # name of the function that is called
    inputs: tuple[str, ...]  # each a Python literal: the list of positional arguments
    reference: str  # a program whose outcomes on the inputs are the expected ones
    statement: str  # the text that decontamination looks for


class Grade(NamedTuple):
    """What a benchmark says of one execution. None: our infrastructure failed."""

    passed: bool | None
    base: bool | None = None  # by the original benchmark's tests alone; None too where the benchmark has only those


@dataclass(frozen=True)
class Unavailable:
    """A benchmark that cannot be scored here."""

    name: str
    reason: str  # what is missing
    remedy: str  # what to install, or where to put it


@dataclass(frozen=True)
class Benchmark:
    """Tasks whose programs are judged by equal outcomes (typed and canonical) with a reference on every input."""

    name: str
    tasks: Sequence[EvalTask]
    source: str  # where the data came from
    sandbox: Mapping[str, Any] = field(default_factory=dict)  # settings of the sandbox that this benchmark needs
    without: Mapping[str, str] = field(default_factory=dict)  # ids of tasks that cannot be scored here, with the reason; they are left out
    lost: frozenset[str] = frozenset()  # ids of tasks of which our infrastructure could not tell that; their samples are missing
    has_behaviours: ClassVar[bool] = True  # whether outcomes say what a program does (else only whether it passes): majorities need it
    has_base: ClassVar[bool] = False  # whether its tests are an older benchmark's and more (`Grade.base`)

    def digest(self) -> str:
        """Hash of everything that a score depends on."""
        parts = [repr(sorted(self.sandbox.items())), *(repr(asdict(task)) for task in self.tasks)]
        return hashlib.sha256("\0".join([self.name, *parts]).encode("utf-8", "surrogatepass")).hexdigest()

    def unavailable(self) -> Unavailable | None:
        """What is missing for scoring; None when nothing is. Asked before anything is sampled."""
        return None

    def prepared(self, sandbox: Sandbox) -> Benchmark:
        """The same benchmark with whatever of its tasks only running something can tell. Called once, before the first program."""
        return self

    def program(self, task: EvalTask, completion: str) -> Program | None:
        """The program in a completion; None when there is none."""
        code = read_program(completion, task.entry)
        return None if code is None else Program(code, task.entry, task.inputs)

    def wrapped(self, task: EvalTask, program: Program) -> Program:
        """The program as it is run."""
        return program

    def export(self, answers: Sequence[tuple[EvalTask, Sequence[tuple[str, str | None]]]]) -> str:
        """A samples file for the public tool. answers: each task with its (completion, program) pairs; here, evalplus's JSON lines."""
        rows = [{"task_id": task.id, "solution": code or ""} for task, group in answers for _, code in group]
        return "".join(json.dumps(row) + "\n" for row in rows)

    def grade(self, runs: Sequence[tuple[EvalTask, Execution]], sandbox: Sandbox) -> list[bool | None]:
        """Whether each execution passes its task; None where our infrastructure failed on it or on the reference.

        References run in children of their own, never beside a candidate. An input on which the reference gives no value is not counted.
        """
        expected = reference_outcomes(list({task.id: task for task, _ in runs}.values()), sandbox)
        return [None if e.missing else same_outcomes(e.outcomes, expected[t.id]) if expected[t.id] else None for t, e in runs]

    def grades(self, runs: Sequence[tuple[EvalTask, Execution]], sandbox: Sandbox) -> list[Grade]:
        """As `grade`, with what else the benchmark knows of each execution."""
        return [Grade(passed) for passed in self.grade(runs, sandbox)]


def reference_outcomes(tasks: Sequence[EvalTask], sandbox: Sandbox) -> dict[str, tuple[Outcome, ...]]:
    """The references' outcomes; an empty tuple where the sandbox failed or no input gave a value."""
    executions = sandbox.run([Program(task.reference, task.entry, task.inputs) for task in tasks])
    found = {}
    for task, execution in zip(tasks, executions, strict=True):
        usable = not execution.missing and any(o.kind is Kind.VALUE for o in execution.outcomes)
        found[task.id] = execution.outcomes if usable else ()
    return found


def same_outcomes(outcomes: Sequence[Outcome], expected: Sequence[Outcome]) -> bool:
    """Whether the outcomes agree wherever a value is expected."""
    return all(o.agrees(e) for o, e in zip(outcomes, expected, strict=True) if e.kind is Kind.VALUE)


def load_benchmark(name: str, limit: int | None = None, fetch: bool = False) -> Benchmark | Unavailable:
    """The benchmark of that name, cut to its first `limit` tasks. Raises UserError for an unknown name.

    name: of `BENCHMARKS`, with the benchmark's own options after a colon. fetch: whether the Hub may be asked for data that is not here.
    """
    key, _, options = name.partition(":")
    key = normal_name(key)
    if key not in BENCHMARKS:
        near = difflib.get_close_matches(key, BENCHMARKS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(BENCHMARKS)}"
        raise UserError(f"there is no benchmark {name!r}", "benchmarks", hint)
    if options and key not in WITH_OPTIONS:
        raise UserError(f"{key} takes no options, and {options!r} was given", "benchmarks", f"write {key}; only livecodebench takes some")
    try:
        benchmark = importlib.import_module(BENCHMARKS[key][0]).load(key, options, fetch)
    except UserError:
        raise
    except (*DAMAGED, zlib.error, pickle.UnpicklingError) as error:
        said = f"{type(error).__name__}: {str(error)[:200]}"
        raise UserError(f"the data of {key} cannot be read: {said}", "benchmarks", "put the official file there again") from None
    if limit is not None and isinstance(benchmark, Benchmark):
        return replace(benchmark, tasks=benchmark.tasks[:limit])
    return benchmark


def benchmark_statements(names: Sequence[str] | None = None) -> dict[str, str]:
    """Statement -> "BENCHMARK TASK", of every benchmark whose data is present (all known ones, and `names`), for decontamination."""
    found: dict[str, str] = {}
    for name in dict.fromkeys([*(names or ()), *BENCHMARKS]):
        benchmark = load_benchmark(name)
        if isinstance(benchmark, Benchmark):
            for task in benchmark.tasks:
                found.setdefault(task.statement, f"{name} {task.id}")
    return found


def benchmark_texts(names: Sequence[str] | None = None) -> list[str]:
    """The statements alone."""
    return list(benchmark_statements(names))
