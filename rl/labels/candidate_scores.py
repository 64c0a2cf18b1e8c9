"""What is known of every candidate once its problem is judged: the vote, what the probe may learn from it, and in an audited run whether it
is right. All in one pass over the problems, since a problem's bank takes longest to make.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from probing.probe.label_sources import label_sources
from probing.records import Candidate
from rewards.clusters.references import right_by_reference
from rewards.records import Execution
from rewards.rules.consensus import ConsensusConfig, get_rule
from rl.labels.bank import CandidateVotes, ProblemBank, candidate_votes
from rl.round_files import Verdict


@dataclass(frozen=True, eq=False)
class CandidateScores:
    """By problem id; arrays over the problem's n candidates."""

    votes: Mapping[str, CandidateVotes]
    consensus: Mapping[str, np.ndarray]  # float64[n] in [0, 1], the rule's; NaN where our infrastructure failed
    right: Mapping[str, np.ndarray] | None  # float64[n]: 1 right, 0 wrong, NaN not known; None: not audited

    def label_sources(self, places: Sequence[tuple[str, int]], min_margin: float) -> dict[str, np.ndarray]:
        """What the probe may learn from, by source (`probing.probe.label_sources`), float64[R]. places: problem and index of candidates."""
        columns = {f.name: [getattr(self.votes[problem_id], f.name)[i] for problem_id, i in places] for f in fields(CandidateVotes)}
        return label_sources(**columns, min_margin=min_margin)

    def rows(self, candidates: Sequence[Candidate], probe: Mapping[tuple[str, int], float]) -> Iterator[dict[str, Any]]:
        """The lines of scores.jsonl. probe: its score of the candidates that it read, by problem and index."""
        for c in candidates:
            row = {
                "problem_id": c.problem_id,
                "index": c.index,
                "consensus": _known(self.consensus[c.problem_id][c.index]),
                "probe": _known(probe.get((c.problem_id, c.index), math.nan)),
                "mean_logprob": round(c.mean_logprob, 4),
                "n_tokens": c.n_tokens,
            }
            if self.right is not None:
                right = self.right[c.problem_id][c.index]
                row["correct"] = None if math.isnan(right) else bool(right)
            yield row


def score_candidates(
    verdicts: Sequence[Verdict],
    banks: Mapping[str, ProblemBank],
    consensus: ConsensusConfig,
    references: Mapping[str, Execution] | None = None,
) -> CandidateScores:
    """banks: each problem's programs on the inputs that its verdict kept. references: their outcomes on those inputs; None: no audit."""
    rule = get_rule(consensus)
    votes: dict[str, CandidateVotes] = {}
    scores: dict[str, np.ndarray] = {}
    right: dict[str, np.ndarray] = {}
    for verdict in verdicts:
        problem_id, n = verdict.problem_id, len(verdict.labels)
        bank = banks[problem_id]
        votes[problem_id] = candidate_votes(verdict, bank, consensus.rho)
        agreed = rule.scores(bank.matrix) if verdict.inputs else np.zeros(len(bank.programs))  # no input left: nothing agrees
        scores[problem_id] = bank.spread(agreed, n, 0.0)
        if references is not None:
            reference = references.get(problem_id)
            right_n = right_by_reference(bank.matrix, reference)
            right[problem_id] = bank.spread(right_n, n, math.nan if reference is None else 0.0)  # without a program: wrong
    return CandidateScores(votes, scores, right if references is not None else None)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 5)
