"""The only part of training that reads reference outcomes: the audit (log only) and the oracle arm (an ablation).

A label-free run never holds an `OracleSignal`, and an `Audit` returns figures for the log after the rewards are final.
Label accuracy and reward accuracy are those of TTRL (docs/method.md, "Neighbours").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from probing.probe.auroc import auroc_within
from probing.probe.contrasts import numbered
from rewards.clusters.clustering import winner_of
from rewards.clusters.references import agreement_with_reference, right_by_reference, winner_is_right
from rewards.clusters.signatures import OutcomeMatrix, concatenate
from rewards.records import Execution
from rewards.rules.consensus import ConsensusConfig
from rl.config.training import GrpoConfig
from rl.labels.bank import ProblemBank
from rl.round_files import Verdict
from rl.scoring.scores import RolloutScore
from rl.scoring.tasks import GrpoTask

NAN = float("nan")
References = Mapping[str, Execution]  # problem id -> the reference solution's outcomes on the task's own inputs


def label_is_correct(verdict: Verdict, bank: ProblemBank, reference: Execution) -> bool | None:
    """Whether the winning cluster is right; None where nobody won, or where that is not known.

    bank: the problem's programs on the inputs that the verdict kept. reference: on the same.
    """
    winner = [i for i, p in enumerate(bank.programs) if verdict.top >= 0 and verdict.labels[p.candidates[0]] == verdict.top][:1]
    return winner_is_right(bank.matrix.select_programs(winner) if winner else None, reference)


@dataclass(frozen=True)
class OracleSignal:
    """The upper bound: reward from the reference outcomes. Not label-free; only for runs that say so in their name."""

    references: References
    run_name: str
    score: Literal["exact", "share"] = "exact"

    def __post_init__(self) -> None:
        assert "oracle" in self.run_name, f"a run named {self.run_name!r} may not train on reference outcomes"  # the config sees to it

    def scores(self, task: GrpoTask, executions: Sequence[Execution], key: str) -> np.ndarray:
        """float64[n]: agreement with the reference; NaN where a rollout is missing or the problem has no reference."""
        reference = self.references.get(task.problem_id)
        if reference is None:
            return np.full(len(executions), np.nan)
        compare = agreement_with_reference if self.score == "share" else right_by_reference
        return compare(task.matrix(executions), reference)


def oracle_signal(config: GrpoConfig, run_name: str, references: References) -> OracleSignal:
    """The signal of the arm `reward: oracle`."""
    assert references, "a round whose problems have no reference ends before"
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
        `contested_accuracy` stands there only where rollouts were left out as contested: the share of them that is right.
        """
        right_all: list[float] = []
        labels: list[float] = []
        misled: list[float] = []
        contested: list[float] = []
        signs: list[float] = []
        orders: list[float] = []
        for task, scores in groups:
            reference = self.references.get(task.problem_id)
            if reference is None:
                continue
            group = task.matrix([s.execution for s in scores])
            right_n = right_by_reference(group, reference)
            right = right_n == 1.0
            right_all += right_n[~np.isnan(right_n)].tolist()
            contested += right_n[~np.isnan(right_n) & [s.reward.contested for s in scores]].tolist()
            voters = group if task.bank is None else concatenate(task.bank, group)
            label = winner_is_right(self._winner(voters), reference)
            labels += [] if label is None else [float(label)]
            elected = winner_is_right(self._winner(group), reference)
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
        if contested:
            figures["contested_accuracy"] = contested
        return {f"audit/{name}": float(np.mean(values)) if values else float("nan") for name, values in figures.items()}

    def _winner(self, voters: OutcomeMatrix) -> OutcomeMatrix | None:
        return winner_of(voters, self.consensus.rho, self.consensus.tau, self.consensus.signature)
