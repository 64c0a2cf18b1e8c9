"""Every sample of an evaluation in a file, one JSON object a line, to be looked at later (`ucoder eval --samples_out FILE.jsonl.gz`).

    {"benchmark": "humaneval_plus", "task": "HumanEval/0", "index": 0, "completion": "…", "program": "…", "passed": true, "base": true,
     "outcome": "passed", "tokens": 87, "finished": true}

`ucoder eval --answers FILE` grades it again. `completion` has the prefill of its prompt in front; `program` is null where the answer has
none; `passed` is null where our infrastructure failed; `base` is null where a benchmark has no older tests.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from rewards.text import whole_file
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


def _opened(path: Path, compressed: bool) -> TextIO:
    return gzip.open(path, "wt", encoding="utf-8") if compressed else path.open("w", encoding="utf-8")
