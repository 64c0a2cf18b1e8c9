"""The probe on the round's teacher, which is frozen: fitted on some of the bank, then asked about rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from probing.probe.config import ProbeConfig
from probing.probe.hidden_states import HiddenStates, StateFeatures
from probing.probe.label_sources import fit_best_probe
from probing.probe.quality import Probe, ProbeReport
from probing.records import Candidate
from probing.samplers.base import Completion
from rl.ranks.states import read_states


class FrozenProbe:
    """A fitted probe with the model that it reads. Satisfies `rl.scoring.scoring.Quality`."""

    def __init__(self, reader: HiddenStates, probe: Probe) -> None:
        self.reader, self.probe = reader, probe
        self.gate = probe.report.earned_weight

    def evidence(self, prompts: Sequence[str], completions: Sequence[Completion], codes: Sequence[str | None]) -> list[float | None]:
        """Log-odds of each rollout up to a constant of its problem; None where there is no probe, or a feature is not finite."""
        if not self.probe.report.available or not completions:
            return [None] * len(completions)
        features = read_states(self.reader, prompts, [(c.token_ids, code) for c, code in zip(completions, codes, strict=True)])
        return [None if np.isnan(e) else float(e) for e in self.probe.evidence(features)]

    def probability(self, centred_evidence: np.ndarray) -> np.ndarray:
        """float64[N]: calibrated probability, from evidence less its group's mean; NaN stays NaN."""
        return self.probe.probability(centred_evidence)

    def release(self) -> None:
        """Let go of the model: no rollout is asked about any more."""
        self.reader.release()

    def save(self, folder: Path) -> None:
        self.probe.save(folder)

    @classmethod
    def load(cls, folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: ProbeConfig) -> FrozenProbe:
        return cls(HiddenStates(model, tokenizer, config.layers), Probe.load(folder))


def choose_answers(kept: Sequence[str], answers: Mapping[str, Sequence[Candidate]], config: ProbeConfig) -> list[Candidate]:
    """What the probe is fitted on: the first `config.answers` answers to each of at most `config.problems` of the problems that are kept
    for training, evenly spread. The others have no contrasts to learn from, or votes not worth learning.

    kept: problem ids, in order. answers: by problem.
    """
    every = np.linspace(0, len(kept) - 1, num=min(config.problems, len(kept))).round().astype(int)
    return [candidate for i in every for candidate in answers[kept[i]][: config.answers]]


def fit_frozen_probe(
    reader: HiddenStates,
    states: StateFeatures | None,
    sources: dict[str, np.ndarray],
    problem_ids: Sequence[str],
    config: ProbeConfig,
    seed: int,
) -> tuple[FrozenProbe, np.ndarray]:
    """A probe fitted on the best of the label sources (`probing.probe.label_sources`), and its score float64[N] of every answer, in [0, 1].

    states: of N answers, None where there are none; sources: float64[N] each; problem_ids: of each answer.
    """
    if states is None:
        nothing = Probe(ProbeReport(available=False, reason="no problem is in the band of agreement"))
        return FrozenProbe(reader, nothing), np.empty(0)
    probe, _ = fit_best_probe(states, sources, problem_ids, config, seed)
    return FrozenProbe(reader, probe), probe.score(states, problem_ids)
