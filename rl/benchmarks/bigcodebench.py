"""BigCodeBench (Zhuo et al., 2024): Complete and Instruct, full and hard. Prompts as in `bigcodebench/provider/utility.py` of 0.2.5.

Data: `BigCodeBench.jsonl` and `BigCodeBench-Hard.jsonl` of the official releases, or `bigcodebench_hard.json.gz` as in Qwen's repository,
in a folder `bigcodebench/`; or the datasets bigcode/bigcodebench and bigcode/bigcodebench-hard on the Hub. Scored by
`rl.benchmarks.bigcodebench_scoring`.
"""

from __future__ import annotations

import functools
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probing.prompt import Prompt, Question
from rl.benchmarks.base import Benchmark, Unavailable
from rl.benchmarks.bigcodebench_scoring import BigCodeBenchmark, BigCodeTask, settings
from rl.benchmarks.data import find_data, hub_rows, read_json_lines
from rl.benchmarks.prompts import EVALPLUS_STOPS, INSTRUCTION, RESPONSE, CodePrompt, Style

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HUB = {"full": "bigcode/bigcodebench", "hard": "bigcode/bigcodebench-hard"}
FILES = {
    "full": ("BigCodeBench.jsonl", "bigcodebench.json.gz"),
    "hard": ("BigCodeBench-Hard.jsonl", "bigcodebench_hard.json.gz"),
}
VERSION = "v0.1.4"


@dataclass(frozen=True)
class BigCodePrompt(CodePrompt):
    """A task in the official words: the user's turn, and the start of the answer but for the style `plain`.

    code: the field `complete_prompt` (a function to be completed) or `instruct_prompt` (a description).
    """

    is_code: bool = True

    def styled(self, style: Style) -> Prompt:
        """The same for evalplus and qwen: the benchmark has one way to be asked."""
        if style == "plain":
            return Prompt(self.plain)
        return Prompt(self.plain, prefill=f"{RESPONSE}\n```python\n", stop=(*EVALPLUS_STOPS, "\n```\n"))

    def continued(self, tokenizer: PreTrainedTokenizerBase) -> Question:
        """Without a chat template the text alone, which the answer to a code prompt starts with."""
        question = super().continued(tokenizer)
        return question if self.is_code else Question(question.text, "", question.stop)


def prompt_of(row: dict[str, Any], split: str) -> BigCodePrompt:
    text = row[f"{split}_prompt"]
    user = f"{INSTRUCTION}\n```\n{text.strip()}\n```\n" if split == "complete" else f"{INSTRUCTION}\n{text.strip()}\n"
    return BigCodePrompt(text, "bigcodebench", user, split == "complete")


def rows_of(path: Path) -> list[dict[str, Any]]:
    """JSON lines, or one JSON object of rows by their ids."""
    if ".jsonl" in path.name:
        return read_json_lines(path)
    data = path.read_bytes()
    return list(json.loads(gzip.decompress(data) if path.suffix == ".gz" else data).values())


@functools.cache
def load(name: str, options: str = "", fetch: bool = False) -> Benchmark | Unavailable:
    """`bigcodebench_complete`, `bigcodebench_instruct`, and either with `_hard`."""
    subset, split = "hard" if name.endswith("_hard") else "full", "instruct" if "instruct" in name else "complete"
    path = find_data(*(f"bigcodebench/{file}" for file in FILES[subset]), FILES[subset][0])
    rows = rows_of(path) if path is not None else hub_rows(HUB[subset], None, VERSION, fetch)
    if rows is None:
        remedy = f"put it there from {HUB[subset]} on the Hub (split {VERSION}, as JSON lines), or name the benchmark while online"
        return Unavailable(name, f"no bigcodebench/{FILES[subset][0]} in $UCODER_DATA or shared/data", remedy)
    tasks = tuple(
        BigCodeTask(
            id=row["task_id"],
            prompt=prompt_of(row, split),
            entry=row["entry_point"],
            inputs=(),
            reference=row["complete_prompt"] + "\n" + row["canonical_solution"],
            statement=row["instruct_prompt"],
            given=row["complete_prompt"],
            head=row["code_prompt"],
            tests=row["test"],
        )
        for row in rows
    )
    return BigCodeBenchmark(name, tasks, str(path or HUB[subset]), settings())
