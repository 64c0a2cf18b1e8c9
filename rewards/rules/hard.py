"""`hard`: the largest cluster of equal signatures takes all (the paper's stage 5, with outputs in place of pass/fail bits)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from rewards.clusters.clustering import group_rows
from rewards.clusters.signatures import OutcomeMatrix
from rewards.rules.base import Anchor, RuleSettings, electorate, plurality, register


@register("hard")
@dataclass(frozen=True)
class Hard:
    """1 for members of the cluster that the others elect, 0 for the rest; ties are shared."""

    rho: float = 0.8
    tau: int = 2
    anchor: Anchor = "bank"
    bar_degenerate: bool = True

    needs_expected_outputs: ClassVar[bool] = False

    @classmethod
    def of(cls, settings: RuleSettings) -> Self:
        return cls(settings.rho, settings.tau, settings.anchor)

    def scores(self, matrix: OutcomeMatrix, bank: OutcomeMatrix | None = None) -> np.ndarray:
        """See `Rule.scores`."""
        voters = electorate(matrix, bank, self.anchor, self.rho, self.bar_degenerate)
        return voters.finish(plurality(group_rows(voters.matrix.codes, voters.eligible), voters, self.tau))
