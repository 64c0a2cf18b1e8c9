"""`codet`: dual agreement with model-written asserts (Chen et al., "CodeT: Code Generation with Generated Tests", arXiv 2207.10397).

A consensus set is all solutions that pass exactly the same tests. Its score is √(solutions) × tests, as in the authors' released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from rewards.clusters.clustering import group_rows
from rewards.clusters.signatures import OutcomeMatrix, pass_bits
from rewards.rules.base import Anchor, RuleSettings, electorate, register


@register("codet")
@dataclass(frozen=True)
class CodeT:
    """√(share of the others that pass exactly the same tests) × share of tests passed."""

    rho: float = 0.8
    anchor: Anchor = "bank"

    needs_expected_outputs: ClassVar[bool] = True

    @classmethod
    def of(cls, settings: RuleSettings) -> Self:
        return cls(settings.rho, settings.anchor)

    def scores(self, matrix: OutcomeMatrix, bank: OutcomeMatrix | None = None) -> np.ndarray:
        """See `Rule.scores`."""
        voters = electorate(matrix, bank, self.anchor, self.rho, bar_degenerate=False)  # as published
        bits = pass_bits(voters.matrix)
        labels = group_rows(bits, voters.eligible)
        scores = np.zeros(len(labels))
        inside = labels >= 0
        counts = np.bincount(labels[inside], weights=voters.votes[inside])
        others = np.maximum(voters.votes.sum() - voters.own[inside], 1)
        scores[inside] = np.sqrt((counts[labels[inside]] - voters.own[inside]) / others) * bits[inside].mean(axis=1)
        return voters.finish(scores)
