"""BigCodeBench (Zhuo et al., 2024): Complete and Instruct, full and hard. Prompts as in `bigcodebench/provider/utility.py`.

Data: `BigCodeBench.jsonl` and `BigCodeBench-Hard.jsonl` of the official releases in a folder `bigcodebench/`, or the datasets
bigcode/bigcodebench and bigcode/bigcodebench-hard on the Hub.
"""

from __future__ import annotations

import functools
from typing import Any

from rl.evals.base import Benchmark, Unavailable, find_data, hub_rows
from rl.evals.evalplus import read_rows
from rl.evals.external import BigCodeBenchmark, ExternalTask
from rl.evals.prompts import INSTRUCTION

HUB = {"full": "bigcode/bigcodebench", "hard": "bigcode/bigcodebench-hard"}
FILES = {"full": "BigCodeBench.jsonl", "hard": "BigCodeBench-Hard.jsonl"}
VERSION = "v0.1.4"


def prompt_of(row: dict[str, Any], split: str) -> str:
    text = row[f"{split}_prompt"].strip()
    return f"{INSTRUCTION}\n```\n{text}\n```\n" if split == "complete" else f"{INSTRUCTION}\n{text}\n"


@functools.cache
def load(name: str, options: str = "", fetch: bool = False) -> Benchmark | Unavailable:
    """`bigcodebench_complete`, `bigcodebench_instruct`, and either with `_hard`."""
    subset, split = "hard" if name.endswith("_hard") else "full", "instruct" if "instruct" in name else "complete"
    path = find_data(f"bigcodebench/{FILES[subset]}", FILES[subset])
    rows = read_rows(path) if path is not None else hub_rows(HUB[subset], None, VERSION, fetch)
    if rows is None:
        remedy = f"put it there from {HUB[subset]} on the Hub (split {VERSION}, as JSON lines), or name the benchmark while online"
        return Unavailable(name, f"no bigcodebench/{FILES[subset]} in $UCODER_DATA or shared/data", remedy)
    tasks = tuple(
        ExternalTask(
            id=row["task_id"],
            prompt=prompt_of(row, split),
            entry=row["entry_point"],
            inputs=(),
            reference=row["complete_prompt"] + "\n" + row["canonical_solution"],
            statement=row["instruct_prompt"],
            row=row,
            given=row["complete_prompt"],
        )
        for row in rows
    )
    return BigCodeBenchmark(name, tasks, str(path or HUB[subset]))
