"""The files of a round: records to JSON lines and back, written whole or not at all.

round_01/problems.jsonl     Problem                     round_01/executions.jsonl   BankProgram (a distinct program and its outcomes)
round_01/suites.jsonl       TestSuite (pool of inputs)  round_01/clusters.jsonl     Verdict (one a problem)
round_01/candidates.jsonl   Candidate                   round_01/scores.jsonl       one a candidate
round_01/proposals.jsonl    Proposal (where the proposer is trained)
round_01/behaviours.jsonl   Behaviour (what later rounds know the round by; only with solutions.repeats: drop)
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from probing.records import Candidate, Problem, TestSuite
from rewards.records import Execution, Outcome
from rewards.text import json_lines
from rl.stored import Stored

BOUND_ERROR = 0.05  # chance of error of `Verdict.hidden_difference`, over all pairs of a problem's programs
BEHAVIOURS = "behaviours.jsonl"
ROLLOUTS = "rollouts.jsonl"  # beside the checkpoint of GRPO: the best and worst rewarded rollouts of training, for a person to read

Record = TypeVar("Record", Problem, TestSuite, Candidate, "Verdict", "Proposal")
Written = TypeVar("Written")
Kept = TypeVar("Kept", covariant=True)


@dataclass(frozen=True)
class Stage(Generic[Written, Kept]):
    """A stage of a round, and the file that it leaves in the round's folder."""

    name: str  # in the log, the progress and times.json
    file: str
    write: Callable[[Path, Written], None]  # atomically
    read: Callable[[Path], Kept]
    read_back: bool = False  # after writing: what was computed is an iterator that writing uses up, or holds what JSON changes


@dataclass(frozen=True)
class BankProgram:
    """A distinct program of a problem's bank, with every candidate that wrote it."""

    problem_id: str
    program: str  # the first candidate's text
    candidates: tuple[int, ...]  # indices of the candidates whose normal form is the same
    execution: Execution  # on all inputs of the suite's pool


@dataclass(frozen=True)
class Proposal:
    """One sample of stage 1, and what became of it up to stage 3."""

    prompt: str  # rendered
    topic: str
    text: str
    token_ids: tuple[int, ...]  # length L, as sampled, end token included
    problem_id: str | None  # of the problem that was read from it; None: none was, or one that is not new
    dropped: str | None  # why it gave no problem, as the funnel counts it; None where it gave one
    beyond: str | None = None  # the solved problem that it was asked to go a step beyond (`problems.depth`)

    @property
    def group(self) -> str:
        """What its reward is compared within: the proposals of one prompt, or those beyond one solved problem."""
        return self.beyond or self.prompt


@dataclass(frozen=True)
class Verdict:
    """What consensus says about one problem (docs/method.md, "The quantities")."""

    problem_id: str
    inputs: tuple[int, ...]  # inputs of the suite's pool that were kept, the most telling first
    labels: tuple[int, ...]  # cluster of each candidate, -1 where it has no vote
    counts: tuple[int, ...]  # members of each cluster, the largest first
    top: int  # winning cluster, -1 when none
    top_share: float
    margin: float
    entropy: float  # nats
    n_valid: int
    kept: bool  # in the band of agreement and no repeat, so trained on
    label_correct: bool | None = None  # audit only: does the winner behave like the reference? None: not known
    not_offered: int = 0  # candidates that failed for a module that programs are not offered (sandbox.packages)
    # Can the inputs tell programs apart? None: not measured. m inputs were kept; "wrong" are the behaviours outside the winner.
    dead_share: float | None = None  # of the whole pool: inputs on which nearly every sample errs, which are not kept
    input_rank: int | None = None  # rank of "program i agrees with the winner on input j": 1, all inputs say the same; None, nobody won
    duplicate_share: float | None = None  # inputs that split the programs exactly as an earlier one does
    wrong_agreement: float | None = None  # theorem 2.4's p: (k + 1)/(m + 2), where two wrong ones agree on k inputs at most
    optimistic_bound: float | None = None  # its 1 − n² p^m, which takes selected inputs for independent draws; 0 says nothing
    hidden_difference: float | None = None  # two programs of one cluster differ on at most this share of inputs like the pool's
    pool_needed: int | None = None  # pool inputs for a hidden_difference of `rewards.clusters.hidden.TOLERANCE`
    repeats: str | None = None  # the problem whose winner behaves alike, so that this one is not kept (solutions.repeats: drop)


@dataclass(frozen=True)
class Behaviour:
    """What the winner of a problem in the band does, for problems that come later to be compared with (`rl.labels.repeats`)."""

    problem_id: str
    arguments: tuple[str, ...]  # types of the arguments, as text
    entry: str
    program: str  # of the winning cluster, the one that most candidates wrote
    inputs: tuple[str, ...]  # m kept inputs, the most telling first
    outcomes: tuple[Outcome, ...]  # length m, of the program on these
    self_made: bool  # whether the model invented the problem


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Row by row to a file beside it, which then takes its name: a reader, or a kill, never sees half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
    os.replace(part, path)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for _, line in json_lines(path.read_text(encoding="utf-8"))]


def count_lines(path: Path) -> int:
    """Lines of a file, which may be long."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def write_records(path: Path, records: Iterable[Problem | TestSuite | Candidate | Verdict | Proposal]) -> None:
    write_rows(path, map(vars, records))  # all fields are plain: `asdict` would copy every token


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """Records of one kind; lists become tuples again."""
    return [_build(kind, row) for row in read_rows(path)]


def read_candidates(path: Path) -> Stored[Candidate]:
    """A round's candidates, which stay in their file."""
    return Stored(path, lambda row: _build(Candidate, row))


def _build(kind: type[Record], row: dict[str, Any]) -> Record:
    names = {f.name for f in fields(kind)}
    build: Callable[..., Record] = kind
    return build(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k in names})


def write_bank(path: Path, bank: Iterable[BankProgram]) -> None:
    """Executions are written as `Execution.as_row` gives them."""
    write_rows(
        path,
        (
            {
                "problem_id": b.problem_id,
                "program": b.program,
                "candidates": b.candidates,
                **b.execution.as_row(),
            }
            for b in bank
        ),
    )


def read_bank(path: Path) -> Stored[BankProgram]:
    """A round's executed programs, which stay in their file."""

    def build(row: dict[str, Any]) -> BankProgram:
        return BankProgram(row["problem_id"], row["program"], tuple(row["candidates"]), Execution.of_row(row))

    return Stored(path, build)


def write_behaviours(path: Path, behaviours: Iterable[Behaviour]) -> None:
    write_rows(path, (vars(b) | {"outcomes": Execution(b.outcomes).as_row()["outcomes"]} for b in behaviours))


def read_behaviours(path: Path) -> list[Behaviour]:
    """The behaviours that a round left."""
    return [
        Behaviour(
            row["problem_id"],
            tuple(row["arguments"]),
            row["entry"],
            row["program"],
            tuple(row["inputs"]),
            Execution.of_row({"outcomes": row["outcomes"], "seconds": 0.0}).outcomes,
            row["self_made"],
        )
        for row in read_rows(path)
    ]


def _file_of(name: str, file: str, kind: type[Record]) -> Stage[list[Record], list[Record]]:
    return Stage(name, file, write_records, lambda path: read_records(path, kind))


PROPOSALS = _file_of("proposals", "proposals.jsonl", Proposal)  # left by the stage `problems`, before its own file
PROBLEMS = _file_of("problems", "problems.jsonl", Problem)
SUITES = _file_of("test inputs", "suites.jsonl", TestSuite)
CANDIDATES: Stage[Iterable[Candidate], Stored[Candidate]] = Stage(
    "solutions", "candidates.jsonl", write_records, read_candidates, read_back=True
)
EXECUTIONS: Stage[Iterable[BankProgram], Stored[BankProgram]] = Stage(
    "executions", "executions.jsonl", write_bank, read_bank, read_back=True
)
VERDICTS = _file_of("consensus", "clusters.jsonl", Verdict)
