"""`examples/verl_consensus.py` in verl's own reward worker: whole groups vote, however their samples arrive."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REASON = "verl is not installed here, or not with what its reward loop imports: pip install verl"
reward_loop = pytest.importorskip("verl.experimental.reward_loop.reward_loop", reason=REASON, exc_type=ImportError)

import torch  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402
from tensordict import TensorDict  # noqa: E402
from verl import DataProto  # noqa: E402

ROOT = Path(__file__).parents[2]
WEIGHTS = str(ROOT / "seedling" / "weights")
ANSWERS = {
    "a": ["def f(x):\n    return 2 * x", "def f(x):\n    return x + x", "def f(x):\n    return x * x"],
    "b": ["def f(x):\n    return x", "I do not know.", "def f(x):\n    return -x"],
}
WANTED = {"a": [2 / 3, 2 / 3, 1 / 3], "b": [0.0, 0.0, 0.0]}


def config(**more: Any) -> DictConfig:
    reward = {
        "num_workers": 1,
        "reward_manager": {
            "source": "importlib",
            "name": "ConsensusRewardManager",
            "module": {"path": str(ROOT / "examples" / "verl_consensus.py")},
        },
        "reward_model": {"enable": False},
        "custom_reward_function": {"path": None},
        "sandbox_fusion": None,
    }
    actor = {"model": {"tokenizer_path": WEIGHTS, "path": WEIGHTS}, "rollout": {"n": 3}}
    made = OmegaConf.create({"reward": reward, "actor_rollout_ref": actor, "trainer": {"val_before_train": False, "test_freq": -1}})
    for key, value in more.items():
        OmegaConf.update(made, key.replace("__", "."), value)
    return made


def batch(worker: Any, order: list[tuple[str, int]]) -> DataProto:
    """Samples as the agent loop sends them: responses padded on the right."""
    ids = [worker.input_tokenizer(ANSWERS[uid][i], add_special_tokens=False)["input_ids"] for uid, i in order]
    longest = max(map(len, ids))
    responses = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    masks = torch.tensor([[1, 1] + [1] * len(row) + [0] * (longest - len(row)) for row in ids])
    tensors = {"prompts": torch.ones(len(ids), 2, dtype=torch.long), "responses": responses, "attention_mask": masks}
    extra = {"entry": "f", "inputs": "[[1], [2], [30]]"}
    texts = {
        "uid": np.array([uid for uid, _ in order], dtype=object),
        "extra_info": np.array([extra] * len(order), dtype=object),
        "data_source": np.array(["ours"] * len(order), dtype=object),
    }
    return DataProto(batch=TensorDict(tensors, batch_size=len(ids)), non_tensor_batch=texts)


def score(order: list[tuple[str, int]], **more: Any) -> tuple[list[dict[str, Any]], torch.Tensor]:
    async def scored() -> tuple[list[dict[str, Any]], torch.Tensor]:
        worker = reward_loop.RewardLoopWorker(config(**more))
        data = batch(worker, order)
        found = await asyncio.wait_for(worker.compute_score_batch(data), 60)
        worker.reward_manager.consensus.close()
        return found, worker.reward_manager.assemble_rm_scores(data, [row["reward_score"] for row in found])

    return asyncio.run(scored())


@pytest.mark.parametrize("order", ["groups", "mixed"])
def test_groups_vote_whatever_the_order(order: str) -> None:
    samples = [(uid, i) for uid in ANSWERS for i in range(3)]
    if order == "mixed":
        samples = samples[::2] + samples[1::2]
    found, tensor = score(samples)
    assert [row["reward_score"] for row in found] == pytest.approx([WANTED[uid][i] for uid, i in samples])
    assert tensor.sum(dim=1).tolist() == pytest.approx([WANTED[uid][i] for uid, i in samples])  # at the last token of each response
    assert all(row["reward_extra_info"]["missing"] == 0 for row in found)


def test_a_missing_reward_is_the_groups_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewards.ConsensusReward.score", lambda *_: [1.0, None, 0.5])
    found, _ = score([("a", i) for i in range(3)])
    assert [row["reward_score"] for row in found] == [1.0, 0.75, 0.5]
    assert [row["reward_extra_info"]["missing"] for row in found] == [0.0, 1.0, 0.0]


def test_a_sample_that_never_comes_does_not_block_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = reward_loop.RewardLoopWorker  # loads the example's module under a name of its own: shorten the patience there
    made: list[Any] = []

    def short(self: Any, *args: Any) -> None:
        original(self, *args)
        made.append(self.reward_manager)
        self.reward_manager.run_single.__func__.__globals__["PATIENCE_SECONDS"] = 0.2

    original = worker.__init__
    monkeypatch.setattr(worker, "__init__", short)
    with pytest.raises(TimeoutError):
        score([("a", 0), ("a", 1)])


def test_an_error_reaches_every_sample_of_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise ValueError("no list of inputs")

    monkeypatch.setattr("rewards.ConsensusReward.score", fails)
    with pytest.raises(ValueError, match="no list of inputs"):
        score([("a", i) for i in range(3)])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"reward__num_workers": 8}, "reward.num_workers=1"),
        ({"trainer__val_before_train": True}, "validation"),
        ({"trainer__test_freq": 5}, "validation"),
        ({"actor_rollout_ref__rollout__n": 1}, "rollout.n"),
    ],
)
def test_settings_that_would_split_groups_are_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        score([("a", 0)], **more)


def test_nothing_known_is_not_a_number_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewards.ConsensusReward.score", lambda *_: [None, None, None])
    found, _ = score([("a", i) for i in range(3)])
    assert [row["reward_score"] for row in found] == [0.0] * 3
    assert all(math.isnan(row["reward_extra_info"]["group_mean"]) for row in found)
