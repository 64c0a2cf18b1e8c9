"""How far programs behave like a reference. For audits and the oracle arm alone: nothing that a label-free run learns from calls it."""

from __future__ import annotations

import numpy as np

from rewards.clusters.signatures import OutcomeMatrix, concatenate
from rewards.records import Execution


def agreement_with_reference(matrix: OutcomeMatrix, reference: Execution) -> np.ndarray:
    """float64[n]: share of the inputs on which the reference gives a value where each program gives the same.

    NaN where a program is missing, and everywhere where the reference gives no value at all.
    """
    codes = concatenate(matrix, OutcomeMatrix.from_executions([reference])).codes
    counted = codes[-1] >= 0
    if not counted.any():
        return np.full(matrix.n_programs, np.nan)
    return np.where(matrix.missing, np.nan, (codes[:-1, counted] == codes[-1, counted]).mean(axis=1))


def right_by_reference(matrix: OutcomeMatrix, reference: Execution | None) -> np.ndarray:
    """float64[n]: 1 where a program gives the reference's value wherever there is one, else 0; NaN where that is not known."""
    if reference is None:
        return np.full(matrix.n_programs, np.nan)
    shares = agreement_with_reference(matrix, reference)
    return np.where(np.isnan(shares), np.nan, shares == 1.0)


def winner_is_right(winner: OutcomeMatrix | None, reference: Execution) -> bool | None:
    """Whether the one row that stands for a vote's winner is right; None without a winner, or where that is not known."""
    if winner is None:
        return None
    [right] = right_by_reference(winner, reference)
    return None if np.isnan(right) else bool(right)
