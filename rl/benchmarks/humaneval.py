"""HumanEval (Chen et al., 2021): 164 tasks, each with the official `check` function. Scored as openai/human-eval `execution.py` does."""

from __future__ import annotations

import functools

from rl.benchmarks.base import Benchmark, Unavailable
from rl.benchmarks.data import find_data, read_json_lines
from rl.benchmarks.evalplus import docstring, function_prompt
from rl.benchmarks.replay import SANDBOX, TestedBenchmark, TestedTask

FILES = ("humaneval/HumanEval.jsonl.gz", "HumanEval.jsonl.gz", "HumanEval.jsonl")


@functools.cache
def load(name: str = "humaneval", options: str = "", fetch: bool = False) -> Benchmark | Unavailable:
    """HumanEval, as officially released."""
    path = find_data(*FILES)
    if path is None:
        remedy = "put data/HumanEval.jsonl.gz of github.com/openai/human-eval there"
        return Unavailable(name, f"no {FILES[0]} in $UCODER_DATA or shared/data", remedy)
    tasks = tuple(
        TestedTask(
            id=row["task_id"],
            prompt=function_prompt(row["prompt"]),
            entry=row["entry_point"],
            inputs=(),
            reference=row["prompt"] + row["canonical_solution"],
            statement=docstring(row["prompt"]),
            tests=f"{row['test']}\ncheck({row['entry_point']})\n",
            given=row["prompt"],
        )
        for row in read_json_lines(path)
    )
    return TestedBenchmark(name, tasks, str(path), SANDBOX)
