"""The `probe` section of a run's config."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from probing.section import Section


class ProbeConfig(Section):
    """How the quality probe is fitted, and what it must show before it counts in the reward."""

    problems: int = Field(512, ge=10, description="most problems in the band of agreement that it is fitted on, evenly spread")
    answers: int = Field(16, ge=2, description="most answers of each of them whose hidden states are read")
    layers: int = Field(4, ge=1, description="candidate layers, evenly spread from a third of the depth to the last")
    folds: int = Field(5, ge=3, le=20, description="cross-validation folds; a problem lies in one fold")
    c_grid: tuple[float, ...] = Field((1e-5, 1e-4, 1e-3, 1e-2), min_length=1, description="candidate inverse strengths of the L2 penalty")
    pca: int = Field(256, ge=2, description="most dimensions kept of one candidate's states")
    null_shuffles: int = Field(20, ge=2, description="label shuffles that give the null its mean and spread")
    sources: tuple[Literal["margin", "soft", "pairs"], ...] = Field(
        ("margin", "soft", "pairs"),
        min_length=1,
        description="what it may learn from: a clear winning cluster, soft agreement, cluster shares; the best is kept",
    )
    label_margin: float = Field(0.1, ge=0, le=1, description="least margin of the winning cluster for a problem's labels to be learnt from")
    min_problems: int = Field(10, ge=5, description="fewest problems with both right and wrong samples; below it there is no probe")
    follow_drift: bool = Field(True, description="lower the probe's weight when its AUROC on the moving policy's samples falls")
    drift_groups: int = Field(64, ge=1, description="groups of the moving policy over which the probe's AUROC is followed")
    floor: float = Field(0.60, ge=0.5, lt=1, description="held-out, length-controlled AUROC within problems below which the weight is 0")
    full: float = Field(0.80, gt=0.5, le=1, description="the same AUROC at which the weight is 1")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.floor >= self.full:
            raise ValueError(f"probe.floor ({self.floor}) must be below probe.full ({self.full})")
        if any(c <= 0 for c in self.c_grid):
            raise ValueError("probe.c_grid must hold positive numbers")
        return self
