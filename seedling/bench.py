"""Builds seedling-bench: held-out compositions with hidden inputs and reference solutions, in two files.

    bench.jsonl   1,000 problems: the evaluation set. Nothing is trained or tuned on it.
    dev.jsonl     200 more of the same kind: for choosing settings.

The skeletons and behaviours of both never occur in the pretraining corpus: it leaves out every task that has one of them. The
first 200 of the bench, and dev, are drawn with the grammar's own frequencies of operations. The other 800 were drawn at commit
afe9cd0, after an earlier corpus had been written: only tasks were taken of which neither the skeleton nor the behaviour was in
it. They are longer, therefore, and of rarer combinations than the first 200, and are kept as they are. `evals.limit: 200`
measures the first 200 alone, as older results did.

    python -m seedling.bench           # rewrites both files; of the bench the first 200
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
STEPS = {2: 124, 3: 66, 4: 10}  # problems of dev, and of the bench's first part, by number of steps
HIDDEN_INPUTS = 32
SEED = 771


def choose_tasks(seed: int = SEED) -> tuple[list[Task], list[Task]]:
    """(bench's first part, dev): tasks of two to four steps in the shares of `STEPS`, pairwise different in behaviour and in skeleton.

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
    first, dev = choose_tasks()
    rng = random.Random(SEED)
    numbered = [json.dumps(row(i, task, rng)) for i, task in enumerate([*first, *dev])]
    later = BENCH_PATH.read_text(encoding="utf-8").splitlines()[len(first) :]
    for path, lines in ((BENCH_PATH, numbered[: len(first)] + later), (DEV_PATH, numbered[len(first) :])):
        with whole_file(path) as part:  # it holds the only copy of the later tasks
            part.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        print(f"{len(lines)} problems, {sum(json.loads(line)['belief'] for line in lines)} with a belief → {path}")


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
