"""Scores of the bundled model's runs by kind of task (`seedling.mistakes.KINDS`).

    python -m bench.ablate.by_kind runs/seed-0 runs/seed-1

One row a checkpoint: its score on the tasks of each kind, and how many those are. Tasks without a verdict are left out.
With --labels, one row a round: the share of labels in the band that are right, by kind of problem (audited runs), and one over all
rounds, in which a round that several runs share counts for each. --band LOW HIGH takes the labels whose winner has such a share of the
votes instead. Problems outside the grammar are not audited, and left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.ablate.collect import SCORES, task_scores
from bench.markdown import percent, table
from probing.records import Problem
from rl.console import UserError, error_screen
from rl.round_files import PROBLEMS, VERDICTS, Verdict, read_records, read_rows
from rl.run_data import read_config
from seedling.bench import BENCH_PATH, DEV_PATH
from seedling.grammar import parse
from seedling.mistakes import KINDS, kind_of

TASKS = {"seedling": BENCH_PATH, "seedling_dev": DEV_PATH}


def kind_by_task(benchmark: str) -> dict[str, str]:
    """Task id -> its kind, of one of TASKS."""
    found = {}
    for row in read_rows(TASKS[benchmark]):
        task = parse(row["description"])
        assert task is not None, f"{TASKS[benchmark]}: {row['id']} is outside the grammar"
        found[row["id"]] = kind_of(task)
    return found


def by_kind(values: Mapping[str, float], kinds: Mapping[str, str]) -> dict[str, tuple[float | None, int]]:
    """Kind -> (mean over its tasks, None without one; how many they are); `all` comes first.

    >>> by_kind({"a": 1.0, "b": 0.0}, {"a": "rushed", "b": "neither"})["rushed"]
    (1.0, 1)
    """
    found: dict[str, tuple[float | None, int]] = {}
    for kind in ("all", *KINDS):
        held = [value for task, value in values.items() if kind in ("all", kinds[task])]
        found[kind] = (float(np.mean(held)) if held else None, len(held))
    return found


def rows_of(run: Path, score: str) -> list[list[str]]:
    """One row for each checkpoint of a run that has this score on its first benchmark. Raises UserError where there is no run, its
    benchmark is not in TASKS, or it has no such score."""
    config = read_config(run / "config.yaml")
    if not config:
        raise UserError("no run lies here: it has no config.yaml", str(run), "name the folder of a run")
    benchmark = config["evals"]["benchmarks"][0]
    if benchmark not in TASKS:
        raise UserError(f"kinds are known of {' and '.join(TASKS)} alone, and this run has {benchmark}", str(run), "name other runs")
    kinds = kind_by_task(benchmark)
    rows = []
    for folder in sorted(run.glob("round_*")):
        if values := task_scores(run, int(folder.name.removeprefix("round_")), benchmark)[score]:
            rows.append([str(run), folder.name.removeprefix("round_"), *_cells(values, kinds)])
    if not rows:
        raise UserError(f"no checkpoint of this run has the score {score!r}", str(run), "name another --score")
    return rows


Band = tuple[float, float]  # lowest and highest share of the votes that a winner has


def audited_labels(folder: Path, band: Band | None = None) -> tuple[dict[str, float], dict[str, str]]:
    """(problem -> 1.0 where its label is right, problem -> kind) of a round's labels in the band; both empty where none is audited.

    band: None takes the labels that the round kept.
    """
    if not (folder / VERDICTS.file).exists():
        return {}, {}  # the base's
    tasks = {problem.id: parse(problem.description) for problem in read_records(folder / PROBLEMS.file, Problem)}
    kinds = {problem: kind_of(task) for problem, task in tasks.items() if task is not None}
    taken = [v for v in read_records(folder / VERDICTS.file, Verdict) if (v.kept if band is None else band[0] <= v.top_share <= band[1])]
    right = {v.problem_id: float(v.label_correct) for v in taken if v.label_correct is not None and v.problem_id in kinds}
    return right, kinds


def labels_by_kind(folder: Path) -> dict[str, tuple[float | None, int]] | None:
    """Kind -> (share of the labels that a round kept that are right, how many these are); None where none is audited."""
    right, kinds = audited_labels(folder)
    return by_kind(right, kinds) if right else None


def label_rows_of(runs: Sequence[Path], band: Band | None = None) -> list[list[str]]:
    """One row for each round of audited runs: how many labels in the band are right; the last row is of all rounds. Raises UserError for
    a run where none is audited."""
    rows, all_right, all_kinds = [], {}, {}
    for run in runs:
        found = {folder.name.removeprefix("round_"): audited_labels(folder, band) for folder in sorted(run.glob("round_*"))}
        if not any(right for right, _ in found.values()):
            raise UserError("no label in the band of this run is audited", str(run), "name a run of the bundled model, with audit: true")
        for number, (right, kinds) in found.items():
            if right:
                rows.append([str(run), number, *_cells(right, kinds)])
                all_right |= {f"{run} {number} {problem}": value for problem, value in right.items()}
                all_kinds |= {f"{run} {number} {problem}": kind for problem, kind in kinds.items()}
    return [*rows, ["all", "", *_cells(all_right, all_kinds)]] if len(rows) > 1 else rows


def _cells(values: Mapping[str, float], kinds: Mapping[str, str]) -> list[str]:
    return [f"{percent(mean)} ({held})" for mean, held in by_kind(values, kinds).values()]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="run folders")
    parser.add_argument("--score", choices=SCORES, default="greedy", help="which score (default greedy)")
    parser.add_argument("--labels", action="store_true", help="labels in the band that are right, instead of scores")
    parser.add_argument("--band", nargs=2, type=float, metavar=("LOW", "HIGH"), help="with --labels: shares of the votes, 0 to 1")
    arguments = parser.parse_args(argv)
    with error_screen():
        if arguments.band is not None and not arguments.labels:
            raise UserError("--band is of labels", "command line", "give --labels too")
        band = None if arguments.band is None else (arguments.band[0], arguments.band[1])
        if arguments.labels:
            rows = label_rows_of(arguments.folders, band)
        else:
            rows = [row for folder in arguments.folders for row in rows_of(folder, arguments.score)]
    print(table(["run", "round", "all (labels)" if arguments.labels else "all (tasks)", *KINDS], rows))


if __name__ == "__main__":
    main()
