"""Execution consensus: the config section and the choice of a rule.

rule = get_rule(ConsensusConfig(rule="soft"))
scores = rule.scores(group, bank)           # float64[n] in [0, 1], NaN = missing
clustering = cluster(bank, config.rho, config.tau)
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from probing.section import Section
from rewards.clusters.clustering import Clustering, cluster
from rewards.clusters.signatures import OutcomeMatrix, Signature
from rewards.rules.base import Anchor, Rule
from rewards.rules.codet import CodeT
from rewards.rules.hard import Hard
from rewards.rules.passfail import PassFail
from rewards.rules.sharp import Sharp
from rewards.rules.soft import Soft

__all__ = ["Clustering", "ConsensusConfig", "Recheck", "Rule", "cluster", "get_rule", "winner_of"]

Recheck = Literal["never", "suspects", "always"]


class ConsensusConfig(Section):
    """How the candidates of a problem vote."""

    rule: Literal["hard", "soft", "sharp", "codet", "passfail"] = Field("soft", description="how candidates vote")
    signature: Signature = Field(
        "outputs", description="what clusters agree in: typed outputs, or (the paper) which of the asserts that the model writes they pass"
    )
    anchor: Anchor = Field("bank", description="who votes on a group's samples: the n samples of stage 5, the group itself, or both")
    rho: float = Field(0.8, gt=0, le=1, description="least share of inputs on which a candidate must give a value (the paper's ρ)")
    tau: int = Field(2, ge=1, description="least number of samples in a winning cluster (the paper's τ, whose value it does not give)")
    recheck: Recheck = Field(
        "suspects",
        description="programs run again under another hash seed, clock and chance, and with their inputs in another order: "
        "those that differ have no vote",
    )
    power: float = Field(2.0, ge=1, le=64, description="rule sharp: power of the agreement between two candidates (1 is soft)")

    @property
    def needs_expected_outputs(self) -> bool:
        """Whether anything is compared with outputs that the model has to predict (asserts)."""
        return self.rule in ("codet", "passfail") or self.signature == "passfail"


def winner_of(voters: OutcomeMatrix, config: ConsensusConfig) -> OutcomeMatrix | None:
    """The one row that stands for the winning cluster; None where nobody wins."""
    found = cluster(voters, config.rho, config.tau, signature=config.signature)
    return voters.select_programs([found.representatives[found.top]]) if found.top >= 0 else None


def get_rule(config: ConsensusConfig) -> Rule:
    """The rule that the config names."""
    match config.rule:
        case "hard":
            return Hard(config.rho, config.tau, config.anchor)
        case "soft":
            return Soft(config.rho, config.anchor)
        case "sharp":
            return Sharp(config.rho, config.power, config.anchor)
        case "codet":
            return CodeT(config.rho, config.anchor)
        case "passfail":
            return PassFail(config.rho, config.tau, config.anchor)
