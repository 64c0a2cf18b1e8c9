"""Keeps what every rollout's reward is made of, and the text of the best and the worst of every step, for a person to read.

round_01/grpo/rewards.jsonl     a line a rollout, of all ranks, without its text
round_01/grpo/rollouts.jsonl    the first rank's extremes, a few lines a step
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from probing.samplers.base import Completion
from rl.round_files import ROLLOUTS, read_rows, write_rows
from rl.scoring.scores import RolloutScore
from rl.training.trainer import BatchRewards

REWARDS = "rewards.jsonl"
KEPT = 2  # rollouts of a step at each end


class RolloutLog(TrainerCallback):
    """Writes both files into `folder`. Steps that a resumed training makes again replace what they left before."""

    def __init__(self, rewards: BatchRewards, folder: Path) -> None:
        self.rewards, self.path, self.all = rewards, folder / ROLLOUTS, folder / REWARDS
        self.rows: list[dict[str, Any]] = []
        self._seen: object = None  # the batch last written: several optimizer steps may share one

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero and self.path.is_file():
            self.rows = [row for row in read_rows(self.path) if row["step"] <= state.global_step]
        if state.is_world_process_zero and self.all.is_file():
            lines = self.all.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last line break was cut off by a kill
            write_rows(self.all, (row for row in map(json.loads, lines) if row["step"] <= state.global_step))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero and self.rewards.batch is not None and self.rewards.batch is not self._seen:
            self._seen = self.rewards.batch
            self.rows += extremes(self.rewards.mine, self.rewards.rollouts.last, state.global_step)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_rows(self.path, self.rows)
            with self.all.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(_row(score, state.global_step)) + "\n" for score in self.rewards.batch.scores)


def extremes(scores: Sequence[RolloutScore], completions: Sequence[Completion], step: int, kept: int = KEPT) -> list[dict[str, Any]]:
    """Rows of the `kept` best and worst rewarded rollouts, the best first; missing and contested ones are neither."""
    known = [(score.reward.total, i) for i, score in enumerate(scores) if score.reward.total is not None]
    order = [i for _, i in sorted(known, key=lambda pair: (-pair[0], pair[1]))]
    chosen = order if len(order) <= 2 * kept else [*order[:kept], *order[-kept:]]
    return [_row(scores[i], step) | {"completion": completions[i].text} for i in chosen]


def _row(score: RolloutScore, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "problem_id": score.problem_id,
        "reward": score.reward.total,
        "consensus": score.reward.consensus,
        "consensus_normed": score.reward.consensus_normed,
        "probe": score.reward.probe,
        "probe_normed": score.reward.probe_normed,
        **({"contested": True} if score.reward.contested else {}),
        "tokens": score.n_tokens,
        "outcomes": dict(Counter(outcome.kind.value for outcome in score.execution.outcomes)),
    }
