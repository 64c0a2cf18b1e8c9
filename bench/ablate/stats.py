"""Figures of arms with intervals: a bootstrap over tasks and seeds at once, the same draws for every arm, so that differences are paired.

Shapes: S seeds, T tasks, B draws. NaN means not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % percentile interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, object]:
        return {"value": self.value, "ci": [self.low, self.high]}


class Resampler:
    """Draws of tasks, and of seeds, with replacement and independently of each other (a crossed bootstrap).

    With few seeds their part of the spread is underrated, as in any bootstrap: with one seed it is not there at all.
    """

    def __init__(self, seeds: int, tasks: int, draws: int = 4000, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.seeds_BS = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
        self.tasks_BT = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=draws) / tasks

    def means(self, values_ST: Floats) -> Floats:
        """float64[B]: the mean of each draw."""
        return np.einsum("bs,st,bt->b", self.seeds_BS, values_ST, self.tasks_BT, optimize=True)

    def estimate(self, values_ST: Floats) -> Estimate:
        """Mean over seeds and tasks."""
        return _estimate(float(values_ST.mean()), self.means(values_ST))

    def difference(self, arm_ST: Floats, other_ST: Floats) -> Estimate:
        """Paired difference of two arms' means."""
        return self.estimate(arm_ST - other_ST)

    def recovered(self, arm_ST: Floats, base_ST: Floats, oracle_ST: Floats) -> Estimate | None:
        """(arm − base) / (oracle − base); None where the oracle's own gain is not clearly above 0, since the ratio says nothing then."""
        gain = self.difference(oracle_ST, base_ST)
        if not gain.low > 0:
            return None
        draws_B = self.means(arm_ST - base_ST) / self.means(oracle_ST - base_ST)
        return _estimate(float((arm_ST - base_ST).mean()) / gain.value, draws_B)


def _estimate(value: float, draws_B: Floats) -> Estimate:
    low, high = np.quantile(draws_B, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def align(scores: Mapping[str, list[Mapping[str, float]]]) -> tuple[dict[str, Floats], int]:
    """Scores by arm, one mapping from task to score for each seed, as float64[S, T] over the tasks that all of them have.

    Returns them and the number of tasks that had to be left out. Raises ValueError when arms have different numbers of seeds.
    """
    if len({len(by_seed) for by_seed in scores.values()}) > 1:
        raise ValueError(f"arms with different numbers of seeds: { {arm: len(by_seed) for arm, by_seed in scores.items()} }")
    found = [set(by_task) for by_seed in scores.values() for by_task in by_seed]
    common, every = set.intersection(*found), set.union(*found)
    order = sorted(common)
    arrays = {arm: np.array([[by_task[task] for task in order] for by_task in by_seed]) for arm, by_seed in scores.items()}
    return arrays, len(every - common)
