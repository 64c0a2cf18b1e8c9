"""The probe on a frozen copy of the round's starting policy: fitted on the bank, then asked about rollouts.

Evidence is centred with the bank's mean of the problem, not with the rollouts at hand, so that a rollout's score does not
depend on which others share its batch or rank.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from probing.answers import extract_code
from probing.hidden_states import HiddenStates, StateFeatures
from probing.probe_config import ProbeConfig
from probing.quality import Probe, fit_probe
from probing.samplers.base import Completion
from rl.run_folder import write_atomically

CENTRES = "probe_centres.json"


class FrozenProbe:
    """A fitted probe with the model that it reads. Satisfies `rl.scoring.Quality`."""

    def __init__(self, reader: HiddenStates, probe: Probe, centres: Mapping[str, float]) -> None:
        """centres: mean evidence of the bank by prompt."""
        self.reader, self.probe, self.centres = reader, probe, centres
        self.gate = probe.report.earned_weight

    def probabilities(self, prompts: Sequence[str], completions: Sequence[Completion]) -> list[float | None]:
        """Calibrated probability of each rollout; None where there is no probe or the prompt has no bank."""
        if not self.probe.report.available or not completions:
            return [None] * len(completions)
        features = read_states(self.reader, prompts, [(c.token_ids, extract_code(c.text)) for c in completions])
        centre_N = np.array([self.centres.get(prompt, np.nan) for prompt in prompts])
        return [None if np.isnan(p) else float(p) for p in self.probe.probability(self.probe.evidence(features) - centre_N)]

    def save(self, folder: Path) -> None:
        self.probe.save(folder)
        write_atomically(folder / CENTRES, json.dumps(self.centres))

    @classmethod
    def load(cls, folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: ProbeConfig) -> FrozenProbe:
        return cls(HiddenStates(model, tokenizer, config.layers), Probe.load(folder), json.loads((folder / CENTRES).read_text()))


def read_states(
    reader: HiddenStates,
    prompts: Sequence[str],
    answers: Sequence[tuple[Sequence[int], str | None]],
    progress: Callable[[int], None] | None = None,
) -> StateFeatures:
    """Features of answers given as (token ids, code)."""
    ids = {text: reader.tokenizer(text, add_special_tokens=False)["input_ids"] for text in set(prompts)}
    ends = [reader.end_of_code(tokens, code) for tokens, code in answers]
    return reader.extract([ids[p] for p in prompts], [tokens for tokens, _ in answers], ends, progress)


def fit_frozen_probe(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    answers: Sequence[tuple[Sequence[int], str | None]],
    labels: Sequence[float],
    config: ProbeConfig,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[FrozenProbe, np.ndarray]:
    """A probe fitted on the bank's consensus labels (1, 0 or NaN), and its score float64[N] of every answer of the bank."""
    reader = HiddenStates(model, tokenizer, config.layers)
    features = read_states(reader, prompts, answers, progress)
    probe = fit_probe(features, np.array(labels), np.array(prompts), config, seed)
    if not probe.report.available:
        return FrozenProbe(reader, probe, {}), np.full(len(prompts), np.nan)
    evidence_N, prompt_N = probe.evidence(features), np.array(prompts)
    centres = {prompt: float(np.nanmean(evidence_N[prompt_N == prompt])) for prompt in dict.fromkeys(prompts)}
    return FrozenProbe(reader, probe, centres), probe.score(features, prompt_N)
