"""What execution says of one problem's candidates: the inputs that tell them apart, and who agrees with whom on those.

The one place where that is decided: the loop (`rl.labels.bank`) and `ucoder judge` (`rewards.judge.ranking`) both call it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rewards.clusters.clustering import Clustering, cluster
from rewards.clusters.inputs import InputsConfig, dead_inputs, select_inputs
from rewards.clusters.signatures import MISSING, OutcomeMatrix
from rewards.rules.consensus import ConsensusConfig


@dataclass(frozen=True, eq=False)
class Judgement:
    """One problem's programs, judged on the inputs that were kept."""

    kept: np.ndarray  # int64[k]: columns of the given inputs, the most telling first; empty where none tells anything
    matrix: OutcomeMatrix  # [n, k]: all programs on those
    clustering: Clustering  # of its rows
    dead_share: float | None  # of the given inputs: those on which nearly every sample errs, which are not kept; None: nothing is known


def judge(everything: OutcomeMatrix, consensus: ConsensusConfig, selection: InputsConfig, quality: np.ndarray | None = None) -> Judgement:
    """Select the inputs and cluster the programs.

    everything: outcomes of n programs on all m inputs. quality: float[n], picks each cluster's representative (the mean logprob).
    """
    kept = keep_inputs(everything, consensus, selection)
    matrix = everything.select_inputs(kept)
    signature = consensus.signature if len(kept) else "outputs"  # without inputs there are no bits to compare, and no clusters
    clustering = cluster(matrix, consensus.rho, consensus.tau, quality, signature)
    dead = None if everything.missing.all() else float(dead_inputs(everything, selection).mean())
    return Judgement(kept, matrix, clustering, dead)


def keep_inputs(matrix: OutcomeMatrix, consensus: ConsensusConfig, selection: InputsConfig) -> np.ndarray:
    """int64[k]: the columns that tell candidates apart best; first those with an expected output where consensus compares with one.

    Pass/fail bits have no use for others, and without any the problem has no vote: nothing is kept. The same holds without a program.
    """
    if not matrix.n_programs:
        return np.zeros(0, dtype=np.int64)
    telling = select_inputs(matrix, selection)
    if not consensus.needs_expected_outputs:
        return telling
    tested = np.flatnonzero(matrix.expected_codes != MISSING)
    rest = telling[~np.isin(telling, tested)] if len(tested) and consensus.signature == "outputs" else tested[:0]
    return np.concatenate([tested, rest])[: selection.keep]
