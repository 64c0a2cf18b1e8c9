"""Builds seedling-bench: held-out compositions with hidden inputs and reference solutions, in two files.

    bench.jsonl   1,000 problems: the evaluation set. Nothing is trained or tuned on it.
    dev.jsonl     200 more of the same kind: for choosing settings.

The skeletons and behaviours of both never occur in the pretraining corpus. The first 200 of the bench, and dev, were drawn first and
kept out of the corpus. The other 800 were drawn after the bundled weights had been pretrained: the corpus is a function of its seed, so
it is written again (`seedling.seen`), and only tasks are taken of which neither the skeleton nor the behaviour is in it. They are longer,
therefore, and of rarer combinations than the first 200; `evals.limit: 200` measures those alone, as older results did.

    python -m seedling.bench           # rewrites both files (minutes: it writes the corpus again)
    python -m seedling.bench --check   # does the corpus hold any of it?
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from seedling.corpus import HeldOut, interface_of
from seedling.grammar import Task, behaviour, is_trivial, parse, sample_task, state
from seedling.inputs import random_inputs
from seedling.operations import OPERATIONS, TYPES
from seedling.seen import Seen, seen_in_corpus

BENCH_PATH = Path(__file__).parent / "bench.jsonl"
DEV_PATH = Path(__file__).parent / "dev.jsonl"
STEPS = {2: 124, 3: 66, 4: 10}  # problems of dev, and of the bench's first part, by number of steps
LATER = 160  # problems of each input type in the bench's second part; in a fifth the corpus is mistaken about a step, as in the first part
LATER_PAIRS = {"int": 0, "list[int]": 70, "str": 4, "list[str]": 30, "dict[str, int]": 0}  # of two steps, all that the corpus leaves over
LATER_MISTAKEN = {2: 16, 3: 14, 4: 2}  # by number of steps, for each type
LATER_OF_FOUR = 6  # beside these; the others have three steps
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


Room = Counter[tuple[str, int, bool]]  # tasks wanted by input type, number of steps, and whether the corpus is mistaken about one


def choose_later(taken: Sequence[Task], seen: Seen, seed: int = SEED + 1) -> list[Task]:
    """The bench's second part: `LATER` tasks of each input type, new in behaviour and skeleton to those taken and to the corpus."""
    room: Room = Counter({(kind, steps, True): count for kind in OPERATIONS for steps, count in LATER_MISTAKEN.items()})
    for kind, pairs in LATER_PAIRS.items():
        rest = LATER - sum(LATER_MISTAKEN.values()) - pairs - LATER_OF_FOUR
        room.update({(kind, 2, False): pairs, (kind, 3, False): rest, (kind, 4, False): LATER_OF_FOUR})
    found = draw_new(room, taken, seen, seed)
    random.Random(seed).shuffle(found)  # so that the first so many are a fair part
    return found


def draw_new(room: Room, taken: Sequence[Task], seen: Seen, seed: int) -> list[Task]:
    """Tasks that fill the room, the shorter ones first. Does not end where there are too few.

    Pairs that the corpus lacks are rare: for them operations are drawn evenly, for longer tasks as often as in the corpus.
    """
    rng = random.Random(seed)
    behaviours, skeletons = {behaviour(task) for task in taken}, {task.skeleton for task in taken}
    found: list[Task] = []
    for steps in sorted({steps for _, steps, _ in room}):
        left = Counter({place: count for place, count in room.items() if place[1] == steps})
        while left.total():
            task = sample_task(rng, even=steps == 2)
            place = task.source, len(task.steps), task.has_belief
            if not left[place] or task.skeleton in skeletons or task.skeleton in seen.skeletons:
                continue
            signature = behaviour(task)
            if is_trivial(signature) or signature in behaviours or seen.has_behaviour(signature):
                continue
            behaviours.add(signature)
            skeletons.add(task.skeleton)
            left[place] -= 1
            found.append(task)
    return found


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
    first, dev = choose_tasks()
    seen, bench = seen_in_corpus(HeldOut.of([*first, *dev])), held_out()
    behaviours = sum(seen.has_behaviour(signature) for signature in bench.behaviours)
    return (
        f"the corpus holds {len(seen.skeletons):,} skeletons and {len(seen.digests):,} behaviours; of the {len(bench.behaviours):,} "
        f"held-out problems {len(bench.skeletons & seen.skeletons)} skeletons and {behaviours} behaviours are among them"
    )


def build() -> None:
    rng = random.Random(SEED)
    first, dev = choose_tasks()
    taken = [*first, *dev]
    later = choose_later(taken, seen_in_corpus(HeldOut.of(taken)))
    numbered = [row(i, task, rng) for i, task in enumerate([*taken, *later])]
    bench = numbered[: len(first)] + numbered[len(taken) :]
    for path, rows in ((BENCH_PATH, bench), (DEV_PATH, numbered[len(first) : len(taken)])):
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
        print(f"{len(rows)} problems, {sum(bool(one['belief']) for one in rows)} with a misconception → {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild seedling-bench (bench.jsonl and dev.jsonl).")
    parser.add_argument("--check", action="store_true", help="only say whether the bundled weights' corpus holds any of it")
    if parser.parse_args().check:
        print(check())
    else:
        build()


if __name__ == "__main__":
    main()
