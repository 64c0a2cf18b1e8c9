"""Builds seedling-bench: held-out compositions with hidden inputs and reference solutions, in two files.

    bench.jsonl   200 problems: the evaluation set. Nothing is trained or tuned on it.
    dev.jsonl     200 more of the same kind: for choosing settings.

The skeletons and behaviours of both never occur in the pretraining corpus (`held_out`).

    python -m seedling.bench           # rewrites both files
"""

from __future__ import annotations

import argparse
import functools
import itertools
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
STEPS = {2: 124, 3: 66, 4: 10}  # problems of each file, by number of steps
HIDDEN_INPUTS = 32
SEED = 771


def choose_tasks(seed: int = SEED) -> tuple[list[Task], list[Task]]:
    """(bench, dev): tasks of two to four steps in the shares of `STEPS`, pairwise different in behaviour and in skeleton.

    Input types take turns, and so do the files, task by task of each length.
    """
    rng = random.Random(seed)
    files: tuple[list[Task], list[Task]] = ([], [])
    room = Counter({steps: 2 * count for steps, count in STEPS.items()})
    seen: set[tuple[str, ...]] = set()
    kinds = itertools.cycle(OPERATIONS)
    kind = next(kinds)
    while room.total():
        task = sample_task(rng, kind)
        signature = behaviour(task)
        steps = len(task.steps)
        if not room[steps] or is_trivial(signature) or signature in seen or task.skeleton in seen:
            continue
        seen |= {signature, task.skeleton}
        room[steps] -= 1
        files[room[steps] % 2].append(task)
        kind = next(kinds)
    return files


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
    lines = [line for path in (BENCH_PATH, DEV_PATH) for line in path.read_text(encoding="utf-8").strip().split("\n")]
    tasks = [parse(json.loads(line)["description"]) for line in lines]
    assert all(tasks), "a bench file holds a statement outside the grammar: rebuild it with python -m seedling.bench"
    return HeldOut(frozenset(t.skeleton for t in tasks if t), frozenset(behaviour(t) for t in tasks if t))


def main() -> None:
    argparse.ArgumentParser(description="Rebuild seedling-bench (bench.jsonl and dev.jsonl).").parse_args()
    rng = random.Random(SEED)
    first = 0
    for path, tasks in zip((BENCH_PATH, DEV_PATH), choose_tasks(), strict=True):
        rows = [row(first + i, task, rng) for i, task in enumerate(tasks)]
        first += len(tasks)
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
        print(f"{len(rows)} problems, {sum(bool(one['belief']) for one in rows)} with a misconception → {path}")


if __name__ == "__main__":
    main()
