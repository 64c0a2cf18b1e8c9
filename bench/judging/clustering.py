"""How long consensus itself takes, and that it is linear in candidates: from outcomes to clusters and to each rule's scores.

    python -m bench.judging.clustering            # part of make bench-judge

Candidates are distinct programs with random outcomes on 100 inputs, one in forty an error. Processor seconds, medians of three, written to
`bench/results/clustering.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.command import module_command
from rewards.clusters.clustering import cluster
from rewards.clusters.signatures import OutcomeMatrix
from rewards.records import Execution, Kind, Outcome
from rewards.rules.hard import Hard
from rewards.rules.sharp import Sharp
from rewards.rules.soft import Soft
from rl.config.run_folder import git_commit, write_atomically

INPUTS = 100
SHARES = (0.5, 0.2, 0.1, 0.1, 0.05, 0.025)  # of each value on an input; the rest are errors


def executions(count: int, seed: int = 0) -> list[Execution]:
    drawn = np.random.default_rng(seed).choice(len(SHARES) + 1, p=[*SHARES, 1 - sum(SHARES)], size=(count, INPUTS))
    kinds = [*(Outcome(Kind.VALUE, str(i)) for i in range(len(SHARES))), Outcome(Kind.EXCEPTION, "ValueError")]
    return [Execution(tuple(kinds[i] for i in row)) for row in drawn.tolist()]


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return round(median(found), 3)


def measure(sizes: Sequence[int]) -> list[dict[str, Any]]:
    rows = []
    for size in sizes:
        runs = executions(size)
        matrix = OutcomeMatrix.from_executions(runs)
        row: dict[str, Any] = {"candidates": size, "inputs": INPUTS, "matrix": seconds(partial(OutcomeMatrix.from_executions, runs))}
        row["clusters"] = seconds(partial(cluster, matrix))
        for rule in (Hard(), Soft(), Sharp()):
            row[type(rule).__name__.lower()] = seconds(partial(rule.scores, matrix, matrix))
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "clustering.json")
    args = parser.parse_args()
    rows = measure(args.sizes)
    command = module_command("bench.judging.clustering", sys.argv[1:])
    write_atomically(args.out, json.dumps({"command": command, "commit": git_commit(), "rows": rows}, indent=1) + "\n")
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(f"{row[name]:,}" for name in names) + " |")


if __name__ == "__main__":
    main()
