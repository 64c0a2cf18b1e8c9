"""Figures of an evaluation: of each task from its samples, and over all tasks with their intervals.

A figure that cannot be told is left out, never zero. What is counted there is defined in `rl.evals.passk`.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rewards.records import absence
from rl.benchmarks.base import EvalTask
from rl.config.evals import EvalsConfig
from rl.evals.passk import bootstrap_interval, interval_of_equals, majority_at_k, pass_at_k

KS = (1, 4, 16, 64)  # pass@k for those k that the samples allow
MAJORITY_OF = 16  # majority@16; of fewer samples, of all of them
UNAVAILABLE = "unavailable"  # outcome of the samples of a task that cannot be scored here
NOT_OFFERED = "module not offered: "  # in front of a module's name


@dataclass(frozen=True)
class Sample:
    """One completion with its verdict."""

    task_id: str
    index: int  # 0..n-1 within the task
    completion: str
    code: str | None  # the program as it was run; None when there is none
    n_tokens: int
    finished: bool  # not cut off by the length limit
    passed: bool | None  # None: our infrastructure failed, or nothing here can score it
    label: int  # behaviour cluster within the task, the largest first; -1: no vote
    base: bool | None  # passed the original benchmark's tests; None where there are no others, or our infrastructure failed
    # "passed", "wrong", "no program", "does not compile", "missing", UNAVAILABLE, `NOT_OFFERED` and a module, or the first failure's kind
    outcome: str


def task_row(task: EvalTask, samples: Sequence[Sample], entropy: float, top_share: float, has_behaviours: bool = True) -> dict[str, Any]:
    """The figures of one task: see `EvalResult.tasks`."""
    known = [s for s in samples if s.passed is not None]
    correct = [bool(s.passed) for s in known]
    labels = [s.label for s in known]
    row: dict[str, Any] = {"id": task.id, "n": len(known), "correct": sum(correct), "missing": len(samples) - len(known)}
    row |= {f"pass@{k}": pass_at_k(len(known), sum(correct), k) for k in KS if k <= len(known)}
    if known and known[0].base is not None:
        row["correct_base"] = sum(s.base is True for s in known)
        row["pass@1_base"] = row["correct_base"] / len(known)
    if known and has_behaviours:
        of = min(MAJORITY_OF, len(samples))
        if of <= len(known):
            row[f"majority@{of}"] = majority_at_k(labels, correct, of, seed=zlib.crc32(task.id.encode()))
        row["majority_correct"] = majority_at_k(labels, correct, len(known))
        row |= {"top_share": top_share, "entropy": entropy}
    row["mean_length"] = float(np.mean([s.n_tokens for s in samples]))
    return row


def interval_over_tasks(values: Sequence[float], config: EvalsConfig) -> tuple[float, float]:
    """95 % interval of the mean of shares: by bootstrap; where all are equal and it has no width, a bound (Wilson's for 0 and 1)."""
    if len(set(values)) == 1:
        return interval_of_equals(values[0], len(values), 0.0, 1.0)
    return bootstrap_interval(values, config.bootstrap, config.seed)


def modules_not_offered(metrics: Mapping[str, Any], remedy: str = "sandbox.packages") -> str:
    """A sentence on the answers that failed for modules that programs are not offered; empty where there were none. See `absence`."""
    counts = {name.removeprefix(NOT_OFFERED): n for name, n in metrics.get("outcomes", {}).items() if name.startswith(NOT_OFFERED)}
    return absence(dict(sorted(counts.items(), key=lambda item: -item[1])), metrics.get("samples", 0), remedy=remedy)


def tasks_left_out(rows: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on the tasks that cannot be scored here, with their reasons; empty where all can."""
    reasons = [f"{row['id']} ({row['unavailable']})" for row in rows if "unavailable" in row]
    return f"{len(reasons)} of {len(rows)} tasks are unavailable here and left out: {'; '.join(reasons)}" if reasons else ""


def metrics_of(rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample], config: EvalsConfig) -> dict[str, Any]:
    """Means over tasks; a figure is left out where no task has it."""
    metrics: dict[str, Any] = {}

    def mean_of(name: str, key: str) -> None:
        values = [row[key] for row in rows if key in row]
        if values:
            metrics[name] = float(np.mean(values))

    for key in ("pass@1_base", *(f"pass@{k}" for k in KS)):
        mean_of(key, key)
        if key in metrics:
            metrics[f"{key}_ci"] = list(interval_over_tasks([row[key] for row in rows if key in row], config))
    for key in sorted({key for row in rows for key in row if key.startswith("majority@")}):
        mean_of(key, key)
    wrong = [1.0 - row["majority_correct"] for row in rows if "majority_correct" in row]
    if wrong:
        metrics["majority_wrong"] = float(np.mean(wrong))
    mean_of("entropy", "entropy")
    mean_of("top_share", "top_share")
    asked = [s for s in samples if s.outcome != UNAVAILABLE]
    known = [s for s in asked if s.passed is not None]
    if samples:
        metrics["mean_length"] = float(np.mean([s.n_tokens for s in samples]))
        metrics["cut_off"] = sum(not s.finished for s in samples) / len(samples)
    if known:
        metrics["no_program"] = sum(s.outcome == "no program" for s in known) / len(known)
        metrics["compile_rate"] = 1.0 - sum(s.outcome in ("no program", "does not compile") for s in known) / len(known)
    metrics["outcomes"] = dict(sorted(Counter(s.outcome for s in samples).items()))
    unavailable = sum("unavailable" in row for row in rows)
    metrics["tasks"], metrics["tasks_missing"] = len(rows), sum(row["n"] == 0 for row in rows) - unavailable
    metrics["samples"], metrics["missing"] = len(samples), len(asked) - len(known)
    if unavailable:
        metrics["tasks_unavailable"] = unavailable
    return metrics
