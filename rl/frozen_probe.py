"""The probe on a frozen copy of the round's starting policy: fitted on the bank, then asked about rollouts.

Evidence is centred with the bank's mean of the problem, not with the rollouts at hand, so that a rollout's score does not
depend on which others share its batch or rank.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from probing.answers import extract_code
from probing.hidden_states import POOLINGS, HiddenStates
from probing.label_sources import fit_best_probe
from probing.probe_config import ProbeConfig
from probing.quality import Probe
from probing.samplers.base import Completion
from rl.run_folder import write_atomically
from rl.shared_states import SharedStates, read_states

CENTRES = "probe_centres.json"
MOST_FIT_BYTES = 2 * 2**30  # states in memory while the probe is fitted


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

    def close(self) -> None:
        """Let go of the model: no rollout is asked about any more."""
        self.reader.__dict__.pop("model", None)

    def save(self, folder: Path) -> None:
        self.probe.save(folder)
        write_atomically(folder / CENTRES, json.dumps(self.centres))

    @classmethod
    def load(cls, folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: ProbeConfig) -> FrozenProbe:
        return cls(HiddenStates(model, tokenizer, config.layers), Probe.load(folder), json.loads((folder / CENTRES).read_text()))


def fit_frozen_probe(
    reader: HiddenStates,
    states: SharedStates,
    prompts: Sequence[str],
    sources: Mapping[str, np.ndarray],
    config: ProbeConfig,
    seed: int,
) -> tuple[FrozenProbe, np.ndarray]:
    """A probe fitted on the best of the bank's label sources (`probing.label_sources`), and its score float64[N] of every answer.

    Where the states of all answers pass MOST_FIT_BYTES, it is fitted on every k-th problem; all of them are scored, part by part.
    """
    texts = sorted(set(prompts))
    number = {text: i for i, text in enumerate(texts)}
    problem_N = np.array([number[prompt] for prompt in prompts])  # not the texts: an array would hold each of them once a sample
    chosen_N = fit_share(prompts, len(reader.layers) * len(POOLINGS) * reader.model.config.hidden_size * 4)
    targets = {name: target_N[chosen_N] for name, target_N in sources.items()}
    probe, _ = fit_best_probe(states.some(chosen_N), targets, problem_N[chosen_N], config, seed)
    score_N = np.full(len(prompts), np.nan)
    if not probe.report.available:
        return FrozenProbe(reader, probe, {}), score_N
    centres: dict[str, float] = {}
    for span, features in states.parts():
        here = problem_N[span.start : span.stop]
        evidence = probe.evidence(features)
        centres |= {texts[problem]: float(np.nanmean(evidence[here == problem])) for problem in np.unique(here).tolist()}
        score_N[span.start : span.stop] = probe.score(features, here)
    return FrozenProbe(reader, probe, centres), score_N


def fit_share(prompts: Sequence[str], bytes_each: int, most: int = MOST_FIT_BYTES) -> np.ndarray:
    """bool[N]: the answers that the probe is fitted on, whole problems, evenly spread, at most about `most` bytes of states.

    >>> fit_share(["a", "a", "b", "b", "c", "c"], 10, most=40).tolist()
    [True, True, False, False, True, True]
    """
    number = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    every = max(1, -(-len(prompts) * bytes_each // most))
    return np.array([number[prompt] % every == 0 for prompt in prompts])
