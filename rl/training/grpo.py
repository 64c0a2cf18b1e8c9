"""Stage 6, reinforcement: GRPO (Shao et al., arXiv 2402.03300) on execution consensus and the quality probe, through TRL.

    scorer = RolloutScorer(tasks, sandbox, read_voter, ConsensusSignal(get_rule(consensus)), mixed, quality)
    result = train_grpo(policy, folder, tasks, scorer, GrpoConfig(steps=50), seed=1, log=print)

`folder/trainer` holds resumable checkpoints while training lasts; `folder/checkpoint` appears once, whole, at the end.
Call it again after a kill and it goes on from the last complete checkpoint, to the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, set_seed
from trl import GRPOConfig as TrlConfig

from probing.models.loading import end_token_ids
from probing.samplers.base import Progress, Sampler, SamplingParams
from rl.config.training import GrpoConfig, GuardsConfig
from rl.models.checkpoints import discard, latest_complete, read_result, write_result
from rl.scoring.scoring import RolloutScorer
from rl.scoring.tasks import GrpoTask
from rl.training.adapters import copy_policy, load_for_training, save_trained
from rl.training.guard_callback import GuardCallback
from rl.training.rollout_log import RolloutLog
from rl.training.rollouts import PolicyRollouts, SamplerFactory, VllmRollouts, derive_seed
from rl.training.trainer import BatchRewards, PolicyTrainer
from rl.training.trainer_parts import (
    StepCallback,
    optimizer_arguments,
    quiet_libraries,
    released_after,
    repeatable_sums,
    sound_attention,
    step_figures,
)

__all__ = ["GrpoConfig", "GrpoResult", "GuardsConfig", "train_grpo"]


@dataclass(frozen=True)
class GrpoResult:
    """What a round's training left behind."""

    checkpoint: Path  # the policy to go on with
    history: list[dict[str, Any]]  # one record a step
    actions: list[dict[str, Any]]  # what the guards did, in order
    stopped_because: str | None  # the guard's cause when training ended early; None when all steps were made
    stop_run: bool = False  # a guard asked for the whole run to stop, not only the round


def default_sampler(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Sampler:
    """Our transformers sampler on the live policy."""
    from probing.samplers.engines.transformers import TransformersSampler

    return TransformersSampler(model, tokenizer)


def schedule(problem_ids: Sequence[str], steps: int, per_step: int, seed: int) -> list[str]:
    """The problems of every step in order: passes over all problems, each shuffled, so that each is met about equally often."""
    rng = np.random.default_rng(derive_seed(seed, "schedule"))
    order: list[str] = []
    while len(order) < steps * per_step:
        order += [problem_ids[i] for i in rng.permutation(len(problem_ids))]
    return order[: steps * per_step]


def train_grpo(
    policy_dir: Path | str,
    out_dir: Path,
    tasks: Sequence[GrpoTask],
    scorer: RolloutScorer,
    config: GrpoConfig,
    seed: int,
    log: Callable[[dict[str, Any]], None],
    guards: GuardsConfig | None = None,
    held_out: Sequence[GrpoTask] = (),
    progress: Progress | None = None,
    make_sampler: SamplerFactory = default_sampler,
) -> GrpoResult:
    """Train the policy of `policy_dir` for `config.steps` steps and write the result to `out_dir/checkpoint`.

    Every rank calls it. log: gets one record a step and one for each guard's action, on the first rank. guards: None trains
    unguarded. held_out: self-made problems, apart from `tasks`, on which guards watch agreement. progress: called with the steps
    just made (those found in a checkpoint at once). Raises ValueError for what the caller can mend, ScoringError when too many
    rollouts are missing.
    """
    done = read_result(out_dir)
    if done is not None:
        return GrpoResult(out_dir / "checkpoint", **done)
    if not tasks:
        raise ValueError("there is no problem to train on: every one fell outside the band of agreement, or none was made")
    with quiet_libraries(), repeatable_sums(), sound_attention():
        set_seed(seed % 2**31)
        arguments = _trl_config(config, seed, out_dir)  # first: under ZeRO-3 it has the model loaded in shards
        model, tokenizer, adapter = load_for_training(policy_dir, config)
        if arguments.use_vllm:
            arguments.generation_kwargs = what_ends(model, tokenizer, tasks[0].stop)
        params = SamplingParams(config.temperature, 1.0, config.max_new_tokens, tasks[0].stop)
        kind = PolicyRollouts if config.rollouts == "policy" else VllmRollouts
        rollouts = kind(make_sampler, params, config.group_size, seed, config.rollout_weights == "int8")
        rewards = BatchRewards(scorer, rollouts)
        by_id = {task.problem_id: task for task in tasks}
        order = schedule(list(by_id), config.steps // config.num_iterations, config.tasks_per_step, seed)
        guard = GuardCallback(guards or GuardsConfig(enabled=False), policy_dir, out_dir, log, held_out, scorer, rollouts, seed)
        trainer = PolicyTrainer(
            model=model,
            processing_class=tokenizer,
            reward_funcs=[rewards.execution_consensus] + ([rewards.quality_probe] if scorer.quality is not None else []),
            args=arguments,
            peft_config=adapter,
            train_dataset=Dataset.from_list([{"prompt": by_id[p].prompt, "problem_id": p} for p in order]),
            rollout_func=rollouts,
            start=policy_dir,
            rewards=rewards,
            measure_kl_every=guards.kl_every if guards is not None and guards.enabled else 0,
            output_norm_lr_scale=config.output_norm_lr_scale,
            mask_truncated=config.mask_truncated,
            importance_cap=config.importance_cap if config.rollout_weights == "int8" else None,
            callbacks=[guard, RolloutLog(rewards, out_dir), StepCallback(log, progress, guard.state)],
        )
        guard.trainer = trainer
        del model  # the trainer's alone from here on
        with released_after(trainer), closing(rollouts):
            trainer.remove_callback(PrinterCallback)
            found = latest_complete(out_dir / "trainer")
            if found is not None:
                guard.load_state(found[1])
            trainer.train(resume_from_checkpoint=str(found[0]) if found is not None else None)
            history = [step_figures(record, int(record["step"])) for record in trainer.state.log_history if "loss" in record]
            result = GrpoResult(out_dir / "checkpoint", history, guard.actions, guard.stopped_because, guard.stop_run)
            _finish(trainer, tokenizer, out_dir, guard, result, config)
    return result


def what_ends(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> dict[str, Any]:
    """What ends an answer, as vLLM takes it. The end tokens are those of our samplers: TRL's engine reads the folder's generation config,
    and a base model's does not name the token that its chat template ends a turn with."""
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    ends: dict[str, Any] = {"stop_token_ids": sorted(end_token_ids(base, tokenizer))}
    return ends | ({"stop": list(stop)} if stop else {})


def _trl_config(config: GrpoConfig, seed: int, out_dir: Path) -> TrlConfig:
    return TrlConfig(
        **optimizer_arguments(config, seed, config.rollouts_per_step),
        output_dir=str(out_dir / "trainer"),
        max_steps=config.steps,
        save_steps=config.save_every,
        num_generations=config.group_size,
        max_completion_length=config.max_new_tokens,
        temperature=config.temperature,
        beta=config.beta,
        epsilon=config.epsilon,
        epsilon_high=config.epsilon_high,
        loss_type=config.loss_type,
        scale_rewards=config.scale_rewards,
        num_iterations=config.num_iterations,
        entropy_coef=config.entropy_coef,
        shuffle_dataset=False,  # `schedule` has shuffled; a resumed run must meet the same order
        use_vllm=config.rollouts != "policy",
        vllm_mode="server" if config.rollouts == "vllm_server" else "colocate",
        vllm_gpu_memory_utilization=config.vllm_memory,
        vllm_tensor_parallel_size=config.vllm_tensor_parallel,
        vllm_server_base_url=config.vllm_url if config.rollouts == "vllm_server" else None,
    )


def _finish(
    trainer: PolicyTrainer,
    tokenizer: PreTrainedTokenizerBase,
    out_dir: Path,
    guard: GuardCallback,
    result: GrpoResult,
    config: GrpoConfig,
) -> None:
    """Write the round's checkpoint: the trained policy, or the one that a guard rolled back to. All ranks wait for it."""
    if guard.rolled_back_to is None:
        save_trained(trainer, tokenizer, result.checkpoint, config.lora)
    elif trainer.is_world_process_zero():
        copy_policy(guard.rolled_back_to, result.checkpoint, config)
    if trainer.is_world_process_zero():
        write_result(out_dir, {name: value for name, value in vars(result).items() if name != "checkpoint"})
        discard(out_dir / "trainer")
        discard(guard.best_folder)
    trainer.accelerator.wait_for_everyone()
