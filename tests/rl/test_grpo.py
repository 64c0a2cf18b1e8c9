from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from rewards.consensus import ConsensusConfig, get_rule
from rewards.mixed import MixedConfig
from rewards.records import Execution
from rewards.signatures import OutcomeMatrix
from rl.grpo import GrpoConfig, train_grpo
from rl.scoring import ConsensusSignal, GrpoTask, RolloutScorer
from tests.rl.fakes import LetterExecutor, value
from tests.rl.tiny import PlainSampler, save_tiny_policy

CONFIG = GrpoConfig(
    steps=6, group_size=4, rollouts_per_step=16, max_new_tokens=6, learning_rate=2e-2, save_every=2, lr_schedule="constant", warmup=0
)


def tasks() -> list[GrpoTask]:
    """The bank has voted for programs that hold an `a`."""
    bank = OutcomeMatrix.from_executions(
        [Execution((value("0:True"), value("1:True")))] * 3 + [Execution((value("0:False"), value("1:False")))]
    )
    return [GrpoTask(f"p{i}", "abcdefgh"[i:] + "b", "f", ("[1]", "[2]"), bank) for i in range(6)]


def scorer() -> RolloutScorer:
    signal = ConsensusSignal(get_rule(ConsensusConfig(rule="soft", anchor="bank")))
    return RolloutScorer(tasks(), LetterExecutor(), lambda text: text, signal, MixedConfig(w_quality=0.0))


def test_trains_and_leaves_an_ordinary_checkpoint(tmp_path: Path) -> None:
    policy = save_tiny_policy(tmp_path / "policy")
    records: list[dict] = []
    result = train_grpo(
        policy, tmp_path / "out", tasks(), scorer(), CONFIG.model_copy(update={"steps": 20}), 1, records.append, make_sampler=PlainSampler
    )
    print(json.dumps(records[0], indent=1))
    print([r["consensus"] for r in records])
    assert result.stopped_because is None
    AutoModelForCausalLM.from_pretrained(result.checkpoint)
    AutoTokenizer.from_pretrained(result.checkpoint)
