"""LiveCodeBench, code generation (Jain et al., 2024): stdin programs and functions, run in our sandbox and compared in the parent.

Follows github.com/LiveCodeBench/LiveCodeBench at 15808c7: `lcb_runner/evaluation/testing_util.py` (imports put in front, how outputs are
compared), `lcb_runner/prompts/code_generation.py` (the generic prompt), `lcb_runner/utils/extraction_utils.py` (where code is looked for).
One difference: a program that reads standard input runs as in a judge's process (`rewards.programs.stdin`), where the original makes a
function of it and patches methods of `sys.stdin`.

Name: `livecodebench[:RELEASE[:FROM[:TO]]][:lenient]`, for example `livecodebench:v6:2024-08-01:2025-05-01` (contest dates, both ends
included). `lenient` judges kinder than the original where docs/benchmarks.md says so.
Data: `test.jsonl` … `test6.jsonl` of the dataset livecodebench/code_generation_lite, in a folder `livecodebench/` or on the Hub.
"""

from __future__ import annotations

import base64
import datetime
import functools
import io
import json
import pickle
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing.reading import read_program
from rewards.outcomes.literals import literal
from rewards.outcomes.printed import normal_print
from rewards.programs.stdin import ENTRY, as_function
from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox
from rl.benchmarks.base import Benchmark, EvalTask, Unavailable
from rl.benchmarks.data import find_data, hub_file, read_json_lines
from rl.benchmarks.evalplus import value_of
from rl.console import UserError

HUB = "livecodebench/code_generation_lite"
RELEASES = {f"v{n}": tuple("test.jsonl" if i == 1 else f"test{i}.jsonl" for i in range(1, n + 1)) for n in range(1, 7)}
LENIENT = "lenient"
SANDBOX = {
    "significant_digits": 17,
    "digest_over": 1 << 30,
    "output_kb": 16384,
    "seconds_per_input": 6.0,
    "seconds_per_program": 300.0,
    "max_timeouts": 1,
    "memory_mb": 2048,
}
_MODULES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json"),
)
IMPORTS = "\n".join(
    [
        *(f"from {name} import *" for name in (*_MODULES, "builtins", "typing")),
        *(f"import {name}" for name in _MODULES),
        "sys.setrecursionlimit(50000)",
        "exit = quit = sys.exit",
    ]
)


@dataclass(frozen=True)
class LiveTask(EvalTask):
    """`reference` is empty: the expected outputs are given."""

    expected: tuple[str, ...] = ()  # printed text, or JSON of the returned value
    function: str | None = None  # method or function to call; None: a program that reads standard input
    date: str = ""  # contest date, ISO


@dataclass(frozen=True)
class LiveBenchmark(Benchmark):
    """Verdicts by LiveCodeBench's comparison."""

    lenient: bool = False  # the program is looked for in the whole answer, and tuples inside a value count as lists

    def digest(self) -> str:
        return super().digest() + ("-lenient" if self.lenient else "")

    def code(self, task: LiveTask, completion: str) -> str | None:
        """The program as the model wrote it."""
        if self.lenient:
            return read_program(completion, task.function)
        return read_program(official_part(completion))

    def program(self, task: EvalTask, completion: str) -> Program | None:
        assert isinstance(task, LiveTask)
        code = self.code(task, completion)
        if code is None:
            return None
        return Program(functional(code, task.function) if task.function else as_function(code, IMPORTS), task.entry, task.inputs)

    def grade(self, runs: Sequence[tuple[EvalTask, Execution]], sandbox: Sandbox) -> list[bool | None]:
        return [None if e.missing else passes_all(t, e.outcomes, self.lenient) for t, e in runs if isinstance(t, LiveTask)]

    def export(self, answers: Sequence[tuple[EvalTask, Sequence[tuple[str, str | None]]]]) -> str:
        """The custom evaluator's format: one JSON list of {question_id, code_list}."""
        rows = [
            {"question_id": t.id, "code_list": [self.code(t, text) or "" for text, _ in group]}
            for t, group in answers
            if isinstance(t, LiveTask)
        ]
        return json.dumps(rows, indent=1)


def official_part(answer: str) -> str:
    """What the original looks at: a block of the lines between the last two lines with a fence; nothing where there are no two."""
    lines = answer.split("\n")
    fences = [i for i, line in enumerate(lines) if "```" in line]
    return "\n".join(["```", *lines[fences[-2] + 1 : fences[-1]], "```"]) if len(fences) >= 2 else ""


def functional(code: str, name: str) -> str:
    """The program, with `lcb_run` calling the asked method of one `Solution`, or the asked function."""
    target = f"getattr(Solution(), {name!r})" if "class Solution" in code else name
    return f"{IMPORTS}\n\n{code}\n\nlcb_run = {target}\n"


def passes_all(task: LiveTask, outcomes: Sequence[Outcome], lenient: bool = False) -> bool:
    """Whether every test passes."""

    def passes(outcome: Outcome, expected: str) -> bool:
        return same_value(outcome, expected, lenient) if task.function else same_print(outcome, expected)

    return all(o.kind is Kind.VALUE and passes(o, e) for o, e in zip(outcomes, task.expected, strict=True))


def same_value(outcome: Outcome, expected: str, lenient: bool = False) -> bool:
    """A returned value against JSON; a tuple counts as the list that it could be, one inside another value where `lenient` says so."""
    try:
        value = value_of(outcome)
        value = as_lists(value) if lenient else list(value) if isinstance(value, tuple) else value
        return bool(value == json.loads(expected))
    except (ValueError, TypeError, RecursionError):
        return False


def as_lists(value: Any) -> Any:
    """The value with lists in the place of its tuples, inside lists and dict values too."""
    if isinstance(value, list | tuple):
        return [as_lists(item) for item in value]
    return {key: as_lists(item) for key, item in value.items()} if isinstance(value, dict) else value


def same_print(outcome: Outcome, expected: str) -> bool:
    """The printed text against the expected one, in normal form."""
    try:
        printed = value_of(outcome)
    except ValueError:
        return False
    return normal_print(printed) == normal_print(expected)


class _TextOnly(pickle.Unpickler):
    """Private tests are a pickled string: nothing else may be unpickled."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} in a file of tests")


def read_tests(text: str) -> list[dict[str, str]]:
    """Test cases, as JSON or as base64 of zlib of a pickle of JSON."""
    if text.lstrip().startswith("["):
        return json.loads(text)
    return json.loads(_TextOnly(io.BytesIO(zlib.decompress(base64.b64decode(text)))).load())


def prompt_of(row: dict[str, Any]) -> str:
    """The generic prompt, its system message in front (a user's turn is all that every model has)."""
    system = (
        "You are an expert Python programmer. You will be given a question (problem specification) and will generate a correct Python "
        "program that matches the specification and passes all tests."
    )
    if row["starter_code"]:
        form = "You will use the following starter code to write the solution to the problem and enclose your code within delimiters."
        code = row["starter_code"]
    else:
        form = (
            "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample inputs). "
            "Enclose your code within delimiters as follows."
        )
        code = "# YOUR CODE HERE"
    question = f"### Question:\n{row['question_content']}\n\n### Format: {form}\n```python\n{code}\n```\n\n"
    return f"{system}\n\n{question}### Answer: (use the provided format with backticks)\n\n"


def task_of(row: dict[str, Any]) -> LiveTask:
    """A row of the dataset as a task: a function where its metadata names one, else a program that reads standard input."""
    tests = [*read_tests(row["public_test_cases"]), *read_tests(row["private_test_cases"])]
    function = json.loads(row["metadata"] or "{}").get("func_name")
    if function:
        inputs = [literal([json.loads(line) for line in test["input"].split("\n")]) for test in tests]
    else:
        inputs = [repr([test["input"]]) for test in tests]
    return LiveTask(
        id=row["question_id"],
        prompt=prompt_of(row),
        entry="lcb_run" if function else ENTRY,
        inputs=tuple(inputs),
        reference="",
        statement=row["question_content"],
        expected=tuple(test["output"] for test in tests),
        function=function,
        date=str(row["contest_date"])[:10],
    )


def window(options: str) -> tuple[str, str, str]:
    """(release, first date, last date) of `v6:2024-08-01:2025-05-01`. Raises UserError."""
    words = [*options.removeprefix("release_").split(":"), "", "", ""][:3]
    release, first, last = words[0] or max(RELEASES), words[1] or "0001-01-01", words[2] or "9999-12-31"
    if release not in RELEASES:
        raise UserError(f"LiveCodeBench has no release {release!r}", "benchmarks", f"known: {', '.join(RELEASES)}")
    first, last = (_iso_date(date) for date in (first, last))
    if first > last:
        raise UserError(
            f"the window from {first} to {last} is empty", "benchmarks", "write livecodebench:RELEASE:FROM:TO, the earlier date first"
        )
    return release, first, last


def _iso_date(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise UserError(f"{text!r} is no date", "benchmarks", "write livecodebench:v6:2024-08-01:2025-05-01") from None


@functools.cache
def load(name: str = "livecodebench", options: str = "", fetch: bool = False) -> Benchmark | Unavailable:
    """The problems of a release whose contest lies in the window. Raises UserError for a release or window without any."""
    words = [word for word in options.split(":") if word != LENIENT]
    release, first, last = window(":".join(words))
    paths: list[Path] = []
    for file in RELEASES[release]:
        path = find_data(f"livecodebench/{file}") or hub_file(HUB, file, fetch)
        if path is None:
            fetched = f"hf download --repo-type dataset {HUB} --include 'test*.jsonl'"
            remedy = f"put {', '.join(RELEASES[release])} of the dataset {HUB} there, or: {fetched}"
            return Unavailable(name, f"no livecodebench/{file} in $UCODER_DATA, shared/data or the Hub's cache", remedy)
        paths.append(path)
    tasks = [task_of(row) for path in paths for row in read_json_lines(path) if first <= re.sub("T.*", "", row["contest_date"]) <= last]
    if not tasks:
        raise UserError(f"LiveCodeBench {release} has no problem from {first} to {last}", "benchmarks", "choose another window")
    lenient = LENIENT in options.split(":")
    source = f"{release} {first}..{last}{' lenient' if lenient else ''} {paths[0].parent}"
    return LiveBenchmark(name, tuple(tasks), source, SANDBOX, lenient=lenient)
