"""Every sample of an evaluation in a file, one JSON object a line, to be looked at later (`ucoder eval --samples_out FILE.jsonl.gz`).

    {"benchmark": "humaneval_plus", "task": "HumanEval/0", "index": 0, "completion": "…", "program": "…", "passed": true, "base": true,
     "outcome": "passed", "tokens": 87, "finished": true}

`ucoder eval --answers FILE` grades it again. `completion` has the prefill of its prompt in front; `program` is null where the answer has
none; `passed` is null where our infrastructure failed, or nothing here can score it; `base` is null where a benchmark has no older tests.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from rewards.text import whole_file
from rl.benchmarks.base import Benchmark
from rl.config.evals import normal_name
from rl.config.run_folder import write_atomically
from rl.evals.runner import EvalResult


def write_samples_file(path: Path, results: Mapping[str, EvalResult]) -> int:
    """Write the samples of all benchmarks, compressed where the name ends in .gz; returns how many. An interrupted write leaves no file."""
    count = 0
    with whole_file(path) as part, _opened(part, path.suffix == ".gz") as file:
        for name, result in results.items():
            for s in result.samples:
                row = {
                    "benchmark": name,
                    "task": s.task_id,
                    "index": s.index,
                    "completion": s.completion,
                    "program": s.code,
                    "passed": s.passed,
                    "base": s.base,
                    "outcome": s.outcome,
                    "tokens": s.n_tokens,
                    "finished": s.finished,
                }
                file.write(json.dumps(row) + "\n")
                count += 1
    return count


def write_export(name: str, benchmark: Benchmark, result: EvalResult, folder: Path) -> Path:
    """The samples in the format of the benchmark's public tool, in a file of its own for each `name`, which may have options."""
    groups: dict[str, list[tuple[str, str | None]]] = {task.id: [] for task in benchmark.tasks}
    for sample in result.samples:
        groups[sample.task_id].append((sample.completion, sample.code))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{normal_name(name).replace(':', '_')}.{'json' if benchmark.name == 'livecodebench' else 'jsonl'}"
    write_atomically(file, benchmark.export([(task, groups[task.id]) for task in benchmark.tasks]))
    return file


def _opened(path: Path, compressed: bool) -> TextIO:
    return gzip.open(path, "wt", encoding="utf-8") if compressed else path.open("w", encoding="utf-8")
