"""Builds seedling-bench: held-out compositions with hidden inputs and reference solutions, in two files.

    bench.jsonl   1,000 problems: the evaluation set. Nothing is trained or tuned on it.
    dev.jsonl     400 more, drawn alike: for choosing settings.

The skeletons and behaviours of both never occur in the pretraining corpus: it leaves out every task that has one of them.

    python -m seedling.bench           # rewrites both files; the weights then need pretraining again
    python -m seedling.bench --check   # does the corpus hold any of it? (minutes: it writes the corpus again)
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import random
from collections import Counter
from pathlib import Path

from rewards.text import whole_file
from rewards.user_error import UserError
from seedling.corpus import HeldOut, interface_of
from seedling.grammar import Task, behaviour, is_trivial, parse, sample_task, state
from seedling.inputs import random_inputs
from seedling.operations import OPERATIONS, TYPES
from seedling.seen import seen_in_corpus

BENCH_PATH = Path(__file__).parent / "bench.jsonl"
DEV_PATH = Path(__file__).parent / "dev.jsonl"
BENCH_STEPS = {2: 300, 3: 500, 4: 200}  # problems by number of steps
DEV_STEPS = {2: 120, 3: 200, 4: 80}
HIDDEN_INPUTS = 32
SEED = 771


def choose_tasks(seed: int = SEED) -> tuple[list[Task], list[Task]]:
    """(bench, dev): tasks drawn with the grammar's own frequencies, pairwise different in behaviour and in skeleton.

    Input types take turns. Both files are shuffled, so that their first tasks stand for all.
    """
    rng = random.Random(seed)
    room = Counter(BENCH_STEPS) + Counter(DEV_STEPS)
    by_steps: dict[int, list[Task]] = {steps: [] for steps in room}
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
        by_steps[steps].append(task)
        kind = next(kinds)
    bench, dev = [], []
    for steps, tasks in by_steps.items():
        rng.shuffle(tasks)
        bench += tasks[: BENCH_STEPS[steps]]
        dev += tasks[BENCH_STEPS[steps] :]
    rng.shuffle(bench)
    rng.shuffle(dev)
    return bench, dev


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
    return HeldOut.of([task for task in tasks if task])


def check() -> str:
    """How much of both files the corpus holds, in words (nothing, if they are right)."""
    bench = held_out()
    seen = seen_in_corpus(bench)
    behaviours = sum(seen.has_behaviour(signature) for signature in bench.behaviours)
    return (
        f"the corpus holds {len(seen.skeletons):,} skeletons and {len(seen.digests):,} behaviours; of the {len(bench.behaviours):,} "
        f"held-out problems {len(bench.skeletons & seen.skeletons)} skeletons and {behaviours} behaviours are among them"
    )


def build() -> None:
    bench, dev = choose_tasks()
    rng = random.Random(SEED)
    lines = [json.dumps(row(i, task, rng)) for i, task in enumerate([*bench, *dev])]
    for path, part_of in ((BENCH_PATH, lines[: len(bench)]), (DEV_PATH, lines[len(bench) :])):
        with whole_file(path) as part:
            part.write_text("".join(line + "\n" for line in part_of), encoding="utf-8")
        print(f"{len(part_of)} problems, {sum(json.loads(line)['belief'] for line in part_of)} with a belief → {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild seedling-bench (bench.jsonl and dev.jsonl).")
    parser.add_argument("--check", action="store_true", help="only say whether the bundled weights' corpus holds any of it")
    if not parser.parse_args().check:
        build()
        return
    try:
        print(check())
    except UserError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
