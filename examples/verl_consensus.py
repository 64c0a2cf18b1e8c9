"""Execution consensus as verl's reward manager (verl 0.9: the reward loop, `verl.experimental.reward_loop`).

    pip install ucoder verl
    python -m verl.trainer.main_ppo algorithm.adv_estimator=grpo actor_rollout_ref.rollout.n=8 data.train_files=problems.parquet \\
        reward.num_workers=1 reward.reward_manager.source=importlib reward.reward_manager.name=ConsensusRewardManager \\
        reward.reward_manager.module.path=examples/verl_consensus.py trainer.val_before_train=False trainer.test_freq=-1 ...

verl hands samples to its reward workers one by one, each to any of them. Votes need whole groups: `run_single` waits until the
`rollout.n` samples of a prompt have arrived, and then has the group judged. So there must be one worker; its sandbox runs as many programs
at a time as the machine has cores. Validation is refused, since verl pads its batches and does not tell the worker which samples are
validation's: evaluate checkpoints apart (`ucoder eval`).

Rows need in `extra_info`, besides verl's own columns: "entry" (name of the function), "inputs" (a text of one list of arguments each) and
optionally "given".

verl has no mark for a missing reward. A sample that the sandbox lost gets the mean of its group's rewards, so that its advantage is about
0, and `missing` is 1 among the logged figures.
"""

from __future__ import annotations

import asyncio
from statistics import fmean
from typing import Any

from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from rewards import ConsensusReward

PATIENCE_SECONDS = 3600.0  # for a group's other samples: where one was never sent, the group fails instead of waiting forever

Scores = list[float | None]


class Group:
    """The samples of a prompt that have arrived so far (no dataclass: verl loads this file without registering it as a module)."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.verdict: asyncio.Future[asyncio.Task[Scores]] = asyncio.get_running_loop().create_future()  # set when the last is there


class ConsensusRewardManager(RewardManagerBase):
    """Judges groups of samples by execution consensus."""

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any, **_: Any) -> None:
        super().__init__(config, tokenizer, compute_score)
        if config.reward.num_workers != 1:
            raise ValueError("ConsensusRewardManager needs reward.num_workers=1: with more, a group's samples go to different workers")
        if config.trainer.val_before_train or config.trainer.test_freq > 0:
            raise ValueError("ConsensusRewardManager cannot judge validation: set trainer.val_before_train=False trainer.test_freq=-1")
        self.group_size = int(config.actor_rollout_ref.rollout.n)
        if self.group_size < 2:
            raise ValueError("a vote needs several samples of each prompt: set actor_rollout_ref.rollout.n, to 8 for example")
        self.consensus = ConsensusReward()
        self.groups: dict[str, Group] = {}  # by verl's uid of the prompt, those that are not complete

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Score of one sample, once its whole group is there. Raises TimeoutError where it never is."""
        row = data[-1]  # of several sequences of an agent, the last
        uid, extra = str(row.non_tensor_batch["uid"]), row.non_tensor_batch["extra_info"]
        group = self.groups.setdefault(uid, Group())
        place = len(group.answers)
        group.answers.append(self._answer(row))
        if len(group.answers) == self.group_size:
            del self.groups[uid]
            judging = asyncio.to_thread(self.consensus.score, group.answers, extra["entry"], extra["inputs"], extra.get("given") or "")
            group.verdict.set_result(asyncio.create_task(judging))
        task = await asyncio.wait_for(asyncio.shield(group.verdict), PATIENCE_SECONDS)
        scores = await asyncio.shield(task)
        reward, known = scores[place], [score for score in scores if score is not None]
        return {
            "reward_score": (fmean(known) if known else 0.0) if reward is None else reward,
            "reward_extra_info": {"missing": float(reward is None), "group_mean": fmean(known) if known else float("nan")},
        }

    def _answer(self, row: Any) -> str:
        """The text of a row's response, without padding."""
        responses = row.batch["responses"]
        length = int(row.batch["attention_mask"][-len(responses) :].sum())
        return self.tokenizer.decode(responses[:length], skip_special_tokens=True)
