"""The problem browser's content: problems of each round with their inputs, the programs by cluster, their outcomes, their rewards.

What the model wrote is hostile text: it goes into the page as JSON that no parser of HTML can leave (`script_json`), and the page's
script shows it as text alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from probing.records import SELF_MADE, short_hash
from rewards.text import shorten
from rl.run_data import RoundFiles, Row, RunData, known, run_id

PROBLEMS_PER_ROUND = 6  # of the trackers' tables
PROBLEMS_SHOWN = 1000  # in the report, over all rounds
LONGEST_CODE = 4000  # characters of a program or a statement that are shown
CLUSTERS_SHOWN = 4
INPUTS_SHOWN = 6
LONGEST_OUTCOME = 120
LONGEST_INPUT = 80


@dataclass(frozen=True)
class ClusterView:
    """One behaviour: how many share it, one of its programs, what it returns, its reward."""

    share: float  # of the candidates that have a vote
    members: int
    winner: bool
    code: str
    outcomes: tuple[tuple[str, str], ...]  # (kind, text) for each input shown
    consensus: float | None  # mean over its members
    probe: float | None


@dataclass(frozen=True)
class ProblemView:
    """One problem with its clusters, the largest first."""

    id: str
    title: str
    statement: str
    interface: str
    topic: str
    source: str  # `Problem.source`
    kept: bool
    repeats: str | None  # the problem whose winner behaves alike (`Verdict.repeats`)
    label_correct: bool | None  # audit: does the winner behave like the reference?
    top_share: float
    entropy: float | None
    samples: int
    votes: int
    without_program: int | None  # samples in which no program was found; None: the run does not say
    inputs: tuple[str, ...]
    clusters: tuple[ClusterView, ...]
    hidden_clusters: int
    winner: str | None  # digest of the winning program that is shown: what a person's mark is about; None where nobody won


def choose_problems(verdicts: Sequence[Row], count: int = PROBLEMS_PER_ROUND) -> list[Row]:
    """Problems spread evenly over the range of agreement, those that were trained on where there are enough."""
    voted = [row for row in verdicts if row["counts"]]
    kept = [row for row in voted if row["kept"]]
    pool = sorted(kept if len(kept) >= count else voted, key=lambda row: -row["top_share"])
    if len(pool) <= count:
        return pool
    return [pool[round(i * (len(pool) - 1) / max(count - 1, 1))] for i in range(count)]


def sample_order(problem_ids: Sequence[str]) -> list[str]:
    """Problem ids in a random order that only the ids decide: the first so many are a random sample of them, at any time."""
    return sorted(problem_ids, key=lambda problem_id: short_hash(f"sample of labels, {problem_id}", 16))


def first_in_order(verdicts: Sequence[Row], count: int | None = None) -> list[Row]:
    """The first `count` problems (all of them) of the random order, those with a winner before those without."""
    voted = {row["problem_id"]: row for row in verdicts if row["counts"]}
    order = sample_order(list(voted))
    return sorted((voted[problem_id] for problem_id in order), key=lambda row: row["top"] < 0)[:count]


def browser_data(run: RunData) -> dict[str, Any]:
    """What the page's script shows: problems of all rounds in one random order, and the marks of the last audit.

    The share of a round does not depend on how many rounds are done, so that the report of a later round shows the same problems.
    """
    rounds = [files for files in run.rounds if files.number > 0]
    planned = run.config.get("rounds")
    quota = PROBLEMS_SHOWN // max(planned if isinstance(planned, int) else 0, len(rounds), 1)
    problems: list[dict[str, Any]] = []
    shown: list[Row] = []
    voted = 0
    for files in rounds:
        verdicts = list(files.rows("clusters"))
        voted += sum(bool(row["counts"]) for row in verdicts)
        chosen = first_in_order(verdicts, quota)
        shown += chosen
        problems += [{**asdict(view), "round": files.number} for view in views_of(files, chosen)]
    place = {row["problem_id"]: number for number, row in enumerate(first_in_order(shown))}
    problems.sort(key=lambda problem: place[problem["id"]])  # a list round by round would make the first marks those of round 1 alone
    return {"run": run_id(run.rounds), "name": run.name, "voted": voted, "problems": problems, "marks": run.audit.get("marks", {})}


def script_json(data: Mapping[str, Any]) -> str:
    """JSON in ASCII without <, > and &: inside a script element nothing in it can end the element, or begin another."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def problems_of(files: RoundFiles, count: int = PROBLEMS_PER_ROUND) -> list[ProblemView]:
    """`count` problems of one round with their clusters."""
    return views_of(files, choose_problems(list(files.rows("clusters")), count))


def views_of(files: RoundFiles, chosen: Sequence[Row]) -> list[ProblemView]:
    """The chosen verdicts of a round with their problems, inputs, programs and rewards."""
    wanted = {row["problem_id"] for row in chosen}
    problems = {row["id"]: row for row in files.rows("problems") if row["id"] in wanted}
    pools = {row["problem_id"]: row["inputs"] for row in files.rows("suites") if row["problem_id"] in wanted}
    programs, scores = files.by_problem("executions", wanted), files.by_problem("scores", wanted)
    return [
        _view(row, problems[row["problem_id"]], pools.get(row["problem_id"], ()), programs.get(row["problem_id"], ()), scores)
        for row in chosen
        if row["problem_id"] in problems
    ]


def _view(verdict: Row, problem: Row, pool: Sequence[str], programs: Sequence[Row], scores: Mapping[str, Sequence[Row]]) -> ProblemView:
    columns = [j for j in verdict["inputs"] if j < len(pool)][:INPUTS_SHOWN]
    scored = {row["index"]: row for row in scores.get(problem["id"], ())}
    clusters = [_cluster(verdict, rank, columns, programs, scored) for rank in range(min(len(verdict["counts"]), CLUSTERS_SHOWN))]
    return ProblemView(
        id=problem["id"],
        title=problem["title"],
        statement=shorten(problem["description"], LONGEST_CODE),
        interface=problem.get("interface") or problem["signature"] or problem["example"],  # programs have neither
        topic=problem.get("topic", ""),
        source=problem.get("source", SELF_MADE),
        kept=verdict["kept"],
        repeats=verdict.get("repeats"),
        label_correct=verdict.get("label_correct"),
        top_share=verdict["top_share"],
        entropy=known(verdict, "entropy"),
        samples=len(verdict["labels"]),
        votes=verdict["n_valid"],
        without_program=len(verdict["labels"]) - sum(len(row["candidates"]) for row in programs) if programs else None,
        inputs=tuple(shorten(pool[j], LONGEST_INPUT) for j in columns),
        clusters=tuple(clusters),
        hidden_clusters=max(0, len(verdict["counts"]) - CLUSTERS_SHOWN),
        winner=winner_digest(verdict, programs),
    )


def winner_digest(verdict: Row, programs: Sequence[Row]) -> str | None:
    """Names what a vote elected: the digest of the winning cluster's commonest program. None where nobody won."""
    shown = largest_text(verdict, verdict["top"], programs)
    return None if shown is None else short_hash(json.dumps(shown["program"]), 16)  # ASCII, whatever the model wrote


def largest_text(verdict: Row, rank: int, programs: Sequence[Row]) -> Row | None:
    """Of a cluster's distinct programs, the one that most of its members wrote; None for no cluster."""
    members = {i for i, label in enumerate(verdict["labels"]) if label == rank >= 0}
    return max((row for row in programs if members & set(row["candidates"])), key=lambda row: len(row["candidates"]), default=None)


def _cluster(verdict: Row, rank: int, columns: Sequence[int], programs: Sequence[Row], scored: Mapping[int, Row]) -> ClusterView:
    shown = largest_text(verdict, rank, programs)
    rows = [scored[i] for i, label in enumerate(verdict["labels"]) if label == rank and i in scored]
    return ClusterView(
        share=verdict["counts"][rank] / max(verdict["n_valid"], 1),
        members=verdict["counts"][rank],
        winner=rank == verdict["top"],
        code=shorten(shown["program"].strip("\n"), LONGEST_CODE) if shown else "",
        outcomes=tuple(_outcome(shown["outcomes"][j]) for j in columns) if shown else (),
        consensus=_mean([known(row, "consensus") for row in rows]),
        probe=_mean([known(row, "probe") for row in rows]),
    )


def _outcome(text: str) -> tuple[str, str]:
    """`kind:payload` as (kind, what to show)."""
    kind, _, payload = text.partition(":")
    return kind, shorten(payload if kind == "value" else f"{kind} {payload}".strip(), LONGEST_OUTCOME)


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
