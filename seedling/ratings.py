"""Builds `ratings.jsonl`: held-out statements, half of them corrupted, on which the rating skill is measured.

Statements are those of `seedling-bench`, which pretraining never sees; none is used both ways.

    python -m seedling.ratings           # rewrites seedling/ratings.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from seedling.bench import BENCH_PATH
from seedling.corpus import corrupt

RATINGS_PATH = Path(__file__).parent / "ratings.jsonl"
STATEMENTS = 200
SEED = 613


def rows(statements: list[str], count: int = STATEMENTS, seed: int = SEED) -> list[dict[str, object]]:
    """`count` rows {statement, intact}, half of them intact, in random order."""
    rng = random.Random(seed)
    chosen = rng.sample(sorted(set(statements)), count)
    made: list[dict[str, object]] = []
    for place, statement in enumerate(chosen):
        intact, text = place % 2 == 0, statement
        while not intact and text == statement:
            text = corrupt(statement, rng)
        made.append({"statement": text, "intact": intact})
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild the statements on which ratings are measured.")
    parser.add_argument("--out", type=Path, default=RATINGS_PATH)
    arguments = parser.parse_args()
    statements = [json.loads(line)["description"] for line in BENCH_PATH.read_text(encoding="utf-8").strip().split("\n")]
    made = rows(statements)
    arguments.out.write_text("".join(json.dumps(row) + "\n" for row in made))
    print(f"{len(made)} statements → {arguments.out}")


if __name__ == "__main__":
    main()
