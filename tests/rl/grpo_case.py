"""A small GRPO run on the tiny policy. As a script: `python tests/rl/grpo_case.py POLICY OUT` on every rank of an accelerate launch.

Each rank leaves OUT/rank_R.json: for every step the rewards that it saw for the whole batch, and the advantages of its own rows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rewards.clusters.signatures import OutcomeMatrix
from rewards.mixed import MixedConfig
from rewards.records import Execution
from rewards.rules.consensus import ConsensusConfig, get_rule
from rl.scoring.scores import BatchScores
from rl.scoring.scoring import RolloutScorer
from rl.scoring.tasks import ConsensusSignal, GrpoTask
from rl.training import grpo, shared_prefix
from rl.training.grpo import GrpoConfig
from rl.training.trainer import PolicyTrainer
from tests.rl.fakes import LetterExecutor, value
from tests.rl.tiny import PlainSampler

# 3 groups of 4 in a step: over 2 ranks of 6 rows the second group straddles
CONFIG = GrpoConfig(steps=3, group_size=4, rollouts_per_step=12, max_new_tokens=6, learning_rate=1e-2, save_every=2, lr_schedule="constant")


def make_tasks() -> list[GrpoTask]:
    """The bank has voted for programs that hold an `a`."""
    good, bad = Execution((value("0:True"), value("1:True"))), Execution((value("0:False"), value("1:False")))
    bank = OutcomeMatrix.from_executions([good, bad], weights=[3, 1])
    return [GrpoTask(f"p{i}", "abcdefgh"[i:] + "b", "f", ("[1]", "[2]"), bank) for i in range(6)]


class Likelihood:
    """A stand-in for the probe: how far down the alphabet the first letter is."""

    gate = 0.5

    def evidence(self, prompts: Any, completions: Any, codes: Any) -> list[float]:
        return [c.token_ids[0] / 20 for c in completions]

    def probability(self, centred_evidence: np.ndarray) -> np.ndarray:
        return 0.5 + centred_evidence / 10


class RecordingScorer(RolloutScorer):
    """Keeps the whole batch's rewards of every step."""

    def __init__(self, tasks: list[GrpoTask], anchor: str = "both", with_probe: bool = True) -> None:
        signal = ConsensusSignal(get_rule(ConsensusConfig(rule="soft", anchor=anchor)))
        mixed = MixedConfig(w_quality=0.5 if with_probe else 0.0)
        super().__init__(tasks, LetterExecutor(), lambda text, *_: text, signal, mixed, Likelihood() if with_probe else None)
        self.rewards: list[list[float | None]] = []

    def score(self, *args: Any, **kwargs: Any) -> BatchScores:
        batch = super().score(*args, **kwargs)
        self.rewards.append([s.reward.total for s in batch.scores])
        return batch


class RecordingTrainer(PolicyTrainer):
    """Keeps the advantages that TRL gave this rank's rows."""

    advantages: list[list[float]]

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        RecordingTrainer.advantages.append(output["advantages"].tolist())
        return output


def main(policy: Path, out: Path) -> None:
    RecordingTrainer.advantages = []
    grpo.PolicyTrainer = RecordingTrainer
    shared_prefix.CHUNK_ROWS = 1  # so that ranks, whose distinct rows differ in number, make different numbers of passes
    tasks = make_tasks()
    scorer = RecordingScorer(tasks)
    records: list[dict[str, Any]] = []
    grpo.train_grpo(policy, out / "grpo", tasks, scorer, CONFIG, 1, records.append, make_sampler=PlainSampler)
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    content = {"rewards": scorer.rewards, "advantages": RecordingTrainer.advantages, "log": records, "executed": scorer.n_executed}
    (out / f"rank_{rank}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
