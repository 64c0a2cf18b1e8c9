"""`sharp`: our own rule between `soft` and `hard`. Programs support each other by their agreement raised to a power.

    score(r) = Σ over other voters r' of agree(r, r')^γ / voters,   agree(r, r') = share of inputs on which both gave the same value

γ = 1 is `soft`, γ → ∞ is `hard` (only equal signatures count). In between, near-twins of a program support it and strangers that agree on
the easy inputs hardly do, which `soft` counts in full. `bench/judging/judge.py` has the measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from rewards.clusters.clustering import group_rows
from rewards.clusters.signatures import OutcomeMatrix
from rewards.rules.base import Anchor, Electorate, RuleSettings, electorate, register

MAX_BEHAVIOURS = 256  # distinct signatures whose votes are heard, the largest ones: keeps the work linear in candidates × inputs


def support(voters: Electorate, power: float) -> np.ndarray:
    """float64[N]: the score above; with more than MAX_BEHAVIOURS distinct signatures the smallest ones lend no support."""
    codes = voters.matrix.codes
    labels = group_rows(codes, voters.eligible)
    inside = labels >= 0
    scores = np.zeros(len(labels))
    if not inside.any() or not codes.shape[1]:
        return scores
    names, first = np.unique(labels[inside], return_index=True)
    rows = codes[inside][first]  # one row a behaviour, in the order of its label
    votes = np.bincount(labels[inside], weights=voters.votes[inside], minlength=len(names))
    heard = np.argsort(-votes, kind="stable")[:MAX_BEHAVIOURS]
    total = np.zeros(len(names))
    for b in heard:
        total += votes[b] * ((rows == rows[b]) & (rows >= 0)).mean(axis=1) ** power
    is_heard = np.zeros(len(names), dtype=bool)
    is_heard[heard] = True
    own = np.where(is_heard, (rows >= 0).mean(axis=1) ** power, 0.0)  # agreement with oneself: below 1 where one errs
    others = np.maximum(voters.votes.sum() - voters.own[inside], 1)
    scores[inside] = (total[labels[inside]] - voters.own[inside] * own[labels[inside]]) / others
    return np.clip(scores, 0.0, 1.0)


@register("sharp")
@dataclass(frozen=True)
class Sharp:
    """Agreement with the other voters, raised to `power` before it is summed."""

    rho: float = 0.8
    power: float = 2.0
    anchor: Anchor = "bank"
    bar_degenerate: bool = True

    needs_expected_outputs: ClassVar[bool] = False

    @classmethod
    def of(cls, settings: RuleSettings) -> Self:
        return cls(settings.rho, settings.power, settings.anchor)

    def scores(self, matrix: OutcomeMatrix, bank: OutcomeMatrix | None = None) -> np.ndarray:
        """See `Rule.scores`."""
        voters = electorate(matrix, bank, self.anchor, self.rho, self.bar_degenerate)
        return voters.finish(support(voters, self.power))
