"""The cluster browser's content: for a few problems of each round, the inputs, the programs by cluster, their outcomes, their rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl.report.data import RoundFiles, Row, known

PROBLEMS_PER_ROUND = 6
CLUSTERS_SHOWN = 4
INPUTS_SHOWN = 6
LONGEST_OUTCOME = 120
LONGEST_INPUT = 80


@dataclass(frozen=True)
class ClusterView:
    """One behaviour: how many share it, one of its programs, what it returns, what it earns."""

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
    kept: bool
    label_correct: bool | None  # audit: does the winner behave like the reference?
    top_share: float
    entropy: float | None
    samples: int
    votes: int
    without_program: int | None  # samples in which no program was found; None: the run does not say
    inputs: tuple[str, ...]
    clusters: tuple[ClusterView, ...]
    hidden_clusters: int


def shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def choose(verdicts: Sequence[Row], count: int = PROBLEMS_PER_ROUND) -> list[Row]:
    """Problems spread evenly over the range of agreement, those that were trained on where there are enough."""
    voted = [row for row in verdicts if row["counts"]]
    kept = [row for row in voted if row["kept"]]
    pool = sorted(kept if len(kept) >= count else voted, key=lambda row: -row["top_share"])
    if len(pool) <= count:
        return pool
    return [pool[round(i * (len(pool) - 1) / max(count - 1, 1))] for i in range(count)]


def problems_of(files: RoundFiles, count: int = PROBLEMS_PER_ROUND) -> list[ProblemView]:
    """`count` problems of one round with their clusters."""
    chosen = choose(list(files.rows("clusters")), count)
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
        statement=problem["description"],
        interface=problem.get("interface") or problem["signature"],
        topic=problem.get("topic", ""),
        kept=verdict["kept"],
        label_correct=verdict.get("label_correct"),
        top_share=verdict["top_share"],
        entropy=known(verdict, "entropy"),
        samples=len(verdict["labels"]),
        votes=verdict["n_valid"],
        without_program=len(verdict["labels"]) - sum(len(row["candidates"]) for row in programs) if programs else None,
        inputs=tuple(shorten(pool[j], LONGEST_INPUT) for j in columns),
        clusters=tuple(clusters),
        hidden_clusters=max(0, len(verdict["counts"]) - CLUSTERS_SHOWN),
    )


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
        code=shown["program"].strip("\n") if shown else "",
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
