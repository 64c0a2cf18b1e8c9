"""The teacher: the model that a round asks. It invents and rates problems and writes test inputs, and its solutions vote (stages 1 to 5);
the policy is what the round trains (stage 6).

In the paper the two are one: the teacher is the round's starting policy. But a policy that was trained on votes agrees with itself where
it is wrong as well, so the share of a vote tells less and less about who is right (RESULTS.md, "After two rounds"). With
`teacher.decay` d the teacher lags behind the policy, as in Tarvainen and Valpola, "Mean teachers" (arXiv 1703.01780):

    teacher of round 1 = base
    teacher of round r = d · teacher of round r−1 + (1 − d) · starting policy of round r        (in the weights)

    round_NN/teacher    its weights, where it is neither the policy nor the base; those of the last two rounds are kept
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rl.loop.choice import checkpoint_of, started_from
from rl.loop.round import Round, RoundError
from rl.models.checkpoints import MANIFEST, damage, discard, load_policy, save_policy
from rl.round_files import Stage
from rl.training.trainer_parts import quiet_libraries

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FOLDER = "teacher"
Made = tuple["PreTrainedModel", "PreTrainedTokenizerBase"]


def choose_teacher(current: Round) -> None:
    """Set the round's teacher, and make its weights where they are a mean of several checkpoints. Every rank calls it."""
    run, index = current.run, current.index
    starts = [started_from(run, number) for number in range(1, index + 1)]
    shares = teacher_shares(starts, current.config.teacher.decay)
    if len(shares) == 1:
        current.teacher = checkpoint_of(run, next(iter(shares)))
        return
    if (run.round_folder(index + 1, make=False) / "training.json").exists():
        return  # nothing of this round is done again
    folder = current.folder / FOLDER
    if run.main:
        if folder.exists() and (wrong := damage(folder)) is not None:
            raise RoundError(f"round {index}'s teacher is damaged: {wrong}. Delete {folder}: the same command makes it again")
        if index > 2:
            discard(run.round_folder(index - 2) / FOLDER)

    def write(path: Path, made: Made | None) -> None:
        assert made is not None
        with quiet_libraries():
            save_policy(*made, path.parent)

    stage = Stage(FOLDER, f"{FOLDER}/{MANIFEST}", write, lambda path: path.parent, read_back=True)
    current.teacher = str(run.once(index, stage, lambda: _mean_of_checkpoints(current, shares) if run.main else None))


def teacher_shares(starts: Sequence[int], decay: float) -> dict[int, float]:
    """How much of each round's checkpoint (0: the base) is in the teacher's weights. The shares sum to 1; those that are 0 are left out.

    starts: the rounds whose checkpoints rounds 1, 2, … started from, up to the teacher's round.

    >>> teacher_shares([0, 1, 2], 0.5)
    {0: 0.25, 1: 0.25, 2: 0.5}
    >>> teacher_shares([0, 1, 2], 0.0), teacher_shares([0, 1, 2], 1.0)
    ({2: 1.0}, {0: 1.0})
    """
    shares = {starts[0]: 1.0}
    for start in starts[1:]:
        shares = {number: share * decay for number, share in shares.items()}
        shares[start] = shares.get(start, 0.0) + 1.0 - decay
    return {number: share for number, share in shares.items() if share > 0}


def _mean_of_checkpoints(current: Round, shares: Mapping[int, float]) -> Made:
    """The mean, in the dtype of the run's checkpoints. Raises RoundError where one of them is damaged."""
    config, paths = current.config, {checkpoint_of(current.run, number): share for number, share in shares.items()}
    for number, path in zip(shares, paths, strict=True):
        if number and (wrong := damage(Path(path))) is not None:
            said = f"the teacher of round {current.index} has round {number}'s checkpoint in it, but {wrong}"
            raise RoundError(f"{said}. Delete round {number} and all after it")
    dtype = (config.sft if config.consolidation == "sft" else config.grpo).weights_dtype
    with current.run.bar(current.index, FOLDER, len(paths), "checkpoints") as advance:
        return mean_policy(paths, dtype, advance)


def mean_policy(shares: Mapping[str, float], dtype: str, advance: Callable[[int], None] = lambda done: None) -> Made:
    """A model whose weights are a weighted mean of those of several checkpoints, on the CPU, and the last one's tokenizer.

    shares: of each checkpoint (a folder or a Hub id); they sum to 1. dtype: of the result; the mean is taken in float32, with one more
    model in memory. Raises RoundError where the checkpoints are not of one shape.
    """
    *others, (last, share) = shares.items()
    model, tokenizer = load_policy(last, "float32")
    weights, total = dict(model.named_parameters()), share  # tied weights once
    advance(1)
    for path, share in others:
        other = dict(load_policy(path, dtype)[0].named_parameters())
        if {name: w.shape for name, w in weights.items()} != {name: w.shape for name, w in other.items()}:
            said = f"{last} and {path} have weights of different names or shapes, and teacher.decay takes their mean"
            raise RoundError(f"{said}: set it to 0 or 1, in a run_dir of its own")
        total += share
        with torch.no_grad():
            for name, weight in weights.items():
                weight.lerp_(other[name].float(), share / total)
        del other  # before the next one is loaded
        advance(1)
    return model.to(getattr(torch, dtype)), tokenizer
