"""Answers that are already there, to be graded instead of asking a model (`ucoder eval --answers FILE.jsonl.gz`).

    {"benchmark": "humaneval_plus", "task": "HumanEval/0", "index": 0, "completion": "…", "tokens": 87, "finished": true}

One JSON object a line, compressed where the name ends in .gz: what `--samples_out` writes. `task_id`, `text` and `n` are read as `task`,
`completion` and `tokens`; other fields are passed over. `completion` is the whole answer, its prompt's prefill in front. Without
`finished`, an answer of `--max_new_tokens` tokens counts as cut off.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing.samplers.base import Completion
from rewards.text import json_fault, json_lines
from rl.benchmarks.base import Benchmark, EvalTask
from rl.benchmarks.prompts import CodePrompt, with_spaces
from rl.config.evals import normal_name
from rl.console import UserError

FIELDS = {"task": "task_id", "completion": "text", "tokens": "n"}  # each with the other name under which it is read
TYPES: dict[str, type] = {"benchmark": str, "task": str, "index": int, "completion": str, "tokens": int}
MOST_TOKENS = 10_000_000  # of one answer
SHOWN = 5  # names in an error message


@dataclass(frozen=True)
class AnswersFile:
    """The answers of a file by benchmark and task, those of a task in the order of their `index`."""

    path: Path
    sha256: str  # of the file as it lies there
    answers: Mapping[str, Mapping[str, Sequence[Completion]]]  # benchmark (the registry's spelling) -> task id -> answers

    def record(self) -> dict[str, Any]:
        """What an evaluation's JSON says of the file."""
        return {"file": self.path.name, "sha256": self.sha256}

    def samples(self, names: Collection[str]) -> int:
        """Answers of each task of the named benchmarks. Raises UserError when their number differs, or there are none."""
        counts: dict[int, str] = {}
        for name in map(normal_name, names):
            for task, group in self.answers.get(name, {}).items():
                counts.setdefault(len(group), f"{name} {task}")
        if not counts:
            said = f"the file has answers to {', '.join(self.answers) or 'nothing'}, none to {', '.join(names)}"
            raise UserError(said, str(self.path), "name others with --benchmarks")
        if len(counts) > 1:
            said = "; ".join(f"{count} to {task}" for count, task in list(counts.items())[:SHOWN])
            raise UserError(f"the tasks have different numbers of answers: {said}", str(self.path), "give each task the same number")
        return next(iter(counts))

    def to(self, name: str, benchmark: Benchmark, known: Collection[str], styled: bool) -> list[list[Completion]]:
        """The answers to each task of the benchmark, in its order. Raises UserError for a task without any, and for an unknown one.

        name: the benchmark's in the file. known: ids of all its tasks, those beyond `--limit` too, whose answers are passed over. styled:
        whether HumanEval and MBPP were asked as a public harness does, which hands an answer on with spaces for its tabs.
        """
        found = self.answers.get(normal_name(name), {})
        if unknown := [task for task in found if task not in known]:
            said = f"{name} has no task {_some(unknown)}"
            raise UserError(said, str(self.path), "grade the answers with the benchmark that they belong to")
        if lacking := [task.id for task in benchmark.tasks if task.id not in found]:
            said = f"the file has no answer to {len(lacking)} of {len(benchmark.tasks)} tasks of {name}: {_some(lacking)}"
            raise UserError(said, str(self.path), "give answers to all, or take the first tasks alone with --limit")
        return [[_handed_on(task, answer, styled) for answer in found[task.id]] for task in benchmark.tasks]


def read_answers(path: Path, max_new_tokens: int) -> AnswersFile:
    """The answers in a file. Raises UserError, with the line, for what cannot be read or has an index twice."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"the answers cannot be read: {said}", str(path), "give a file of ucoder eval --samples_out") from None
    rows: dict[str, dict[str, dict[int, Completion]]] = {}
    for number, line in json_lines(text):
        where = f"{path}, line {number}"
        row = _row(line, where)
        tokens, finished = row["tokens"], row["finished"]
        ended = tokens < max_new_tokens if finished is None else finished
        group = rows.setdefault(normal_name(row["benchmark"]), {}).setdefault(row["task"], {})
        if row["index"] in group:
            raise UserError(f"answer {row['index']} to {row['task']} is there twice", where, "give each answer of a task its own index")
        group[row["index"]] = Completion(row["completion"], (0,) * tokens, (), ended)  # which tokens they were is not needed
    answers = {name: {task: [g[i] for i in sorted(g)] for task, g in tasks.items()} for name, tasks in rows.items()}
    if not answers:
        raise UserError("the file has no answers", str(path), "give a file of ucoder eval --samples_out")
    return AnswersFile(path, hashlib.sha256(data).hexdigest(), answers)


def _row(line: str, where: str) -> dict[str, Any]:
    """The fields of a line under their first names; `finished` is None where the line does not say."""
    remedy = "write " + json.dumps({"benchmark": "humaneval_plus", "task": "HumanEval/0", "index": 0, "completion": "…", "tokens": 87})
    try:
        given = json.loads(line, strict=False)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the line is not JSON: {json_fault(error)}", where, remedy) from None
    if not isinstance(given, dict):
        raise UserError("the line is no JSON object", where, remedy)
    row: dict[str, Any] = {name: given.get(name, given.get(FIELDS.get(name, name))) for name in TYPES}
    for name, kind in TYPES.items():
        if not isinstance(row[name], kind) or isinstance(row[name], bool):
            shown = f"is {json.dumps(row[name])[:40]}" if row[name] is not None else "is missing"
            raise UserError(f"the field {name!r} {shown}, where {'a text' if kind is str else 'a number'} is wanted", where, remedy)
    if not 1 <= row["tokens"] <= MOST_TOKENS or row["index"] < 0:
        said = f"index {row['index']}, tokens {row['tokens']}: an index counts from 0, tokens from 1 to {MOST_TOKENS:,}"
        raise UserError(said, where, remedy)
    if not isinstance(given.get("finished"), bool | None):
        raise UserError(f"the field 'finished' is {given['finished']!r}, where true or false is wanted", where, remedy)
    return row | {"finished": given.get("finished")}


def _handed_on(task: EvalTask, answer: Completion, styled: bool) -> Completion:
    if not styled or not isinstance(task.prompt, CodePrompt):
        return answer
    return Completion(with_spaces(answer.text), answer.token_ids, answer.logprobs, answer.finished)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
