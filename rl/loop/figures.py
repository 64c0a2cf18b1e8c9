"""A round in figures, for the log: stage 5's samples; how far they agree, and whether the self-written inputs can tell them apart."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from probing.records import SELF_MADE, Candidate, Problem
from probing.stages.proposals import Drawn
from rl.round_files import Verdict


class SamplingFigures:
    """Stage 5's samples in figures: how many, how long, how fast, and the shares that hold no program or were cut off."""

    def __init__(self) -> None:
        self.started, self.logprob = time.monotonic(), 0.0
        self.sums: Counter[str] = Counter()

    def counting(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """The candidates themselves, counted as they pass."""
        for c in candidates:
            self.sums.update({"samples": 1, "tokens": c.n_tokens, "no_program": c.code is None, "cut_off": not c.finished})
            self.logprob += c.mean_logprob
            yield c

    def as_dict(self) -> dict[str, float]:
        count, tokens = self.sums["samples"], self.sums["tokens"]
        if not count:
            return {"samples": 0}
        return {
            "samples": count,
            "tokens": tokens,
            "tokens_per_second": tokens / (time.monotonic() - self.started),
            "mean_tokens": tokens / count,
            "mean_logprob": self.logprob / count,
            "no_program": self.sums["no_program"] / count,
            "cut_off": self.sums["cut_off"] / count,
        }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def consensus_figures(verdicts: Sequence[Verdict]) -> dict[str, float | None]:
    """Means over problems. Label accuracy is an audit: the share of winners that behave like the reference.

    `not_offered`: share of candidates that failed for a module that programs are not offered.
    """
    return {
        "problems": len(verdicts),
        "kept": sum(v.kept for v in verdicts),
        "top_share": _mean(v.top_share for v in verdicts),
        "margin": _mean(v.margin for v in verdicts),
        "entropy": _mean(v.entropy for v in verdicts),
        "distinct_behaviours": _mean(len(v.counts) for v in verdicts),
        "not_offered": sum(v.not_offered for v in verdicts) / max(sum(len(v.labels) for v in verdicts), 1),
        "label_accuracy": _mean(v.label_correct for v in verdicts),
        "label_accuracy_kept": _mean(v.label_correct for v in verdicts if v.kept),
        **input_figures(verdicts),
    }


def repeat_figures(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many problems in the band are left out since their winner behaves like that of an earlier problem, of an earlier round or of the
    same one. A problem's id begins with its round's number.
    """
    pairs = [(v.problem_id.partition("-")[0], v.repeats.partition("-")[0]) for v in verdicts if v.repeats is not None]
    return {
        "repeats_of_earlier_rounds": sum(own != other for own, other in pairs),
        "repeats_in_round": sum(own == other for own, other in pairs),
    }


def depth_figures(solved: Sequence[Problem], proposals: Sequence[Drawn], problems: Sequence[Problem]) -> dict[str, int]:
    """Steps beyond solved problems (`problems.depth`): problems that earlier rounds solved, proposals asked to go beyond one of them, and
    those of these that became problems.
    """
    return {
        "solved_before": len(solved),
        "beyond_proposed": sum(drawn.beyond is not None for drawn in proposals),
        "beyond_kept": sum(problem.beyond is not None for problem in problems),
    }


def band_by_depth(problems: Sequence[Problem], verdicts: Sequence[Verdict]) -> dict[str, float | None]:
    """Share in the band of the problems that go a step beyond a solved one, and of the other self-made ones. None: there is none."""
    beyond = {p.id: p.beyond is not None for p in problems if p.source == SELF_MADE}
    return {
        "beyond_in_band": _mean(v.kept for v in verdicts if beyond.get(v.problem_id) is True),
        "by_topic_in_band": _mean(v.kept for v in verdicts if beyond.get(v.problem_id) is False),
    }


def input_figures(verdicts: Sequence[Verdict]) -> dict[str, float | None]:
    """Can the inputs tell programs apart? Each figure over the problems where it was measured; None where it was on none.

    A problem whose pool is dead as a whole keeps no inputs, and counts in `dead_share` alone. `optimistic_bound_says_something` is a share
    of the problems that keep some: where p is unknown, the bound says nothing.
    """
    tested = [v for v in verdicts if v.inputs]
    return {
        "inputs_kept": _mean(len(v.inputs) for v in tested),
        "input_rank": _mean(v.input_rank for v in verdicts),
        "dead_share": _mean(v.dead_share for v in verdicts),
        "duplicate_share": _mean(v.duplicate_share for v in verdicts),
        "median_wrong_agreement": _median(v.wrong_agreement for v in verdicts),
        "optimistic_bound_says_something": _mean(v.optimistic_bound is not None and v.optimistic_bound > 0 for v in tested),
        "median_hidden_difference": _median(v.hidden_difference for v in verdicts),
        "median_pool_needed": _median(v.pool_needed for v in verdicts),
    }
