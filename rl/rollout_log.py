"""Keeps the best and the worst rewarded rollouts of every step, with what their reward is made of, for a person to read.

round_01/grpo/rollouts.jsonl    the first rank's, a few lines a step
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from probing.samplers.base import Completion
from rl.grpo_trainer import BatchRewards
from rl.round_files import ROLLOUTS, read_rows, write_rows
from rl.scoring import RolloutScore

KEPT = 2  # rollouts of a step at each end


class RolloutLog(TrainerCallback):
    """Writes `folder/rollouts.jsonl`. Steps that a resumed training makes again replace what they left before."""

    def __init__(self, rewards: BatchRewards, folder: Path) -> None:
        self.rewards, self.path = rewards, folder / ROLLOUTS
        self.rows: list[dict[str, Any]] = []
        self._seen: object = None  # the batch last written: several optimizer steps may share one

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero and self.path.is_file():
            self.rows = [row for row in read_rows(self.path) if row["step"] <= state.global_step]

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero and self.rewards.batch is not self._seen:
            self._seen = self.rewards.batch
            self.rows += extremes(self.rewards.mine, self.rewards.rollouts.last, state.global_step)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_rows(self.path, self.rows)


def extremes(scores: Sequence[RolloutScore], completions: Sequence[Completion], step: int, kept: int = KEPT) -> list[dict[str, Any]]:
    """Rows of the `kept` best and worst rewarded rollouts, the best first; missing ones are neither."""
    known = [(score.reward.total, i) for i, score in enumerate(scores) if score.reward.total is not None]
    order = [i for _, i in sorted(known, key=lambda pair: (-pair[0], pair[1]))]
    chosen = order if len(order) <= 2 * kept else [*order[:kept], *order[-kept:]]
    return [_row(scores[i], completions[i], step) for i in chosen]


def _row(score: RolloutScore, completion: Completion, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "problem_id": score.problem_id,
        "reward": score.reward.total,
        "consensus": score.reward.consensus,
        "consensus_normed": score.reward.consensus_normed,
        "probe": score.reward.probe,
        "probe_normed": score.reward.probe_normed,
        "tokens": score.n_tokens,
        "outcomes": dict(Counter(outcome.kind.value for outcome in score.execution.outcomes)),
        "completion": completion.text,
    }
