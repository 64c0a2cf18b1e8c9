"""One statement of the theory, with what it predicts and what a simulation gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Statement:
    """A claim and its check. `predicted` and `measured` belong together by key."""

    name: str  # as docs/method.md cites it
    says: str  # the claim, one sentence
    predicted: dict[str, float]  # by formula
    measured: dict[str, float]  # by simulation, or by brute force
    holds: bool


def close(
    name: str, says: str, predicted: Sequence[float] | np.ndarray, measured: Sequence[float] | np.ndarray, error: float | np.ndarray
) -> Statement:
    """A statement that two lists of figures are equal: all within `error` (for a simulation, 4.5 standard errors).

    Kept in the record: the first and last pair, and the largest difference in units of `error`, which must not exceed 1.
    """
    formula, found = np.asarray(predicted, dtype=np.float64).ravel(), np.asarray(measured, dtype=np.float64).ravel()
    worst = float((np.abs(formula - found) / np.broadcast_to(np.asarray(error, dtype=np.float64), np.shape(predicted)).ravel()).max())
    ends = {"first": 0, "last": -1}
    return Statement(
        name,
        says,
        {key: float(formula[i]) for key, i in ends.items()} | {"largest difference, of the error allowed": 1.0},
        {key: float(found[i]) for key, i in ends.items()} | {"largest difference, of the error allowed": worst},
        worst <= 1,
    )


SIGMAS = 4.5  # standard errors that a simulated mean may lie off: one in 150,000


def allowed(samples: np.ndarray) -> np.ndarray:
    """float64[...]: SIGMAS standard errors of the mean over the first axis of `samples` [draws, ...], never 0."""
    return SIGMAS * np.maximum(samples.std(axis=0, ddof=1), 1e-9) / np.sqrt(len(samples))
