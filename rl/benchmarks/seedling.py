"""seedling-bench: held-out compositions with hidden inputs and reference solutions (`seedling/bench.jsonl`, read by path)."""

from __future__ import annotations

import functools

from probing.prompts.templates import render
from rl.benchmarks.base import Benchmark, EvalTask, Unavailable, benchmark_texts
from rl.benchmarks.data import REPOSITORY
from rl.round_files import read_rows

__all__ = ["benchmark_texts", "load", "rated_statements"]

BENCH_PATH = REPOSITORY / "seedling" / "bench.jsonl"
DEV_PATH = REPOSITORY / "seedling" / "dev.jsonl"  # 400 more, for choosing settings
RATINGS_PATH = REPOSITORY / "seedling" / "ratings.jsonl"


@functools.cache
def load(name: str = "seedling", options: str = "", fetch: bool = False) -> Benchmark | Unavailable:
    """The bundled benchmark. Prompts are those of stage 5, which the seedling was pretrained on."""
    path = DEV_PATH if name == "seedling_dev" else BENCH_PATH
    if not path.is_file():
        return Unavailable(name, f"{path} is not there", "rebuild it with: python -m seedling.bench")
    rows = read_rows(path)
    tasks = tuple(
        EvalTask(
            id=row["id"],
            prompt=render("solve", description=row["description"], interface=row["interface"]),
            entry=row["entry"],
            inputs=tuple(row["inputs"]),
            reference=row["reference"],
            statement=row["description"],
        )
        for row in rows
    )
    return Benchmark(name, tasks, str(path.relative_to(REPOSITORY)))


def rated_statements() -> list[tuple[str, bool]]:
    """(statement, whether it is intact), for the skill of stage 2. Raises OSError when the file is not there."""
    rows = read_rows(RATINGS_PATH)
    return [(row["statement"], row["intact"]) for row in rows]
