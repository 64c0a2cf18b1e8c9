"""Hidden states of answers, read by all ranks in parts (`rl.ranks.shards`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from probing.probe.hidden_states import HiddenStates, StateFeatures
from rl.ranks.ranks import Ranks
from rl.ranks.shards import Shards, cut

PART_ANSWERS = 1024
ARRAYS = ("states", "mean_logprob", "min_logprob", "lengths", "prompt_lengths")

Answer = tuple[Sequence[int], str | None]  # token ids, program


class SharedStates:
    """The states of N answers, one or more. Those of one prompt follow one another, and are never parted."""

    def __init__(
        self,
        reader: HiddenStates,
        prompts: Sequence[str],
        answers: Sequence[Answer],
        ranks: Ranks,
        folder: Path,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        sizes = [len(list(same)) for _, same in groupby(prompts)]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        spans = [slice(int(starts[part.start]), int(starts[part.stop])) for part in cut(sizes, PART_ANSWERS)]

        def work(part: int) -> StateFeatures:
            span = spans[part]
            return read_states(reader, prompts[span], answers[span], progress)

        self.shards = Shards(ranks, folder, len(spans), work, write_features, read_features)

    def do_mine(self) -> None:
        """Read this rank's share."""
        self.shards.do_mine()

    def all(self) -> StateFeatures:
        """Those of every answer, in order, waiting for other ranks' parts."""
        return joined_features(list(self.shards.results()))


def joined_features(parts: Sequence[StateFeatures]) -> StateFeatures:
    """The features of several readings, one or more, in one."""
    arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    return replace(parts[0], **arrays)


def read_states(
    reader: HiddenStates, prompts: Sequence[str], answers: Sequence[Answer], progress: Callable[[int], None] | None = None
) -> StateFeatures:
    """Features of answers, each after the prompt of the same place."""
    ids = {text: reader.tokenizer(text, add_special_tokens=False)["input_ids"] for text in set(prompts)}
    ends = [reader.end_of_code(tokens, code) for tokens, code in answers]
    return reader.extract([ids[p] for p in prompts], [tokens for tokens, _ in answers], ends, progress)


def write_features(path: Path, features: StateFeatures) -> None:
    with path.open("wb") as file:
        arrays = {name: getattr(features, name) for name in ARRAYS}
        np.savez(file, layers=np.array(features.layers), poolings=np.array(features.poolings), **arrays)


def read_features(path: Path) -> StateFeatures:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in ARRAYS}
        return StateFeatures(**arrays, layers=tuple(map(int, stored["layers"])), poolings=tuple(map(str, stored["poolings"])))
