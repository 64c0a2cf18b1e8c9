"""HumanEval+ and MBPP+ (Liu et al., 2023): many inputs a task, outcomes compared with the reference's as the evalplus harness does.

Follows evalplus 0.3.1: `evalplus/eval/__init__.py` (`unsafe_execute`: equality, tolerance, special oracles) and `_special_oracle.py` beside
it, `evalplus/data/mbpp.py` (how JSON inputs become tuples and sets). There the comparison runs in the candidate's process; here candidates
only ever see inputs. Prompts: `rl.benchmarks.prompts`.
"""

from __future__ import annotations

import ast
import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probing.reading import read_program
from rewards.outcomes.literals import literal
from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox
from rl.benchmarks.base import Benchmark, EvalTask, Grade, Unavailable
from rl.benchmarks.data import find_data, read_json_lines
from rl.benchmarks.prompts import CodePrompt
from rl.grading.mbpp_inputs import typed_inputs
from rl.grading.values import Opaque, Undecodable, decode

SANDBOX = {
    "significant_digits": 17,  # floats come back exactly; the tolerance is the grader's
    "digest_over": 1 << 20,  # HumanEval/130 returns a million floats: such results are equal or not, without tolerance
    "output_kb": 32768,
    "seconds_per_input": 4.0,
    "seconds_per_program": 120.0,
    "max_timeouts": 1,
    "memory_mb": 2048,
}
NOT_NONE = frozenset({"check_str", "text_match_three", "text_starta_endb"})
AS_SETS = frozenset(
    {
        *("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum", "intersection_array"),
        *("find_dissimilar", "Diff"),
    }
)
FILES = {
    "humaneval_plus": ("humanevalplus/HumanEvalPlus.jsonl.gz", "HumanEvalPlus.jsonl.gz", "HumanEvalPlus.jsonl"),
    "mbpp_plus": ("mbppplus/MbppPlus.jsonl.gz", "MbppPlus.jsonl.gz", "MbppPlus.jsonl"),
}


@dataclass(frozen=True)
class PlusTask(EvalTask):
    """`inputs` are the base inputs, then those that evalplus added."""

    given: str = ""  # the code that the prompt shows
    base: int = 0  # how many inputs are the original benchmark's
    atol: float = 0.0  # absolute tolerance; 0: exact, but for floats
    mbpp: bool = False


class PlusBenchmark(Benchmark):
    """Verdicts by value, with evalplus's tolerances and oracles."""

    has_base = True

    def program(self, task: EvalTask, completion: str) -> Program | None:
        assert isinstance(task, PlusTask)
        code = read_program(completion, task.entry, task.given)
        return None if code is None else Program(code, task.entry, task.inputs)

    def grade(self, runs: Sequence[tuple[EvalTask, Execution]], sandbox: Sandbox) -> list[bool | None]:
        return [grade.passed for grade in self.grades(runs, sandbox)]

    def grades(self, runs: Sequence[tuple[EvalTask, Execution]], sandbox: Sandbox) -> list[Grade]:
        tasks = list({task.id: task for task, _ in runs}.values())
        executions = sandbox.run([Program(t.reference, t.entry, t.inputs) for t in tasks])
        graders = {t.id: grader(t, e) for t, e in zip(tasks, executions, strict=True) if isinstance(t, PlusTask)}
        grades: list[Grade] = []
        for task, execution in runs:
            judged = graders[task.id]
            grades.append(Grade(None) if judged is None or execution.missing else judged(execution.outcomes))
        return grades


def grader(task: PlusTask, reference: Execution) -> Callable[[Sequence[Outcome]], Grade] | None:
    """What decides on the task's outcomes; None when the reference gave no value somewhere."""
    if any(o.kind not in (Kind.VALUE, Kind.UNSERIALISABLE) for o in reference.outcomes):
        return None
    expected = [Opaque() if is_digest(o.payload) else value_of(o) for o in reference.outcomes]
    if task.mbpp and task.entry in NOT_NONE:
        expected = [value is not None for value in expected]
    tolerances = [*tolerance(task.atol, expected[: task.base]), *tolerance(task.atol, expected[task.base :])]

    def decide(outcomes: Sequence[Outcome]) -> Grade:
        rows = list(zip(task.inputs, outcomes, expected, reference.outcomes, tolerances, strict=True))
        base = all(matches(task, i, o, e, r, a) for i, o, e, r, a in rows[: task.base])
        return Grade(base and all(matches(task, i, o, e, r, a) for i, o, e, r, a in rows[task.base :]), base)

    return decide


def is_digest(text: str) -> bool:
    """Whether a digest stands for the canonical text."""
    return re.fullmatch(r"\w+#\d+:[0-9a-f]{64}", text) is not None


def tolerance(atol: float, expected: Sequence[Any]) -> list[float]:
    """The absolute tolerance on each input: from the first expected float on it is 1e-6 where the task has none (so does evalplus)."""
    found = []
    for value in expected:
        if atol == 0 and is_floats(value):
            atol = 1e-6
        found.append(atol)
    return found


def is_floats(value: Any) -> bool:
    """A float, or a list or tuple of floats that is not empty."""
    if isinstance(value, list | tuple) and value:
        return all(isinstance(v, float) for v in value)
    return isinstance(value, float)


@functools.lru_cache(maxsize=4096)
def _decode_short(text: str) -> Any:
    return decode(text)


def value_of(outcome: Outcome) -> Any:
    """The value of an outcome, `Opaque` where it has no canonical form. Raises Undecodable when it is no value at all."""
    if outcome.kind is Kind.UNSERIALISABLE:
        return Opaque()
    if outcome.kind is not Kind.VALUE:
        raise Undecodable(outcome.kind.value)
    immutable = len(outcome.payload) < 64 and outcome.payload[:1] not in "[{" and "iterator" not in outcome.payload
    return _decode_short(outcome.payload) if immutable else decode(outcome.payload)


def matches(task: PlusTask, text: str, outcome: Outcome, expected: Any, reference: Outcome, atol: float) -> bool:
    """Whether one outcome passes. text: the input; atol: the tolerance there. What raises an error in evalplus is a failure."""
    if outcome.kind is Kind.VALUE and outcome == reference and "nan" not in outcome.payload:
        return True
    try:
        return _compare(task, text, value_of(outcome), expected, atol)
    except (ValueError, TypeError, ArithmeticError, RecursionError, MemoryError):
        return False


def _compare(task: PlusTask, text: str, value: Any, expected: Any, atol: float) -> bool:
    if task.entry == "find_zero" and not task.mbpp:
        coefficients = ast.literal_eval(text)[0]
        return bool(abs(sum(c * math.pow(value, i) for i, c in enumerate(coefficients))) <= atol)
    exact = bool(value == expected)
    if task.mbpp:
        exact = _special(task.entry, text, value, expected, exact, atol)
    if exact or atol == 0:
        return exact
    if type(value) is not type(expected) or (isinstance(expected, list | tuple) and len(value) != len(expected)):
        return False
    return bool(np.allclose(value, expected, rtol=1e-07, atol=atol))


def _special(entry: str, text: str, value: Any, expected: Any, exact: bool, atol: float) -> bool:
    """evalplus's special oracles of MBPP+."""
    if entry == "are_equivalent":
        return True
    if entry == "sum_div":
        return exact or bool(value == 0)
    if entry == "surface_Area":
        return exact or bool(abs(value - _surface_area(*ast.literal_eval(text))) <= atol)
    if entry == "digit_distance_nums":
        return exact or bool(value == _digit_distance(*ast.literal_eval(text)))
    if entry in AS_SETS:
        return set(value) == set(expected)
    if entry in NOT_NONE:
        return bool(value == expected) if isinstance(value, bool) else expected == (value is not None)
    return exact


def _surface_area(base_edge: float, height: float) -> int:
    """Mbpp/581 with `height` read as the perpendicular height of the pyramid."""
    slant = math.sqrt((base_edge / 2) ** 2 + height**2)
    return round(base_edge**2 + 4 * (base_edge * slant) / 2)


def _digit_distance(first: int, second: int) -> int:
    """Mbpp/558 with the shorter number padded with zeros."""
    width = max(len(str(first)), len(str(second)))
    return sum(abs(int(a) - int(b)) for a, b in zip(str(first).zfill(width), str(second).zfill(width), strict=True))


def docstring(prompt: str) -> str:
    """The statement inside a code prompt: its docstrings, or the whole text when it has none."""
    try:
        tree = ast.parse(prompt + "\n    pass" if "def " in prompt else prompt)
    except SyntaxError:
        return prompt
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Module)]
    return "\n".join(text for text in found if text) or prompt


def function_prompt(code: str) -> CodePrompt:
    """A function to be completed."""
    plain = f"Complete this Python function. Answer with the whole function in a Python code block.\n\n```python\n{code.strip()}\n```"
    return CodePrompt(code, "humaneval", plain)


def described_prompt(code: str) -> CodePrompt:
    """A statement with an assert, in a docstring."""
    return CodePrompt(code, "mbpp", f"{docstring(code)}\n\nAnswer with the whole function in a Python code block.")


def task_of(row: dict[str, Any], mbpp: bool) -> PlusTask:
    """A row of evalplus's data as a task; mbpp: the row is one of MBPP+."""
    base, plus = row["base_input"], row["plus_input"]
    if mbpp:
        base, plus = typed_inputs(row["task_id"], base), typed_inputs(row["task_id"], plus)
    return PlusTask(
        id=row["task_id"],
        prompt=described_prompt(row["prompt"]) if mbpp else function_prompt(row["prompt"]),
        entry=row["entry_point"],
        inputs=tuple(literal(list(arguments)) for arguments in [*base, *plus]),
        reference=row["prompt"] + row["canonical_solution"],
        statement=docstring(row["prompt"]),
        given=row["prompt"],
        base=len(base),
        atol=row["atol"],
        mbpp=mbpp,
    )


def package_data(name: str) -> Path | None:
    """The file that the installed evalplus package has already fetched into its cache; nothing is downloaded."""
    try:
        from evalplus.data.humaneval import HUMANEVAL_PLUS_VERSION
        from evalplus.data.mbpp import MBPP_PLUS_VERSION
        from evalplus.data.utils import get_dataset_metadata
    except ImportError:
        return None
    key, version = ("MbppPlus", MBPP_PLUS_VERSION) if name == "mbpp_plus" else ("HumanEvalPlus", HUMANEVAL_PLUS_VERSION)
    path = Path(get_dataset_metadata(key, version, mini=False)[1])
    return path if path.is_file() else None


@functools.cache
def load(name: str, options: str = "", fetch: bool = False) -> Benchmark | Unavailable:
    """HumanEval+ (`humaneval_plus`) or MBPP+ (`mbpp_plus`)."""
    path = find_data(*FILES[name]) or package_data(name)
    if path is None:
        remedy = f"put it there from the evalplus releases on GitHub, or: pip install 'ucoder[evals]' and let evalplus fetch {name} once"
        return Unavailable(name, f"no {FILES[name][0]} in $UCODER_DATA or shared/data, and none fetched by evalplus", remedy)
    return PlusBenchmark(name, tuple(task_of(row, name == "mbpp_plus") for row in read_json_lines(path)), str(path), SANDBOX)
