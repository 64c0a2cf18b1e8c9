"""Rows of a user's own data in the bundled model's world: statements of its grammar, and programs for them that are faulty at times."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from seedling.corpus import write_solution
from seedling.grammar import sample_task, state
from seedling.spellings import Rates

RATES = Rates(rushed=0.0, misconceived=0.6, fault=0.15)  # of collected programs: most are right


def statements(count: int, seed: int = 7, candidates: int = 0) -> list[dict[str, Any]]:
    """Distinct statements with their signature; with so many candidate programs each, if any."""
    rng = random.Random(seed)
    rows: dict[str, dict[str, Any]] = {}
    while len(rows) < count:
        task = sample_task(rng)
        text = state(task, rng)
        row: dict[str, Any] = {"id": f"own/{len(rows)}", "description": text, "signature": task.signature}
        if candidates:
            row["candidates"] = [write_solution(task, rng, RATES) for _ in range(candidates)]
        rows.setdefault(text, row)
    return list(rows.values())


def write_rows(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
