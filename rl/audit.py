"""The only part of training that reads reference outcomes: the audit (log only) and the oracle arm (an ablation).

A label-free run never holds an `OracleSignal`, and an `Audit` returns figures for the log after the rewards are final.
Label accuracy and reward accuracy are those of TTRL (METHOD, "Neighbours").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from probing.auroc import auroc_within
from probing.contrasts import numbered
from rewards.consensus import ConsensusConfig, winner_of
from rewards.records import Execution, Kind
from rewards.rules.base import Rule
from rewards.signatures import OutcomeMatrix, concatenate
from rl.scoring import RolloutScore
from rl.signals import ConsensusSignal, RandomSignal, Signal
from rl.tasks import GrpoTask
from rl.training_config import GrpoConfig

NAN = float("nan")
References = Mapping[str, Execution]  # problem id -> the reference solution's outcomes on the task's own inputs


def agreement_with_reference(executions: Sequence[Execution], reference: Execution) -> np.ndarray:
    """float64[n]: share of the inputs on which the reference gives a value where each program gives the same; NaN = missing."""
    counted = [j for j, outcome in enumerate(reference.outcomes) if outcome.kind is Kind.VALUE]
    if not counted:
        return np.full(len(executions), np.nan)
    shares = [np.mean([e.outcomes[j].agrees(reference.outcomes[j]) for j in counted]) for e in executions]
    return np.where([e.missing for e in executions], np.nan, shares)


@dataclass(frozen=True)
class OracleSignal:
    """The upper bound: reward from the reference outcomes. Not label-free; only for runs that say so in their name."""

    references: References
    run_name: str
    score: Literal["exact", "share"] = "exact"

    def __post_init__(self) -> None:
        if "oracle" not in self.run_name:
            raise ValueError(
                f"the oracle reward trains on reference outcomes, but the run is named {self.run_name!r}: "
                "put `oracle` into its name, so that nobody takes its figures for label-free ones"
            )

    def scores(self, task: GrpoTask, executions: Sequence[Execution], key: str) -> np.ndarray:
        reference = self.references.get(task.problem_id)
        if reference is None:
            return np.full(len(executions), np.nan)
        shares = agreement_with_reference(executions, reference)
        return shares if self.score == "share" else np.where(np.isnan(shares), np.nan, shares == 1.0)


def make_signal(config: GrpoConfig, rule: Rule, seed: int, run_name: str, references: References | None = None) -> Signal:
    """The signal that `config.reward` names. Only the oracle arm is ever handed the references."""
    match config.reward:
        case "label_free":
            return ConsensusSignal(rule)
        case "random":
            return RandomSignal(seed)
        case "oracle":
            if references is None:
                raise ValueError(
                    "reward is oracle, but there are no reference outcomes: set `oracle` to the function that gives reference code"
                )
            return OracleSignal(references, run_name, config.oracle_score)


def aurocs_against_references(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """AUROC within problems of what was scored without references (`probe`, `consensus`, `mean_logprob`) against them.

    rows: of scores.jsonl, audited. All three on the same rows, those that the probe scored (all, where it scored none); where `correct` or
    a score is None, the row is left out.
    """
    columns = {
        name: np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)
        for name in ("correct", "probe", "consensus", "mean_logprob")
    }
    right_N, read_N, group_N = columns.pop("correct"), np.isfinite(columns["probe"]), numbered([row["problem_id"] for row in rows])
    found = {}
    for name, score_N in columns.items():
        known = np.isfinite(score_N) & np.isfinite(right_N) & (read_N | ~read_N.any())
        found[f"audit/{name}_within"] = (
            auroc_within(score_N[known], right_N[known] > 0.5, numbered(group_N[known]))[0] if known.any() else NAN
        )
    return found


@dataclass(frozen=True)
class Audit:
    """Compares finished rewards with the references, over the groups whose problem has one."""

    references: References
    consensus: ConsensusConfig = field(default_factory=ConsensusConfig)

    def metrics(self, groups: Sequence[tuple[GrpoTask, Sequence[RolloutScore]]]) -> dict[str, float]:
        """Mean accuracy of rollouts; of labels (is the electorate's winner right?); of rewards (sign, and order within the group).

        `majority_wrong` is the policy's own doing: the share of groups whose rollouts, by themselves, elect a wrong winner.
        """
        right_all: list[float] = []
        labels: list[float] = []
        misled: list[float] = []
        signs: list[float] = []
        orders: list[float] = []
        for task, scores in groups:
            reference = self.references.get(task.problem_id)
            if reference is None:
                continue
            shares = agreement_with_reference([s.execution for s in scores], reference)
            right = shares == 1.0
            right_all += right[~np.isnan(shares)].astype(float).tolist()
            group = task.matrix([s.execution for s in scores])
            label = self._winner_is_right(group if task.bank is None else concatenate(task.bank, group), reference)
            labels += [] if label is None else [float(label)]
            elected = self._winner_is_right(group, reference)
            misled += [] if elected is None else [float(not elected)]
            total = np.array([np.nan if s.reward.total is None else s.reward.total for s in scores])
            known = ~np.isnan(total)
            if not scores[0].reward.flat:
                signs += ((total[known] > 0) == right[known]).astype(float).tolist()
            gaps = total[known & right][:, None] - total[known & ~right][None, :]
            if gaps.size:
                orders.append(float((np.sign(gaps) + 1).mean() / 2))
        figures = {
            "accuracy": right_all,
            "label_accuracy": labels,
            "majority_wrong": misled,
            "reward_accuracy": signs,
            "reward_auroc_within": orders,
        }
        return {f"audit/{name}": float(np.mean(values)) if values else float("nan") for name, values in figures.items()}

    def _winner_is_right(self, voters: OutcomeMatrix, reference: Execution) -> bool | None:
        """Whether the winner of these voters behaves like the reference; None where nobody wins."""
        winner = winner_of(voters, self.consensus)
        if winner is None:
            return None
        pair = concatenate(winner, OutcomeMatrix.from_executions([reference]))
        counted = pair.codes[1] >= 0
        return bool((pair.codes[0, counted] == pair.codes[1, counted]).all()) if counted.any() else None
