"""`passfail`: the paper's own signature, one pass/fail bit for each model-written assert (stage 5, with ρ and τ).

Kept for comparison. All programs that fail everything look alike here, and the expected outputs come from the model itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from rewards.clusters.clustering import group_rows
from rewards.clusters.signatures import OutcomeMatrix, pass_bits
from rewards.rules.base import Anchor, RuleSettings, electorate, plurality, register


@register("passfail")
@dataclass(frozen=True)
class PassFail:
    """1 for members of the largest cluster of equal pass/fail vectors among candidates with success rate e(r) >= ρ, else 0."""

    rho: float = 0.8
    tau: int = 2
    anchor: Anchor = "bank"

    needs_expected_outputs: ClassVar[bool] = True

    @classmethod
    def of(cls, settings: RuleSettings) -> Self:
        return cls(settings.rho, settings.tau, settings.anchor)

    def scores(self, matrix: OutcomeMatrix, bank: OutcomeMatrix | None = None) -> np.ndarray:
        """See `Rule.scores`."""
        voters = electorate(matrix, bank, self.anchor, self.rho, bar_degenerate=False)  # as published
        return voters.finish(plurality(group_rows(pass_bits(voters.matrix), voters.eligible), voters, self.tau))
