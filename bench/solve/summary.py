"""The figures of `bench.solve` from its rows: shares of tasks with intervals, paired gains, and what the share of the vote tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.markdown import interval, percent, table
from rl.config.evals import EvalsConfig
from rl.evals.compare import paired_gain
from rl.evals.metrics import interval_over_tasks

RESAMPLES, SEED = 10_000, 0
SHARES = ((0.0, 0.3), (0.3, 0.6), (0.6, 0.9), (0.9, 1.0))  # of the vote, the upper end in the last alone
Row = Mapping[str, Any]


def pass_at_1(row: Row) -> float | None:
    known = [passed for passed in row["passed"] if passed is not None]
    return sum(known) / len(known) if known else None


def solved_by(name: str) -> Callable[[Row], float | None]:
    """Whether what was handed out passes; a task on which nothing was handed out is not solved."""

    def figure(row: Row) -> float | None:
        passed = row[name]["passed"] if name in row else False
        return None if passed is None else float(passed)

    return figure


def greedy(row: Row) -> float | None:
    return None if row["greedy"] is None else float(row["greedy"])


def best_of(row: Row) -> float | None:
    """pass@n: whether any candidate passes, the most that a vote can reach."""
    return None if not row["passed"] or None in row["passed"] else float(any(row["passed"]))


FIGURES: dict[str, tuple[str, Callable[[Row], float | None]]] = {
    "vote": ("solve, the vote alone", solved_by("vote")),
    "examples": ("solve, the shown assert counts", solved_by("examples")),
    "greedy": ("greedy", greedy),
    "pass@1": ("pass@1", pass_at_1),
    "pass@n": ("pass@n, any candidate", best_of),
}
GAINS = (("greedy", "vote"), ("pass@1", "vote"), ("greedy", "examples"), ("pass@1", "examples"), ("vote", "examples"))


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Each figure over the tasks that have it, gains over those that have both, and the tasks that each leaves out."""
    config = EvalsConfig(bootstrap=RESAMPLES, seed=SEED)
    figures: dict[str, Any] = {}
    for key, (_, figure) in FIGURES.items():
        values = [value for row in rows if (value := figure(row)) is not None]
        figures[key] = {"tasks": len(values), "missing": len(rows) - len(values)}
        if values:
            figures[key] |= {"share": float(np.mean(values)), "share_ci": list(interval_over_tasks(values, config))}
    gains = {}
    for before, after in GAINS:
        pairs = [(FIGURES[before][1](row), FIGURES[after][1](row)) for row in rows]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        if both:
            gains[f"{after} over {before}"] = paired_gain(both, RESAMPLES, SEED) | {"missing": len(rows) - len(both)}
    return {
        "tasks": len(rows),
        "figures": figures,
        "gains": gains,
        "unsolved": sum("unsolved" in row for row in rows),
        "without_winner": sum("vote" in row and not row["vote"]["won"] for row in rows),
        "by_share": by_share(rows),
    }


def by_share(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """How often the winner of the vote alone passes, by its share of the vote."""
    won = [row["vote"] for row in rows if "vote" in row and row["vote"]["won"] and row["vote"]["passed"] is not None]
    found = []
    for low, high in SHARES:
        inside = [float(vote["passed"]) for vote in won if low <= vote["share"] < high or (high == 1.0 and vote["share"] == 1.0)]
        found.append({"share": [low, high], "tasks": len(inside), "passed": float(np.mean(inside)) if inside else None})
    return found


def markdown(record: Mapping[str, Any]) -> str:
    """The tables of a summary."""
    lines = [[title, str(f["tasks"]), interval(f, "share")] for key, (title, _) in FIGURES.items() if (f := record["figures"][key])]
    gains = [
        [name, str(g["tasks"]), f"{g['gain']:+.1f} [{g['gain_ci'][0]:+.1f}, {g['gain_ci'][1]:+.1f}]", f"{g['better']} / {g['worse']}"]
        for name, g in record["gains"].items()
    ]
    shares = [
        [f"{100 * low:.0f} to {100 * high:.0f} %", str(row["tasks"]), percent(row["passed"])]
        for row in record["by_share"]
        for low, high in [row["share"]]
    ]
    inputs = f"inputs written by {record['model']}" if record["model"] else "inputs: mutants of the shown call"
    head = f"{record['tasks']} tasks of {record['benchmark']}, {record['samples']} candidates ({record['candidates']}); {inputs}"
    return "\n\n".join(
        [
            head,
            table(["", "tasks", "passes [95 %]"], lines),
            table(["gain", "tasks", "points [95 %]", "better / worse"], gains),
            table(["share of the vote", "tasks", "winner passes"], shares),
        ]
    )
