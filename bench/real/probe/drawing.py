"""A model's own answers to the tasks, where there is no file of them: FOLDER/answers.jsonl, a few tasks at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.real.probe.stored import STYLE
from probing.models.loading import load_tokenizer
from probing.prompts.asking import answers_to
from probing.samplers.base import SamplingParams
from probing.samplers.config import SamplingConfig
from probing.samplers.engines.factory import open_sampler
from rl.benchmarks.base import EvalTask
from rl.benchmarks.prompts import question_of
from rl.config.run_folder import write_atomically
from rl.console import UserError
from rl.evals.engine import check_engine, in_precision

NAME = "answers.jsonl"
CHUNK = 25  # tasks answered together


@dataclass(frozen=True)
class Drawing:
    """How answers are drawn."""

    samples: int  # to each task
    temperature: float
    max_new_tokens: int
    dtype: str  # of the weights, as `ucoder eval` takes it
    seed: int

    @property
    def record(self) -> dict[str, Any]:
        """What the measurement says of its answers."""
        return {"file": NAME, **asdict(self)}


def draw_answers(
    folder: Path,
    model: str,
    benchmark: str,
    tasks: Sequence[EvalTask],
    how: Drawing,
    batch_size: int,
    advance: Callable[[int], None],
) -> Path:
    """FOLDER/answers.jsonl, with `how.samples` answers added to each task that has none; written anew after every few tasks.

    model: folder of a checkpoint. Of one seed and machine the answers are the same, however often it was stopped: each few tasks are drawn
    with a seed of their own. Raises UserError where the answers that are there were drawn in another way.
    """
    path, stated = folder / NAME, folder / "drawing.json"
    folder.mkdir(parents=True, exist_ok=True)
    if stated.is_file() and (found := json.loads(stated.read_text(encoding="utf-8"))) != how.record:
        changed = ", ".join(key for key, value in how.record.items() if found.get(key) != value)
        raise UserError(f"the answers that are there were drawn with other settings: {changed}", str(stated), "give another --out")
    write_atomically(stated, json.dumps(how.record) + "\n")
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    done = {json.loads(line)["task"] for line in text.splitlines()}
    chunks = [(start, tasks[start : start + CHUNK]) for start in range(0, len(tasks), CHUNK)]
    left = [(start, chunk) for start, chunk in chunks if not done.issuperset(task.id for task in chunk)]
    advance(how.samples * (len(tasks) - sum(len(chunk) for _, chunk in left)))
    if not left:
        return path
    sampling = in_precision(how.dtype, SamplingConfig(batch_size=batch_size))
    check_engine(sampling, model)
    params = SamplingParams(how.temperature, 1.0, how.max_new_tokens)
    tokenizer = load_tokenizer(model)
    with closing(open_sampler(sampling, model)) as sampler:
        for start, chunk in left:
            questions = [question_of(tokenizer, task.prompt, STYLE) for task in chunk]
            groups = answers_to(sampler, questions, how.samples, params, how.seed + start, advance)
            rows = [
                {
                    "benchmark": benchmark,
                    "task": task.id,
                    "index": i,
                    "completion": a.text,
                    "tokens": len(a.token_ids),
                    "finished": a.finished,
                }
                for task, group in zip(chunk, groups, strict=True)
                if task.id not in done
                for i, a in enumerate(group)
            ]
            text += "".join(json.dumps(row) + "\n" for row in rows)
            write_atomically(path, text)
    return path
