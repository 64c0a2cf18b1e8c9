"""Which answers the probe is fitted on, and what it says where it cannot be fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probing.probe.config import ProbeConfig
from probing.records import Candidate
from rl.labels.frozen_probe import choose_answers, fit_frozen_probe


def pool(problems: int, answers: int) -> dict[str, Sequence[Candidate]]:
    names = [f"p{i:02d}" for i in range(problems)]
    return {name: [Candidate(name, k, "", None, (1,), (-0.1,), True) for k in range(answers)] for name in names}


def read(kept: Sequence[str], bank: dict[str, Sequence[Candidate]], **limits: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for candidate in choose_answers(kept, bank, ProbeConfig(**limits)):
        found.setdefault(candidate.problem_id, []).append(candidate.index)
    return found


def test_the_first_answers_of_problems_spread_over_all_that_are_kept() -> None:
    answers = pool(41, 5)
    found = read(list(answers)[1:], answers, problems=14, answers=3)
    assert all(indices == [0, 1, 2] for indices in found.values())
    assert list(found) == [f"p{i:02d}" for i in range(1, 41, 3)]


def test_everything_is_read_where_there_is_less_than_the_limits() -> None:
    answers = pool(3, 2)
    assert read(list(answers), answers) == {name: [0, 1] for name in answers}


def test_without_a_problem_in_the_band_there_is_no_probe_and_it_says_why() -> None:
    assert read([], pool(3, 2)) == {}
    frozen, scores = fit_frozen_probe(None, None, {}, [], ProbeConfig(), seed=0)
    assert (frozen.gate, len(scores)) == (0.0, 0)
    assert "band" in frozen.probe.report.reason
    assert frozen.evidence(["prompt"], [object()], [None]) == [None]
    assert np.isnan(frozen.probability(np.zeros(1))).all()
