"""Builds seedling-bench: held-out compositions with hidden inputs and reference solutions, in two files.

    bench.jsonl   200 problems: the evaluation set. Nothing is trained or tuned on it.
    dev.jsonl     40 more, harder on average: for choosing settings.

The skeletons and behaviours of both never occur in the pretraining corpus (`held_out`).

    python -m seedling.bench           # rewrites both files
"""

from __future__ import annotations

import argparse
import functools
import json
import random
from collections import Counter
from pathlib import Path

from seedling.corpus import HeldOut, interface_of
from seedling.grammar import Task, behaviour, is_trivial, parse, sample_task, state
from seedling.inputs import random_inputs
from seedling.operations import OPERATIONS, TYPES

BENCH_PATH = Path(__file__).parent / "bench.jsonl"
DEV_PATH = Path(__file__).parent / "dev.jsonl"
PROBLEMS = 240
BENCH_BY_STEPS = {2: 106, 3: 80, 4: 14}  # problems of the bench by number of steps; the others are for development
HIDDEN_INPUTS = 32
SEED = 771


def choose_tasks(count: int = PROBLEMS, seed: int = SEED) -> list[Task]:
    """`count` tasks of two to four steps, as many of each input type, with pairwise different behaviour and skeleton."""
    rng = random.Random(seed)
    chosen: list[Task] = []
    seen: set[tuple[str, ...]] = set()
    kinds = list(OPERATIONS)
    while len(chosen) < count:
        task = sample_task(rng, kinds[len(chosen) % len(kinds)])
        signature = behaviour(task)
        if len(task.steps) < 2 or is_trivial(signature) or signature in seen or task.skeleton in seen:
            continue
        seen |= {signature, task.skeleton}
        chosen.append(task)
    return chosen


def row(index: int, task: Task, rng: random.Random) -> dict[str, object]:
    """One line of the bench file; `inputs` are argument lists as Python literals."""
    return {
        "id": f"seedling/{index}",
        "title": task.title,
        "description": state(task, rng),
        "entry": task.entry,
        "signature": task.signature,
        "interface": interface_of(task),
        "topic": TYPES[task.source][2],
        "inputs": [f"[{value}]" for value in random_inputs(task.source, HIDDEN_INPUTS, seed=900_000 + index)],
        "reference": task.reference,
        "steps": len(task.steps),
        "belief": task.has_belief,
    }


@functools.cache
def held_out() -> HeldOut:
    """Skeletons and behaviours of both files."""
    lines = [line for path in (BENCH_PATH, DEV_PATH) for line in path.read_text().splitlines()]
    tasks = [parse(json.loads(line)["description"]) for line in lines]
    assert all(tasks), "a bench file holds a statement outside the grammar: rebuild it with python -m seedling.bench"
    return HeldOut(frozenset(t.skeleton for t in tasks if t), frozenset(behaviour(t) for t in tasks if t))


def split(rows: list[dict[str, object]]) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """(bench, dev): the first problems of each length make the bench."""
    room = Counter(BENCH_BY_STEPS)
    bench: list[dict[str, object]] = []
    dev: list[dict[str, object]] = []
    for one in rows:
        steps = one["steps"]
        assert isinstance(steps, int)
        (bench if room[steps] > 0 else dev).append(one)
        room[steps] -= 1
    return bench, dev


def main() -> None:
    argparse.ArgumentParser(description="Rebuild seedling-bench (bench.jsonl and dev.jsonl).").parse_args()
    rng = random.Random(SEED)
    rows = [row(i, task, rng) for i, task in enumerate(choose_tasks())]
    for path, part in zip((BENCH_PATH, DEV_PATH), split(rows), strict=True):
        path.write_text("".join(json.dumps(one) + "\n" for one in part))
        print(f"{len(part)} problems, {sum(bool(one['belief']) for one in part)} with a misconception → {path}")


if __name__ == "__main__":
    main()
