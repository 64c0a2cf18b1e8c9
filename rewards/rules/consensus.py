"""Execution consensus: the config section and the choice of a rule.

rule = get_rule(ConsensusConfig(rule="soft"))
scores = rule.scores(group, bank)           # float64[n] in [0, 1], NaN = missing
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from probing.section import Section
from rewards.clusters.signatures import Signature
from rewards.rules.base import RULES, Anchor, Rule

__all__ = ["ConsensusConfig", "Recheck", "Rule", "get_rule"]

Recheck = Literal["never", "suspects", "always"]

for _module in pkgutil.iter_modules(importlib.import_module("rewards.rules").__path__):
    if _module.name != "consensus":
        importlib.import_module(f"rewards.rules.{_module.name}")  # each registers its rule
if TYPE_CHECKING:
    RuleName = str
else:
    RuleName = Literal[tuple(RULES)]


class ConsensusConfig(Section):
    """How the candidates of a problem vote."""

    rule: RuleName = Field("soft", description="how candidates vote")
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
        return RULES[self.rule].needs_expected_outputs or self.signature == "passfail"


def get_rule(config: ConsensusConfig) -> Rule:
    """The rule that the config names."""
    return RULES[config.rule].of(config)
