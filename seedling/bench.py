"""Builds seedling-bench: held-out compositions with hidden inputs and reference solutions, written to `bench.jsonl`.

The bench is the seedling's held-out evaluation. Its skeletons and behaviours never occur in the pretraining corpus
(`held_out`), and nothing in the loop trains on it.

    python -m seedling.bench           # rewrites seedling/bench.jsonl
"""

from __future__ import annotations

import argparse
import functools
import json
import random
from pathlib import Path

from seedling.corpus import HeldOut, interface_of
from seedling.grammar import Task, behaviour, is_trivial, parse, sample_task, state
from seedling.inputs import random_inputs
from seedling.operations import OPERATIONS, TYPES

BENCH_PATH = Path(__file__).parent / "bench.jsonl"
PROBLEMS = 240
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
def held_out(path: Path = BENCH_PATH) -> HeldOut:
    """Skeletons and behaviours of the bench file."""
    tasks = [parse(json.loads(line)["description"]) for line in path.read_text().splitlines()]
    assert all(tasks), f"{path} holds a statement outside the grammar: rebuild it with python -m seedling.bench"
    return HeldOut(frozenset(t.skeleton for t in tasks if t), frozenset(behaviour(t) for t in tasks if t))


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild seedling-bench.")
    parser.add_argument("--out", type=Path, default=BENCH_PATH)
    arguments = parser.parse_args()
    rng = random.Random(SEED)
    rows = [row(i, task, rng) for i, task in enumerate(choose_tasks())]
    arguments.out.write_text("".join(json.dumps(r) + "\n" for r in rows))
    beliefs = sum(bool(r["belief"]) for r in rows)
    print(f"{len(rows)} problems, {beliefs} with a misconception → {arguments.out}")


if __name__ == "__main__":
    main()
