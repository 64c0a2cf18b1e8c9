"""`soft`: leave-one-out agreement, input by input (a(r) in docs/method.md; Functional Majority Voting, arXiv 2604.15618)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from rewards.clusters.signatures import OutcomeMatrix
from rewards.rules.base import Anchor, Electorate, RuleSettings, electorate, register


def agreement(voters: Electorate) -> np.ndarray:
    """float64[N, m]: share of the other voters with the same value on each input; 0 at errors and where nobody else votes."""
    codes = voters.matrix.codes
    others = voters.votes.sum() - voters.own
    share = np.zeros(codes.shape)
    for j in range(codes.shape[1]):
        column = codes[:, j]
        has_value = column >= 0
        _, dense = np.unique(column[has_value], return_inverse=True)
        tally = np.bincount(dense, weights=voters.votes[has_value])
        own = voters.own[has_value]
        share[has_value, j] = (tally[dense] - own) / np.maximum(others[has_value], 1)
    return share


@register("soft")
@dataclass(frozen=True)
class Soft:
    """Mean over inputs of the share of other valid samples with the same value there."""

    rho: float = 0.8
    anchor: Anchor = "bank"
    bar_degenerate: bool = True

    needs_expected_outputs: ClassVar[bool] = False

    @classmethod
    def of(cls, settings: RuleSettings) -> Self:
        return cls(settings.rho, settings.anchor)

    def scores(self, matrix: OutcomeMatrix, bank: OutcomeMatrix | None = None) -> np.ndarray:
        """See `Rule.scores`."""
        voters = electorate(matrix, bank, self.anchor, self.rho, self.bar_degenerate)
        if not matrix.n_inputs:
            return voters.finish(np.zeros(len(voters.votes)))
        return voters.finish(agreement(voters).mean(axis=1))
