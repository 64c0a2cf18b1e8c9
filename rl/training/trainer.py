"""TRL's GRPOTrainer with what a round adds: batch-wide rewards, a reference on demand, no work done twice.

Sampling, loss, optimizer and distribution stay TRL's. Where our parts enter TRL's public interface:
`rollout_func` (`rl.training.rollouts`), reward functions with `log_metric` and `trainer_state` (`BatchRewards`),
`reward_weights`, callbacks, `ref_model` and `beta`. What goes beyond that interface is listed here, for TRL
1.16; `tests/rl/training/test_trl_seams.py` fails when a name is gone, takes other arguments or is no longer called.

Overridden methods of GRPOTrainer and its bases:

- `_generate_and_score_completions`: once a batch of rollouts. Puts the reward weights and the KL weight
  (beta) of the moment in place before TRL reads them; afterwards it masks the rollouts that were cut off, and
  measures the KL from the round's start. TRL's own `mask_truncated_completions` stays off: it takes a rollout
  that a stop string ended for cut off. If TRL moves it: any method that runs once before the rewards of a batch
  are weighed, and returns prompt_ids, prompt_mask, completion_ids, completion_mask, num_items_in_batch,
  advantages and sampling_per_token_logps.
- `_compute_loss`: notes which rows have an advantage, so that the others run without a gradient, and the batch,
  whose advantages are weighed where the sampler was not the policy (`rl.training.importance`). If TRL moves it:
  whatever calls `_get_per_token_logps_and_entropies` with the batch at hand.
- `_get_per_token_logps_and_entropies`: runs each prompt once a group (`rl.training.shared_prefix`). Returns logprobs
  float[B, T], entropies float[B, T] and an auxiliary loss, here None. TRL reads the batch's advantages, [B] or
  [B, T], after this call. If TRL moves it: delete the override,
  check the speed, then find the new place of the forward pass. `tests/rl/training/test_shared_prefix.py` holds it
  against the plain pass.
- `create_optimizer` (of transformers' Trainer): gives the output norm's gain a learning rate of its own.
- `_send_telemetry`: does nothing here. If TRL moves it: look for what reports usage at the start of a
  trainer.
- `create_model_card`: does nothing here. TRL calls it for every checkpoint inside a round.

Private names that are read or written:

- `_metrics["train"]`: lists of figures, averaged into the next line of the log. Here for the KL, the share of
  rollouts that were cut off and the figures of the importance weights, in
  `rl.training.guard_callback` for the agreement on held-out problems; both are measured where no reward function, and
  so no `log_metric`, is at hand.
- `_entropy_bonus_enabled`: whether the loss has an entropy bonus; then rows without an advantage have a
  gradient too.
- `_last_loaded_step` (`rl.training.rollouts`, with TRL's vLLM only): the step whose weights vLLM holds. Before the
  guards sample, the weights are synchronised by `vllm_generation.sync_weights` as TRL does it, and the step
  is noted, so that TRL does not do it again.

Helpers: `prepare_deepspeed`, `prepare_fsdp` and `unwrap_model_for_generation` of `trl.models`;
`add_fused_lm_head` of `trl.trainer.utils`, whose head gives `log_probs` and `entropy` when a forward pass has
`fused_lm_head=True`. The SFT trainer (`rl.training.pair_trainer`) overrides `_send_telemetry` and `create_model_card`
for the same reasons, and `training_step` (one micro-batch forward and backward) and `_clip_grad_norm` (once a step,
before the optimizer) to leave out a step whose gradient is not finite.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object, is_peft_model
from transformers import PreTrainedModel, TrainerState
from trl import GRPOTrainer
from trl.models import prepare_deepspeed, prepare_fsdp
from trl.trainer.utils import add_fused_lm_head

from rl.models.checkpoints import load_policy
from rl.scoring.scores import BatchScores, RolloutScore
from rl.scoring.scoring import RolloutScorer
from rl.training.importance import importance_weights
from rl.training.rollouts import PolicyRollouts
from rl.training.shared_prefix import can_share_prefix, shared_prefix_logps

KL_ROWS = 32  # rollouts of a rank that the KL from the round's start is measured on


def output_norm_gain(policy: PreTrainedModel) -> torch.nn.Parameter:
    """The gain (D) of the norm before the output layer: it scales all logits, and so sets how sharp the policy's distribution is.

    Raises ValueError when the model has no such norm or does not train it (as with LoRA).
    """
    gain = getattr(getattr(policy.base_model, "norm", None), "weight", None)
    if not isinstance(gain, torch.nn.Parameter) or not gain.requires_grad:
        raise ValueError(
            f"grpo.output_norm_lr_scale: {type(policy).__name__} has no trainable output norm (`norm` of its base model); leave it at 1"
        )
    return gain


def give_own_rate(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter, scale: float) -> None:
    """Moves `parameter` into a group of its own, whose learning rate is `scale` times that of the group it comes from."""
    for group in list(optimizer.param_groups):
        others = [p for p in group["params"] if p is not parameter]
        if len(others) < len(group["params"]):
            group["params"] = others
            settings = {k: v for k, v in group.items() if k not in ("params", "lr")}
            optimizer.add_param_group({**settings, "params": [parameter], "lr": group["lr"] * scale})


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
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        self.batch = self.scorer.score(problem_id, completions, self.rollouts.group_size, trainer_state.global_step, gather_object, rank)
        self._local = slice(rank * len(completions), (rank + 1) * len(completions))
        for name, value in self.batch.metrics.items():
            log_metric(name, value)
        return [s.reward.consensus_normed if s.reward.total is not None else None for s in self.mine]

    def quality_probe(self, **_: Any) -> list[float | None]:
        """The probe's part, of the same scoring."""
        return [s.reward.probe_normed if s.reward.total is not None else None for s in self.mine]

    @property
    def mine(self) -> list[RolloutScore]:
        """The scores of this rank's rollouts, in row order."""
        assert self.batch is not None
        return self.batch.scores[self._local]

    @property
    def weights(self) -> list[float]:
        """w_c and, with a probe, w_q · g at the moment."""
        mixed = self.scorer.mixed
        return [mixed.w_consensus] + ([mixed.w_quality * self.scorer.gate] if self.scorer.quality is not None else [])


class PolicyTrainer(GRPOTrainer):
    """GRPOTrainer for one round.

    start: folder of the round's starting policy. measure_kl_every: steps between measurements of the KL from it, 0 for never.
    output_norm_lr_scale: learning rate of the output norm's gain, as a multiple of the others'. mask_truncated: leave rollouts that ended
    by the length limit out of the loss. importance_cap: largest weight policy / sampler of a token; None: the policy is the sampler.
    """

    def __init__(
        self,
        *args: Any,
        start: Path | str,
        rewards: BatchRewards,
        measure_kl_every: int,
        output_norm_lr_scale: float = 1.0,
        mask_truncated: bool = False,
        importance_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.start, self.rewards, self.measure_kl_every = start, rewards, measure_kl_every
        self.output_norm_lr_scale, self.mask_truncated, self.importance_cap = output_norm_lr_scale, mask_truncated, importance_cap
        self._weighed: dict[str, Any] | None = None  # the batch whose advantages are weighed once its logprobs are there
        self._reference: Any = None  # the frozen start, wrapped as the backend wants it
        self._active_B: torch.Tensor | None = None  # bool[B], rows of the batch that need a gradient; None: all
        self.next_beta: float | None = None  # a KL weight that takes effect with the next batch of rollouts
        super().__init__(*args, **kwargs)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """TRL's optimizer, with the gain of the output norm in a group of its own rate (`output_norm_lr_scale`)."""
        fresh = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(*args, **kwargs)
        if fresh and self.output_norm_lr_scale != 1.0:
            give_own_rate(optimizer, output_norm_gain(self.policy), self.output_norm_lr_scale)
        return optimizer

    def _send_telemetry(self) -> None:
        """Send nothing."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Intermediate checkpoints need no model card (TRL's costs a template and a look at the network)."""

    @property
    def policy(self) -> PreTrainedModel:
        """The live policy, unwrapped."""
        model: Any = self.model
        model = model.get_base_model() if is_peft_model(model) else model
        assert isinstance(model, PreTrainedModel)
        return model

    def reference(self) -> Any:
        """The round's starting policy, frozen, loaded at first use (TRL loads it only when beta starts above 0)."""
        if self.ref_model is not None:
            return self.ref_model
        if self._reference is None:
            # whole under FSDP: there every rank cuts its shard out of what it holds itself
            model, _ = load_policy(self.start, str(self.policy.dtype).removeprefix("torch."), sharded=self.is_deepspeed_enabled)
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
        self._note_truncated(output)
        if self.importance_cap is not None:
            self._metrics["train"]["copy_seconds"].append(self.rewards.rollouts.copy_seconds)
        due = self.measure_kl_every and self.beta == 0 and self.state.global_step % self.measure_kl_every == 0
        if due and (kl := self._kl_from_start(output)) is not None:
            self._metrics["train"]["kl"].append(kl)
        return output

    def _note_truncated(self, batch: dict[str, torch.Tensor]) -> None:
        """Which rollouts were cut off: into the log, and out of the loss where that is asked for. A stop string ends one as well."""
        mask_BT = batch["completion_mask"]
        finished_B = torch.tensor([c.finished for c in self.rewards.rollouts.last], device=mask_BT.device)
        cut: torch.Tensor = self.accelerator.gather(~finished_B)
        self._metrics["train"]["completions/clipped_ratio"][-1] = cut.float().mean().item()
        if self.mask_truncated:
            batch["completion_mask"] = mask_BT * finished_B[:, None]
            batch["num_items_in_batch"] = self.accelerator.gather(batch["completion_mask"].sum()).sum()

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        if self.importance_cap is not None:
            inputs = self._weighed = dict(inputs)
        if self.beta == 0 and not self._entropy_bonus_enabled:  # then a rollout without an advantage has no gradient
            self._active_B = inputs["advantages"] != 0
        try:
            return super()._compute_loss(model, inputs)
        finally:
            self._active_B = self._weighed = None

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> Any:
        bare = self.accelerator.unwrap_model(model)
        if not self._share_prefix or kwargs.get("compute_aux_loss"):
            found = super()._get_per_token_logps_and_entropies(model, input_ids, attention_mask, logits_to_keep, *args, **kwargs)
        else:
            backbone = (bare.get_base_model() if is_peft_model(bare) else bare).base_model
            with self.accelerator.autocast():
                logps, entropies = shared_prefix_logps(model, backbone, input_ids, attention_mask, logits_to_keep, self._active_B)
            found = logps, entropies, None
        if self._weighed is not None:
            self._weigh(self._weighed, found[0].detach())
        return found

    def _weigh(self, batch: dict[str, Any], logps_BT: torch.Tensor) -> None:
        """Turn the batch's advantages [B] into [B, T]: each token's, times its importance weight."""
        assert self.importance_cap is not None
        drawn_BT = logps_BT if batch.get("old_per_token_logps") is None else batch["old_per_token_logps"]  # of the policy that was copied
        weight_BT, figures = importance_weights(
            drawn_BT, batch["sampling_per_token_logps"], batch["completion_mask"], self.importance_cap, self.accelerator
        )
        batch["advantages"] = batch["advantages"][:, None] * weight_BT
        for name, value in figures.items():
            self._metrics["train"][name].append(value)

    @property
    def _share_prefix(self) -> bool:
        """Whether prompts may run once a group: not where parameters are sharded, nor where activations are recomputed."""
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        return not sharded and not self.args.gradient_checkpointing and can_share_prefix(self.policy)

    def _kl_from_start(self, batch: dict[str, torch.Tensor]) -> float | None:
        """KL(policy || start) in nats a token, over all ranks: Schulman's k3 on up to KL_ROWS rollouts of each rank.

        None where no token of them counts (`mask_truncated`).
        """
        ids_BL = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)[:KL_ROWS]
        mask_BL = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)[:KL_ROWS]
        mask_BT = batch["completion_mask"][:KL_ROWS]
        with torch.no_grad():
            policy_BT, _, _ = self._get_per_token_logps_and_entropies(self.model, ids_BL, mask_BL, mask_BT.size(1))
            start_BT, _, _ = self._get_per_token_logps_and_entropies(self.reference(), ids_BL, mask_BL, mask_BT.size(1))
        gap_BT = (start_BT - policy_BT).float()
        k3_BT = (torch.exp(gap_BT) - gap_BT - 1) * mask_BT
        total, count = self.accelerator.reduce(torch.stack([k3_BT.sum(), mask_BT.sum().float()]), reduction="sum").tolist()
        return total / count if count else None
