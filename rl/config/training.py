"""Config sections of stage 6: GRPO, SFT, the guards and the final choice. Light: no torch, so that `--help` and `plan` stay quick."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from probing.section import Section

Schedule = Literal["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_min_lr"]


def per_pass(batch: int, micro_batch: int | None, processes: int, keys: tuple[str, str] = ("batch", "micro_batch")) -> tuple[int, int]:
    """(samples of one pass on a device, passes of a step). Raises ValueError where the batch cannot be cut evenly, with what can.

    >>> per_pass(128, 8, 4)
    (8, 4)
    """
    name, micro_name = keys
    if batch % processes:
        below = batch // processes * processes
        fitting = " or ".join(str(value) for value in (below, below + processes) if value)
        raise ValueError(f"{name} ({batch}) cannot be shared by {processes} processes: make it a multiple of {processes}, say {fitting}")
    share = batch // processes
    micro = min(micro_batch or share, share)
    if share % micro:
        divisors = ", ".join(str(value) for value in range(1, share + 1) if share % value == 0)
        raise ValueError(
            f"{micro_name} ({micro}) does not divide each process's share of {name} ({share} of {batch}): choose one of {divisors}"
        )
    return micro, share // micro


class LoraSection(Section):
    """Training of low-rank adapters in place of all weights."""

    rank: int = Field(16, ge=1, description="rank of the adapters")
    alpha: float = Field(32.0, gt=0, description="their scale, divided by the rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before an adapter")
    targets: tuple[str, ...] | None = Field(None, description="names of the layers that get one; null: every linear layer but the head")
    checkpoint: Literal["merged", "adapter"] = Field(
        "merged", description="what a round leaves: whole weights, or the adapter alone, which the next round goes on training"
    )


class OptimizerSection(Section):
    """What GRPO and SFT share: the optimizer and its schedule."""

    learning_rate: float = Field(gt=0, description="peak learning rate")
    lr_schedule: Schedule = Field("constant_with_warmup", description="learning-rate schedule after warmup (name as in transformers)")
    warmup: int = Field(0, ge=0, description="steps of linear warmup from 0")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay")
    max_grad_norm: float = Field(1.0, gt=0, description="gradient norm at which gradients are clipped")
    optimizer: str = Field("adamw_torch_fused", description="optimizer (name as in transformers' `optim`)")
    adam_beta2: float = Field(0.999, gt=0, lt=1, description="AdamW's decay of the second moment; 0.95 to 0.99 suits short runs")
    micro_batch: int | None = Field(
        None, ge=1, description="samples per forward and backward pass on one device; null: the device's whole share at once"
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, about a third more time"
    )
    weights_dtype: Literal["float32", "bfloat16"] = Field("float32", description="dtype of the trained weights")
    compute_dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="dtype of the matrix products in training's passes (autocast); auto: bfloat16 on a GPU, float32 on a CPU. bfloat16 on "
        "a CPU is nearly twice as fast where it has instructions for it (AVX-512 BF16, AMX); where not: float32, with a warning",
    )
    lora: LoraSection | None = Field(None, description="train low-rank adapters; null: all weights")


class GrpoConfig(OptimizerSection):
    """Stage 6, reinforcement: GRPO on execution consensus and the quality probe."""

    learning_rate: float = Field(1e-6, gt=0, description="peak learning rate")
    output_norm_lr_scale: float = Field(
        1.0,
        gt=0,
        description="learning rate of the output norm's gain, as a multiple of `learning_rate`: this vector scales all logits, "
        "and a rate that suits matrices hardly moves it in a short run",
    )
    steps: int = Field(50, ge=1, description="optimizer steps a round")
    group_size: int = Field(8, ge=2, description="rollouts of one problem that are compared with one another (G)")
    rollouts_per_step: int = Field(128, ge=2, description="rollouts of one optimizer step, over all devices (the batch)")
    max_new_tokens: int = Field(512, ge=1, description="tokens a rollout may take")
    temperature: float = Field(1.0, gt=0, description="sampling temperature of rollouts; logprobs in the loss are tempered alike")
    beta: float = Field(0.0, ge=0, description="weight of the KL penalty towards the round's starting policy; 0 spares the reference model")
    epsilon: float = Field(0.2, gt=0, description="lower clipping range of the probability ratio")
    epsilon_high: float | None = Field(None, gt=0, description="upper clipping range; null: same as epsilon")
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo"] = Field("dapo", description="loss aggregation, as in TRL")
    scale_rewards: Literal["group", "batch", "none"] = Field(
        "group", description="what the mixed reward's advantage is divided by: std of its group, of the batch, or nothing"
    )
    num_iterations: int = Field(1, ge=1, description="optimizer steps made on each batch of rollouts")
    entropy_coef: float = Field(0.0, ge=0, description="weight of an entropy bonus in the loss")
    mask_truncated: bool = Field(False, description="leave rollouts that hit the length limit out of the loss")
    reward: Literal["label_free", "random", "oracle"] = Field(
        "label_free", description="what is rewarded; `random` and `oracle` are ablation arms, and oracle needs `oracle` in the run's name"
    )
    oracle_score: Literal["exact", "share"] = Field(
        "exact", description="oracle arm only: 1 if all reference outcomes match, or the share that does"
    )
    rollout_weights: Literal["full", "int8"] = Field(
        "full",
        description="weights that `rollouts: policy` draws from: the policy's own, or an 8-bit copy made anew after each step (x86 CPUs); "
        "the loss is then weighed by policy / copy for each token",
    )
    importance_cap: float = Field(
        2.0, gt=0, description="rollout_weights int8: largest weight policy / copy of a token in the loss (truncated importance sampling)"
    )
    rollouts: Literal["policy", "vllm_colocate", "vllm_server"] = Field(
        "policy", description="what draws rollouts: the live policy itself, or TRL's vLLM modes (on GPUs)"
    )
    vllm_memory: float = Field(0.3, gt=0, le=1, description="vllm_colocate: share of each GPU's memory that vLLM takes")
    vllm_tensor_parallel: int = Field(1, ge=1, description="vllm_colocate: GPUs that one vLLM engine spans")
    vllm_url: str = Field("http://127.0.0.1:8000", description="vllm_server: address of `trl vllm-serve`")
    max_missing: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of a step's rollouts, a round's programs or an evaluation's answers that may be missing (our failures) before "
        "the run stops",
    )
    save_every: int = Field(10, ge=1, description="optimizer steps between resumable checkpoints inside a round")

    @model_validator(mode="after")
    def _batch_holds_whole_groups(self) -> Self:
        if self.rollouts_per_step % self.group_size:
            fitting = self.rollouts_per_step // self.group_size * self.group_size or self.group_size
            raise ValueError(
                f"group_size ({self.group_size}) does not divide rollouts_per_step ({self.rollouts_per_step}): "
                f"a step must hold whole groups; set rollouts_per_step to a multiple of group_size, say {fitting}"
            )
        if self.save_every % self.num_iterations:
            fitting = self.num_iterations * max(1, self.save_every // self.num_iterations)
            raise ValueError(
                f"save_every ({self.save_every}) is not a multiple of num_iterations ({self.num_iterations}): a checkpoint between "
                f"two passes over a batch could not be resumed exactly; set save_every to {fitting}"
            )
        fixed = {"rollouts": "policy", "temperature": 1.0, "weights_dtype": "float32"}  # the copy's logprobs are those of temperature 1
        if self.rollout_weights == "int8" and (wrong := [name for name, value in fixed.items() if getattr(self, name) != value]):
            raise ValueError(
                f"rollout_weights int8 needs {wrong[0]} to be {fixed[wrong[0]]}, and it is {getattr(self, wrong[0])}: "
                "change it, or set rollout_weights to full"
            )
        if self.steps % self.num_iterations:
            raise ValueError(
                f"steps ({self.steps}) is not a multiple of num_iterations ({self.num_iterations}): the last rollouts would be half used"
            )
        return self

    @property
    def tasks_per_step(self) -> int:
        return self.rollouts_per_step // self.group_size


class SftConfig(OptimizerSection):
    """Stage 6, consolidation: the paper's supervised fine-tuning on the pick of the top cluster."""

    select: Literal["consensus", "unexecuted"] = Field(
        "consensus",
        description="which answers are learnt: the paper's pick of each winning cluster, or one finished answer a problem that was drawn "
        "without running any (the control that execution has to beat)",
    )
    learning_rate: float = Field(5e-6, gt=0, description="peak learning rate (paper: 5e-6)")
    lr_schedule: Schedule = Field("cosine", description="learning-rate schedule after warmup (paper: cosine)")
    epochs: int = Field(3, ge=1, description="passes over the selected pairs (paper: 3)")
    steps: int | None = Field(None, ge=1, description="optimizer steps, whatever `epochs` says; null: as many as the epochs take")
    batch: int = Field(128, ge=1, description="pairs of one optimizer step, over all devices (paper: 128)")
    max_length: int = Field(2048, ge=8, description="tokens of prompt and answer together; longer pairs are left out and counted")
    save_every: int = Field(50, ge=1, description="optimizer steps between resumable checkpoints inside a round")


class ProposerConfig(Section):
    """Stage 6, the proposer: one pass of policy gradient over the proposals of stage 1, rewarded by what became of them."""

    learning_rate: float | None = Field(None, gt=0, description="learning rate; null: that of GRPO, or of SFT where there is no GRPO")
    batch: int | None = Field(
        None, ge=1, description="proposals of one optimizer step, over all devices; null: grpo.rollouts_per_step, or sft.batch without GRPO"
    )
    steps: int | None = Field(None, ge=1, description="optimizer steps a round at most; null: as many as one pass over the proposals takes")


class TeacherConfig(Section):
    """Which model a round asks in stages 1 to 5: it invents and rates problems, writes test inputs, and its solutions vote."""

    decay: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the last round's teacher in this one's weights, the rest being the round's starting policy; "
        "0: that policy is the teacher; 1: the base is, in every round",
    )


class ChoiceConfig(Section):
    """Which round's checkpoint the run ends with.

    It is the latest round that agrees with the votes on problems kept apart no more than one standard error less than the best.
    """

    problems: int = Field(24, ge=0, description="problems of round 1 kept from training to compare checkpoints by; 0: take the last round")
    proposals: int = Field(
        0,
        ge=0,
        description="proposals (or rows of `problems.source`) that round 1 takes on top of problems.count, so that more can be kept apart: "
        "this share of its problems in the band, or a sixth where that is more",
    )
    samples: int = Field(16, ge=1, description="answers sampled for each of them, from every round's checkpoint")
    temperature: float | None = Field(
        None,
        ge=0,
        description="temperature of these answers; null: the rollouts'; 0: one greedy answer each, whose agreement does not rise with mere "
        "sharpness; give it many problems",
    )

    @property
    def draws(self) -> int:
        """Answers to each problem: one where decoding is greedy, since all would be the same."""
        return 1 if self.temperature == 0 else self.samples


GuardAction = Literal["lower_lr", "raise_kl", "mute_probe", "end_round", "roll_back", "stop"]


class GuardRule(Section):
    """One signal's limit, and what is done each time it is passed: the first action at first, then the next; the last repeats."""

    limit: float = Field(description="the limit; each guard says what it is compared with")
    actions: tuple[GuardAction, ...] = Field(min_length=1, description="what is done at the first trip, the second, …")


def _rule(limit: float, *actions: GuardAction) -> GuardRule:
    return GuardRule(limit=limit, actions=actions)


class GuardsConfig(Section):
    """Signals that need no labels, and what is done about them. A null guard is off.

    A loss that is not finite rolls back and stops, whatever is set here.
    """

    enabled: bool = Field(True, description="whether guards watch the training")
    warmup: int = Field(5, ge=1, description="first steps, whose means are the baseline that drifts are measured from")
    smoothing: float = Field(0.3, gt=0, le=1, description="weight of the newest step in each signal's moving average; 1 is no smoothing")
    cooldown: int = Field(5, ge=1, description="steps for which a guard that tripped stays silent, so that its action can work")
    entropy: GuardRule | None = Field(
        _rule(0.3, "raise_kl", "lower_lr", "end_round"), description="token entropy, as a share of its baseline: not below"
    )
    distinct: GuardRule | None = Field(
        _rule(0.3, "raise_kl", "end_round"), description="distinct behaviours a group, as a share of the baseline: not below"
    )
    majority: GuardRule | None = Field(
        _rule(0.98, "end_round"), description="mean share of a group's largest cluster: not above; nothing is left to learn there"
    )
    length: GuardRule | None = Field(
        _rule(1.5, "lower_lr", "end_round"), description="tokens a rollout against the baseline, the larger by the smaller: not above"
    )
    probe: GuardRule | None = Field(
        _rule(0.5, "mute_probe"), description="share of pairs within groups that the frozen probe orders as consensus does: not below"
    )
    kl: GuardRule | None = Field(
        _rule(0.5, "raise_kl", "lower_lr", "end_round"), description="KL from the round's start, nats a token: not above"
    )
    held_out: GuardRule | None = Field(
        _rule(0.05, "lower_lr", "roll_back"), description="agreement on held-out problems of the round, fall from its best: not above"
    )
    between_rounds: float | None = Field(
        0.05,
        gt=0,
        description="how far a round's agreement with round 1's votes (see choice) may fall below the best round's, if that is more than a "
        "standard error; beyond, the next round starts from that one's checkpoint; null: always from the last",
    )
    lr_factor: float = Field(0.5, gt=0, lt=1, description="what lower_lr multiplies the learning rate by")
    kl_factor: float = Field(2.0, gt=1, description="what raise_kl multiplies beta by")
    kl_start: float = Field(0.02, gt=0, description="the beta that raise_kl starts from where beta was 0")
    kl_every: int = Field(5, ge=0, description="steps between measurements of the KL from the round's start while beta is 0; 0: never")
    held_out_problems: int = Field(24, ge=0, description="problems of a round kept from training for the guards to watch, at most")
    held_out_every: int = Field(10, ge=1, description="steps between looks at the held-out problems")
    held_out_samples: int = Field(8, ge=1, description="rollouts of each held-out problem at each look")
