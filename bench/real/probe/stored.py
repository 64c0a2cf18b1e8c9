"""What a measurement keeps in its folder, task by task, so that a killed one goes on where it stopped.

FOLDER/verdicts.jsonl      a header, then a row a task: whether each answer passes, and its cluster of equal behaviour
FOLDER/states.json         what the states depend on
FOLDER/states/TASK.npz     hidden states and logprobs of the task's first answers (`probing.probe.hidden_states.StateFeatures`)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.solve.__main__ import read_rows
from probing.probe.hidden_states import HiddenStates, StateFeatures
from probing.samplers.base import Completion
from rewards.sandbox import Sandbox
from rewards.text import whole_file
from rl.benchmarks.base import Benchmark, EvalTask
from rl.benchmarks.prompts import question_of
from rl.config.evals import EvalsConfig
from rl.config.run_folder import write_atomically
from rl.console import UserError
from rl.evals.runner import score
from rl.ranks.states import read_features, read_states, write_features

STYLE = "evalplus"  # the prompt of `ucoder eval`
CHUNK = 10  # tasks graded together

Rows = dict[str, dict[str, Any]]
Advance = Callable[[int], None]


class Folder:
    """The folder of one measurement. Raises UserError where it was begun with other settings."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """settings: what the states depend on; of them `benchmark` and `answers_file` are what the verdicts depend on."""
        self.path, self.settings = path, dict(settings)
        (path / "states").mkdir(parents=True, exist_ok=True)
        stated = path / "states.json"
        if not stated.is_file():
            write_atomically(stated, json.dumps(self.settings) + "\n")
        elif (found := json.loads(stated.read_text(encoding="utf-8"))) != self.settings:
            changed = sorted(key for key in {*found, *self.settings} if found.get(key) != self.settings.get(key))
            said = f"the states that are there were read with other settings: {', '.join(changed)}"
            raise UserError(said, str(stated), "give another --out, or the same settings")
        self.rows: Rows = read_rows(path / "verdicts.jsonl", {key: self.settings[key] for key in ("benchmark", "answers_file")})

    @classmethod
    def found(cls, path: Path) -> Folder:
        """A folder that is there already. Raises UserError where it is none."""
        stated = path / "states.json"
        if not stated.is_file():
            raise UserError("no states were read into this folder", str(path), "run without --collect first")
        return cls(path, json.loads(stated.read_text(encoding="utf-8")))

    def add_verdicts(self, rows: Sequence[dict[str, Any]]) -> None:
        with (self.path / "verdicts.jsonl").open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
        self.rows |= {row["id"]: row for row in rows}

    def states_of(self, task_id: str) -> Path:
        return self.path / "states" / f"{task_id.replace('/', '_')}.npz"

    def complete(self) -> list[tuple[dict[str, Any], StateFeatures]]:
        """Verdicts and features of the tasks that have both, in the order in which they were drawn."""
        return [(row, read_features(path)) for task_id, row in self.rows.items() if (path := self.states_of(task_id)).is_file()]


def grade(
    folder: Folder, benchmark: Benchmark, tasks: Sequence[EvalTask], answers: Mapping[str, Sequence[Completion]], sandbox: Sandbox
) -> Iterator[int]:
    """Grades the tasks that have no verdict, and yields how many are done. The references serve here alone, for the audit."""
    left = [task for task in tasks if task.id not in folder.rows]
    for start in range(0, len(left), CHUNK):
        chunk = left[start : start + CHUNK]
        groups = [answers[task.id] for task in chunk]
        found = iter(score(replace(benchmark, tasks=tuple(chunk)), groups, sandbox, EvalsConfig(samples=1)).samples)
        samples = [[next(found) for _ in group] for group in groups]
        folder.add_verdicts(
            [
                {"id": task.id, "passed": [s.passed for s in of_task], "clusters": [s.label for s in of_task]}
                for task, of_task in zip(chunk, samples, strict=True)
            ]
        )
        yield len(chunk)


def read(
    folder: Folder, reader: HiddenStates, benchmark: Benchmark, task: EvalTask, answers: Sequence[Completion], advance: Advance
) -> None:
    """Reads the states of one task's answers into the folder. Raises UserError for answers to another prompt."""
    question = question_of(reader.tokenizer, task.prompt, STYLE)
    given: list[tuple[list[int], str | None]] = []
    for answer in answers:
        if not answer.text.startswith(question.prefill):
            said = f"an answer to {task.id} does not begin as the prompt {STYLE!r} makes it begin"
            raise UserError(
                said, folder.settings["answers_file"]["file"], "give answers of: ucoder eval --samples_out, with its default prompt"
            )
        program = benchmark.program(task, answer.text)
        ids = list(reader.tokenizer(closed(answer).removeprefix(question.prefill), add_special_tokens=False)["input_ids"])
        end = [reader.tokenizer.eos_token_id] if answer.finished else []
        given.append(([*ids, *end], None if program is None else program.code))
    features = read_states(reader, [question.text] * len(given), given, advance)
    with whole_file(folder.states_of(task.id)) as part:
        write_features(part, features)


def closed(answer: Completion) -> str:
    """The text of an answer with its code block closed: a stop string may have taken the closing fence. One that was cut off is left.

    >>> closed(Completion("```python\\nx = 1", (0,), (), True))
    '```python\\nx = 1\\n```'
    """
    is_open = answer.text.count("```") % 2 == 1
    return f"{answer.text.rstrip()}\n```" if is_open and answer.finished else answer.text
