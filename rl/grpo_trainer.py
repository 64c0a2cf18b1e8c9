"""TRL's GRPOTrainer with what a round adds: batch-wide rewards, a reference on demand, resumable checkpoints, quiet logs.

Not a trainer of its own: sampling, loss, optimizer and distribution are TRL's. Our parts enter through its
`rollout_func`, reward functions, `log_metric` and callbacks, and one override that runs between steps.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from accelerate.utils import gather_object
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import GRPOTrainer
from trl.models import prepare_deepspeed, prepare_fsdp
from trl.trainer.utils import add_fused_lm_head

from rl.checkpoints import load_policy, mark_complete
from rl.rollouts import PolicyRollouts
from rl.scoring import BatchScores, RolloutScorer

KL_ROWS = 32  # rollouts of a rank that the KL from the round's start is measured on


class BatchRewards:
    """TRL's reward functions, both read from one scoring of the whole batch.

    What they return is already normalised within its group (`rewards.mixed`), so TRL only weighs and adds. None marks a rollout
    that could not be scored: TRL gives it no advantage.
    """

    def __init__(self, scorer: RolloutScorer, rollouts: PolicyRollouts) -> None:
        self.scorer, self.rollouts = scorer, rollouts
        self.batch: BatchScores | None = None  # the step's whole batch, all ranks
        self._local = slice(0, 0)

    def execution_consensus(self, *, problem_id: list[str], trainer_state: TrainerState, log_metric: Any, **_: Any) -> list[float | None]:
        """Scores the batch (called first) and returns the consensus part of this rank's rollouts."""
        completions = self.rollouts.last
        assert len(completions) == len(problem_id)
        self.batch = self.scorer.score(problem_id, completions, self.rollouts.group_size, trainer_state.global_step, gather_object)
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        self._local = slice(rank * len(completions), (rank + 1) * len(completions))
        for name, value in self.batch.metrics.items():
            log_metric(name, value)
        return [s.reward.consensus_normed if s.reward.total is not None else None for s in self.batch.scores[self._local]]

    def quality_probe(self, **_: Any) -> list[float | None]:
        """The probe's part, of the same scoring."""
        assert self.batch is not None
        return [s.reward.probe_normed if s.reward.total is not None else None for s in self.batch.scores[self._local]]

    @property
    def weights(self) -> list[float]:
        """w_c and, with a probe, w_q · g at the moment."""
        mixed = self.scorer.mixed
        return [mixed.w_consensus] + ([mixed.w_quality * self.scorer.gate] if self.scorer.quality is not None else [])


class PolicyTrainer(GRPOTrainer):
    """GRPOTrainer for one round. `start` is the folder of the round's starting policy."""

    def __init__(self, *args: Any, start: Path | str, rewards: BatchRewards, measure_kl_every: int, **kwargs: Any) -> None:
        self.start, self.rewards, self.measure_kl_every = start, rewards, measure_kl_every
        self._reference: Any = None  # the frozen start, wrapped as the backend wants it
        self.next_beta: float | None = None  # a KL weight that takes effect with the next batch of rollouts
        super().__init__(*args, **kwargs)

    def _send_telemetry(self) -> None:
        """A run tells nobody about itself."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Intermediate checkpoints need no model card (TRL's costs a template and a look at the network)."""

    @property
    def policy(self) -> PreTrainedModel:
        """The live policy, unwrapped."""
        assert isinstance(self.model, PreTrainedModel)
        return self.model

    def reference(self) -> Any:
        """The round's starting policy, frozen, loaded at first use (TRL loads it only when beta starts above 0)."""
        if self.ref_model is not None:
            return self.ref_model
        if self._reference is None:
            model, _ = load_policy(self.start, str(self.policy.dtype).removeprefix("torch."))
            model.eval().requires_grad_(False)
            add_fused_lm_head(model, temperature=self.temperature)
            if self.is_deepspeed_enabled:
                self._reference = prepare_deepspeed(model, self.accelerator)
            elif self.is_fsdp_enabled:
                self._reference = prepare_fsdp(model, self.accelerator)
            else:
                self._reference = self.accelerator.prepare_model(model, evaluation_mode=True)
        return self._reference

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        if self.next_beta is not None:
            self.beta, self.next_beta = self.next_beta, None
            self.ref_model = self.reference() if self.beta > 0 else None
        self.reward_weights = torch.tensor(self.rewards.weights)
        output = super()._generate_and_score_completions(inputs)
        if self.measure_kl_every and self.beta == 0 and self.state.global_step % self.measure_kl_every == 0:
            self._metrics["train"]["kl"].append(self._kl_from_start(output))
        return output

    def _kl_from_start(self, batch: dict[str, torch.Tensor]) -> float:
        """KL(policy || start) in nats a token, over all ranks: Schulman's k3 on up to KL_ROWS rollouts of each rank."""
        ids_BL = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)[:KL_ROWS]
        mask_BL = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)[:KL_ROWS]
        mask_BT = batch["completion_mask"][:KL_ROWS]
        with torch.no_grad():
            policy_BT, _, _ = self._get_per_token_logps_and_entropies(self.model, ids_BL, mask_BL, mask_BT.size(1))
            start_BT, _, _ = self._get_per_token_logps_and_entropies(self.reference(), ids_BL, mask_BL, mask_BT.size(1))
        gap_BT = (start_BT - policy_BT).float()
        k3_BT = (torch.exp(gap_BT) - gap_BT - 1) * mask_BT
        total, count = self.accelerator.reduce(torch.stack([k3_BT.sum(), mask_BT.sum().float()]), reduction="sum").tolist()
        return total / max(count, 1.0)


class StepCallback(TrainerCallback):
    """Hands each step's figures to the run's log, advances the progress bar, marks checkpoints as complete.

    state: called when a checkpoint is marked; returns what the trainer's own checkpoint lacks (JSON).
    """

    def __init__(
        self, log: Callable[[dict[str, Any]], None], progress: Callable[[int], None] | None, state: Callable[[], dict[str, Any]]
    ) -> None:
        self.log, self.progress, self.extra_state = log, progress, state

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if state.is_world_process_zero and logs and "loss" in logs:
            self.log(step_figures(logs, state.global_step))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.progress is not None:
            self.progress(1)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            mark_complete(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}", self.extra_state())


# TRL's figure -> ours; what is not named here is left out of the log (our own figures pass through)
RENAMED = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "entropy": "entropy",  # mean token entropy, nats
    "kl": "kl",  # from the round's start, nats a token
    "reward": "reward",
    "step_time": "seconds",
    "completions/clipped_ratio": "truncated",
    "clip_ratio/region_mean": "clip_ratio",
    "epoch": "",
}
DROPPED = (
    "rewards/",
    "completions/",
    "clip_ratio/",
    "reward_std",
    "frac_reward_zero_std",
    "num_tokens",
    "cispo_clip_ratio",
    "total_flos",
    "train_",
)


def step_figures(logs: dict[str, Any], step: int) -> dict[str, Any]:
    """One flat record for the run's log; missing figures are None, never 0."""
    record: dict[str, Any] = {"step": step}
    for name, value in logs.items():
        ours = RENAMED.get(name, "" if name.startswith(DROPPED) else name)
        if ours:
            record[ours] = None if isinstance(value, float) and value != value else value
    return record


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence what the training libraries say that a user can do nothing about; errors still come through.

    TRL warns that `rollout_func` is experimental and once for every unscorable rollout (we count those); torch warns about pinned
    memory without a GPU; transformers prints its own progress and config differences.
    """
    levels = {name: logging.getLogger(name).level for name in ("trl", "accelerate", "transformers")}
    bars = datasets.are_progress_bars_disabled()
    verbosity = transformers.logging.get_verbosity()
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        datasets.disable_progress_bars()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*rollout_func.*experimental")
            warnings.filterwarnings("ignore", message=".*pin_memory.*")
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        transformers.logging.set_verbosity(verbosity)
        transformers.logging.enable_progress_bar()
        if not bars:
            datasets.enable_progress_bars()
