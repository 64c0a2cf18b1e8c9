"""MBPP, sanitized (Austin et al., 2021): 427 tasks with three asserts each. The prompt `plain` shows them as in the paper (section 3.1)."""

from __future__ import annotations

import ast
import functools
import json
from typing import Any

from rl.benchmarks.base import Benchmark, Unavailable
from rl.benchmarks.data import find_data
from rl.benchmarks.prompts import CodePrompt, statement_prompt
from rl.benchmarks.replay import SANDBOX, TestedBenchmark, TestedTask

FILES = ("mbpp/sanitized-mbpp.json", "sanitized-mbpp.json")


def entry_of(row: dict[str, Any]) -> str:
    """The function that the first assert calls: the first called name that the reference defines. Raises ValueError when there is none."""
    defined = {node.name for node in ast.walk(ast.parse(row["code"])) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(ast.parse(row["test_list"][0])):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
            return node.func.id
    raise ValueError(f"MBPP task {row['task_id']}: its first assert calls no function of its reference")


def prompt_of(row: dict[str, Any]) -> CodePrompt:
    tests = "\n".join(row["test_list"])
    plain = f"You are an expert Python programmer, and here is your task: {row['prompt']} Your code should pass these tests:\n\n{tests}"
    return CodePrompt(statement_prompt(row["prompt"], row["test_list"][0]), "mbpp", plain)


@functools.cache
def load(name: str = "mbpp", options: str = "", fetch: bool = False) -> Benchmark | Unavailable:
    """MBPP, sanitized."""
    path = find_data(*FILES)
    if path is None:
        remedy = "put mbpp/sanitized-mbpp.json of github.com/google-research/google-research there"
        return Unavailable(name, f"no {FILES[0]} in $UCODER_DATA or shared/data", remedy)
    tasks = tuple(
        TestedTask(
            id=f"Mbpp/{row['task_id']}",
            prompt=prompt_of(row),
            entry=entry_of(row),
            inputs=(),
            reference=row["code"],
            statement=row["prompt"],
            tests="\n".join([*row["test_imports"], *row["test_list"]]),
        )
        for row in json.loads(path.read_text(encoding="utf-8"))
    )
    return TestedBenchmark(name, tasks, str(path), SANDBOX)
