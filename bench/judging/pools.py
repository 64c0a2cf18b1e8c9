"""Pools of candidates with a known share of wrong ones, from the HumanEval+ and MBPP+ references (the judge's benchmark).

A *population* of a task is its reference, rewrites of it, mutants of first and second order, constant and echoing stubs, all executed
on the same inputs. A program is right if it gives the reference's value on every input, those that the judge never sees included.
A *pool* is a draw of 64 samples with a stated share of wrong ones; drawing copies no program and runs nothing.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from bench.judging.rewrites import rewrites
from rewards.clusters.signatures import OutcomeMatrix
from rewards.outcomes.literals import argument_outcomes, canonical_outcome, parse_input
from rewards.programs.mutants import mutants
from rewards.programs.normal_form import normal_form
from rewards.records import Execution, Kind, Program

SUITES = {"HumanEval+": "humanevalplus/HumanEvalPlus.jsonl.gz", "MBPP+": "mbppplus"}
MAX_INPUT_CHARACTERS = 1000
Regime = Literal["spread", "systematic"]
REGIMES: tuple[Regime, ...] = ("spread", "systematic")


@dataclass(frozen=True)
class Task:
    """A benchmark problem with its reference."""

    id: str
    suite: str
    entry: str
    reference: str  # source that defines `entry`
    inputs: tuple[str, ...]  # Python literals, in a seeded random order


@dataclass(frozen=True, eq=False)
class Population:
    """The programs of one task, executed. Rows 0..n-1, the reference first."""

    task: Task
    codes: tuple[str, ...]
    origins: tuple[str, ...]  # "reference", "rewrite", "stub", or a mutation operator
    visible: OutcomeMatrix  # on the inputs that the judge sees
    right: np.ndarray  # bool[n]: the reference's value on every input, hidden ones included
    behaviours: np.ndarray  # int64[n]: label of the behaviour on all inputs


def data_folder() -> Path | None:
    """$UCODER_DATA, else ../shared/data beside the repository; None where neither is there."""
    named = os.environ.get("UCODER_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if folder.is_dir() else None


def load_tasks(folder: Path, n_inputs: int, seed: int = 0) -> list[Task]:
    """The tasks of both suites that are present, with at most n_inputs inputs each, short enough to read."""
    tasks = []
    for suite, name in SUITES.items():
        path = folder / name
        files = sorted(path.glob("*.jsonl.gz")) if path.is_dir() else [path] * path.exists()
        for file in files[:1]:
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                for row in map(json.loads, lines):
                    texts = list(
                        dict.fromkeys(repr(x) for x in [*row["base_input"], *row["plus_input"]] if len(str(x)) <= MAX_INPUT_CHARACTERS)
                    )
                    random.Random(f"{seed}/{row['task_id']}").shuffle(texts)
                    readable = (text for text in texts if parse_input(text))
                    reference = normal_form(row["prompt"] + row["canonical_solution"])
                    tasks.append(Task(row["task_id"], suite, row["entry_point"], reference, tuple(islice(readable, n_inputs))))
    return tasks


def _stubs(task: Task, reference: Execution) -> list[str]:
    """Programs that never look at their input: each of the two most frequent outputs, None, and the first argument as it came."""
    values = [o.payload for o in reference.outcomes if o.kind is Kind.VALUE]
    frequent = sorted(set(values), key=lambda v: (-values.count(v), v))[:2]
    literals = [text for text in [*frequent, "None"] if parse_input(f"[{text}]") is not None]
    return [f"def {task.entry}(*args):\n    return {text}" for text in [*literals, "args[0]"]]


def programs_of(task: Task, reference: Execution, n_right: int, n_wrong: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Distinct codes and their origins: reference and rewrites, mutants of first and second order, stubs."""
    found = dict.fromkeys(rewrites(task.reference, n_right, seed), "rewrite")
    found[next(iter(found))] = "reference"
    first = mutants(task.reference, n_wrong * 2 // 3, seed)
    second = [m for parent in first[:: max(1, len(first) * 3 // max(n_wrong, 1))] for m in mutants(parent.code, 1, seed + 1)]
    for mutant in [*first, *second]:
        found.setdefault(mutant.code, mutant.operator)
    for stub in _stubs(task, reference):
        found.setdefault(stub, "stub")
    return list(found), list(found.values())


def make_population(
    task: Task, codes: Sequence[str], origins: Sequence[str], executions: Sequence[Execution], n_visible: int
) -> Population | None:
    """Label executed programs. Inputs where the reference gives no value are dropped; None when fewer than n_visible + 8 remain."""
    usable = [j for j, outcome in enumerate(executions[0].outcomes) if outcome.kind is Kind.VALUE]
    if len(usable) < n_visible + 8:
        return None
    present = [i for i, execution in enumerate(executions) if not execution.missing]
    if not present or present[0] != 0:
        return None
    matrix = OutcomeMatrix.from_executions([executions[i] for i in present], None, argument_outcomes(task.inputs)).select_inputs(usable)
    right = (matrix.codes == matrix.codes[0]).all(axis=1)
    behaviours = np.unique(matrix.codes, axis=0, return_inverse=True)[1].reshape(-1)
    return Population(
        task,
        tuple(codes[i] for i in present),
        tuple(origins[i] for i in present),
        matrix.select_inputs(np.arange(n_visible)),
        right,
        behaviours,
    )


def as_programs(task: Task, codes: Sequence[str]) -> Iterator[Program]:
    """The programs to execute, on all inputs of the task."""
    return (Program(code, task.entry, task.inputs) for code in codes)


def draw(population: Population, size: int, wrong_share: float, regime: Regime, rng: np.random.Generator) -> np.ndarray | None:
    """int64[size] rows of the population. None when it holds no right or no wrong program.

    spread: wrong samples fall evenly on the wrong programs. systematic: they fall on wrong *behaviours* by Zipf's law (1/rank^1.5, ranks
    drawn), so that one misconception dominates, as it does in what language models write.
    """
    right, wrong = np.flatnonzero(population.right), np.flatnonzero(~population.right)
    if not len(right) or not len(wrong):
        return None
    n_wrong = round(size * wrong_share)
    if regime == "spread":
        chosen = rng.choice(wrong, n_wrong)
    else:
        names, members = np.unique(population.behaviours[wrong], return_inverse=True)
        mass = (1.0 / (1.0 + rng.permutation(len(names))) ** 1.5)[members] / np.bincount(members)[members]
        chosen = rng.choice(wrong, n_wrong, p=mass / mass.sum())
    return np.concatenate([rng.choice(right, size - n_wrong), chosen])


def pool_matrix(population: Population, rows: np.ndarray) -> tuple[OutcomeMatrix, np.ndarray]:
    """The pool as a matrix over distinct programs with multiplicities, and bool: which of them are right."""
    unique, counts = np.unique(rows, return_counts=True)
    return replace(population.visible.select_programs(unique), weights=counts.astype(np.int64)), population.right[unique]


def with_asserts(matrix: OutcomeMatrix, reference: np.ndarray, accuracy: float, rng: np.random.Generator) -> OutcomeMatrix:
    """Add an assert to every input: the reference's value (codes int32[m]) with probability `accuracy`, else some wrong program's value.

    Where every program gives the right value, a wrong assert claims a value that nobody gives.
    """
    nobody = len(matrix.legend)
    expected = reference.copy()
    for j in np.flatnonzero(rng.random(matrix.n_inputs) >= accuracy):
        column = matrix.codes[:, j]
        wrong = column[(column >= 0) & (column != reference[j])]
        expected[j] = rng.choice(wrong) if len(wrong) else nobody
    legend = (*matrix.legend, canonical_outcome("an output that no program gives").payload)
    return replace(matrix, legend=legend, expected_codes=expected)
