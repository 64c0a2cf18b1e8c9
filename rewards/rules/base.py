"""What the rules share: who votes on whom, and plurality voting without one's own vote.

A rule scores the samples of a *group* (the rows of `matrix`) against an *electorate*: the group itself, the larger *bank* of stage 5, or
both. A sample never votes for itself (leave-one-out): one vote is taken off its own count where it belongs to the electorate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, Self, TypeVar

import numpy as np

from rewards.clusters.signatures import OutcomeMatrix, concatenate

Anchor = Literal["bank", "group", "both"]


class RuleSettings(Protocol):
    """What a rule may take from the config (`rewards.rules.consensus.ConsensusConfig`)."""

    @property
    def rho(self) -> float: ...
    @property
    def tau(self) -> int: ...
    @property
    def anchor(self) -> Anchor: ...
    @property
    def power(self) -> float: ...


class Rule(Protocol):
    """A consensus rule. A module of this package that registers one is all that a new rule takes."""

    needs_expected_outputs: ClassVar[bool]  # whether it compares with outputs that the model predicts (asserts)

    @classmethod
    def of(cls, settings: RuleSettings) -> Self:
        """The rule with a config's settings."""
        ...

    def scores(self, matrix: OutcomeMatrix, bank: OutcomeMatrix | None = None) -> np.ndarray:
        """float64[n] in [0, 1]: how far the electorate agrees with each program of `matrix`; NaN where it is missing.

        Without a bank the electorate is `matrix` itself, whatever the anchor.
        """
        ...


RULES: dict[str, type[Rule]] = {}  # by the name that the config gives
Class = TypeVar("Class", bound=type[Rule])


def register(name: str) -> Callable[[Class], Class]:
    """Makes a rule known to the config as `consensus.rule: name`. Raises ValueError where another one has the name."""

    def keep(rule: Class) -> Class:
        if RULES.setdefault(name, rule) is not rule:
            raise ValueError(f"two consensus rules are called {name!r}: {RULES[name].__name__} and {rule.__name__}")
        return rule

    return keep


@dataclass(frozen=True, eq=False)
class Electorate:
    """Voters and samples stacked over the same inputs (N rows)."""

    matrix: OutcomeMatrix  # N programs
    votes: np.ndarray  # int64[N]: votes cast by each row; 0 for rows that are not valid, degenerate or outside the electorate
    own: np.ndarray  # int64[N]: 1 where a sample's own vote is among them and has to be taken off
    eligible: np.ndarray  # bool[N]: may score above 0
    samples: slice  # the rows of the group that is scored

    def finish(self, scores: np.ndarray) -> np.ndarray:
        """float64[n]: the scores float64[N] of the group's rows, NaN where the program is missing, 0 where it is not eligible."""
        scores = np.where(self.eligible, scores, 0.0)
        return np.where(self.matrix.missing, np.nan, scores)[self.samples]


def electorate(matrix: OutcomeMatrix, bank: OutcomeMatrix | None, anchor: Anchor, rho: float, bar_degenerate: bool = True) -> Electorate:
    """Who votes. bar_degenerate: constant and echoing programs neither vote nor score where any other valid program votes."""
    n = matrix.n_programs
    if bank is None or anchor == "group":
        stacked, votes, own, start = matrix, matrix.weights, np.ones(n, dtype=np.int64), 0
    else:
        stacked, start = concatenate(bank, matrix), bank.n_programs
        group_votes = matrix.weights if anchor == "both" else np.zeros_like(matrix.weights)
        votes = np.concatenate([bank.weights, group_votes])
        own = np.zeros(len(votes), dtype=np.int64)
        own[start:] = anchor == "both"
    eligible = stacked.valid(rho)
    sound = eligible & ~stacked.degenerate
    if bar_degenerate and (votes[sound] > 0).any():
        eligible = sound
    votes = np.where(eligible, votes, 0)
    return Electorate(stacked, votes, np.minimum(own, votes), eligible, slice(start, start + n))


def plurality(labels: np.ndarray, voters: Electorate, tau: int) -> np.ndarray:
    """float64[N]: probability that a vote of the others, ties broken evenly, elects each row's label; 0 for label -1.

    A label held by fewer than tau samples (own vote included) cannot be elected.
    """
    k = int(labels.max(initial=-1)) + 1
    scores = np.zeros(len(labels))
    if k == 0:
        return scores
    labelled = labels >= 0
    counts = np.bincount(labels[labelled], weights=voters.votes[labelled], minlength=k).astype(np.int64)
    best, n_best = counts.max(), int((counts == counts.max()).sum())
    runner_up = int(counts[counts < best].max(initial=0))
    tied_below = int((counts == runner_up).sum())
    mine = counts[labels] - voters.own
    # The strongest rival: the best count, or the next one where this row's label alone holds the best.
    alone = (counts[labels] == best) & (n_best == 1)
    rival = np.where(alone, runner_up, best)
    n_rivals = np.where(alone, tied_below, n_best - (counts[labels] == best))
    wins, ties = mine > rival, mine == rival
    scores = np.where(wins, 1.0, np.where(ties, 1.0 / (1.0 + n_rivals), 0.0))
    return np.where(labelled & (mine > 0) & (counts[labels] >= tau), scores, 0.0)
