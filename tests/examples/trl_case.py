"""One optimizer step of TRL's trainer on `ConsensusReward`: `accelerate launch ... tests/examples/trl_case.py OUT` runs it on every rank.

Each rank leaves OUT/rank_R.json: the rows that TRL gave the reward function there, and the rewards.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig, GRPOTrainer

from examples.trl_grpo import SEEDLING, problems
from rewards import ConsensusReward
from rewards.sandbox import SandboxConfig


class Recorded(ConsensusReward):
    """Keeps what it was asked and what it said."""

    rows: dict[str, Any]

    def __call__(self, prompts: Any, completions: Any, completion_ids: Any = None, **columns: Any) -> list[float | None]:
        rewards = super().__call__(prompts, completions, completion_ids, **columns)
        asked = {"prompts": prompts, "completions": completions, "entry": columns["entry"], "inputs": columns["inputs"]}
        self.rows = asked | {"rewards": rewards}
        return rewards


def main(out: Path) -> None:
    with Recorded(sandbox=SandboxConfig(workers=1)) as consensus:
        trainer = GRPOTrainer(
            model=str(SEEDLING / "weights"),
            reward_funcs=consensus,
            args=GRPOConfig(
                output_dir=str(out / "trainer"),
                num_generations=8,
                per_device_train_batch_size=12,  # of two ranks: 3 groups of 8, the second of which lies on both
                max_completion_length=96,
                max_steps=1,
                save_strategy="no",
                report_to=[],
                use_cpu=True,
                bf16=False,
            ),
            train_dataset=problems(8),
        )
        trainer.train()
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    (out / f"rank_{rank}.json").write_text(json.dumps(consensus.rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
