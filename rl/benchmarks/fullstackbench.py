"""FullStackBench (ByteDance, 2024): 16 languages, answers judged by a SandboxFusion server. The prompt is the row's `content` as it stands.

Data: `fullstackbench/fsb_en.jsonl` (rows of ByteDance/FullStackBench, config `en`), or that dataset on the Hub.
"""

from __future__ import annotations

import functools
import os

from rl.benchmarks.base import Benchmark, Unavailable
from rl.benchmarks.data import find_data, hub_rows, read_json_lines
from rl.benchmarks.external import ExternalTask, FullStackBenchmark

HUB = "ByteDance/FullStackBench"
FILES = ("fullstackbench/fsb_en.jsonl", "fullstackbench/fsb_en_20241201.jsonl", "fsb_en.jsonl")


@functools.cache
def load(name: str = "fullstackbench", options: str = "", fetch: bool = False) -> Benchmark | Unavailable:
    """FullStackBench, its English rows."""
    path = find_data(*FILES)
    rows = read_json_lines(path) if path is not None else hub_rows(HUB, "en", "test", fetch)
    if rows is None:
        remedy = f"put the rows of {HUB} (config en) there as JSON lines, or name the benchmark while online"
        return Unavailable(name, f"no {FILES[0]} in $UCODER_DATA or shared/data", remedy)
    tasks = tuple(ExternalTask(str(row["id"]), row["content"], "", (), "", row["content"], row=row) for row in rows)
    return FullStackBenchmark(name, tasks, str(path or HUB), {"url": os.environ.get("SANDBOX_FUSION_URL", "")})
