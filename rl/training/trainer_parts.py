"""What GRPO and SFT training share: optimizer arguments, the log of a step, quiet libraries, the end of a trainer."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from probing.memory import free_memory, trim_heap
from probing.models.loading import multiplies_bfloat16
from probing.samplers.base import Progress
from rl.config.training import OptimizerSection, per_pass
from rl.models.checkpoints import mark_complete
from rl.ranks.ranks import deepspeed_launched, distributed_state


def optimizer_arguments(config: OptimizerSection, seed: int, batch: int) -> dict[str, Any]:
    """Training arguments that GRPO and SFT share. ValueError where the batch cannot be cut evenly.

    batch: samples of one optimizer step over all processes.
    """
    world = distributed_state().num_processes
    micro, passes = per_pass(batch, config.micro_batch, world)
    on_gpu = torch.cuda.is_available()
    in_bfloat16 = compute_dtype(config) == torch.bfloat16
    return {
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": passes,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.lr_schedule,
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1} if config.lr_schedule == "cosine_with_min_lr" else None,
        "warmup_steps": config.warmup,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "adam_beta2": config.adam_beta2,
        "optim": config.optimizer,
        "gradient_checkpointing": config.gradient_checkpointing,
        "bf16": in_bfloat16,
        "use_cpu": not on_gpu and not deepspeed_launched(),  # accelerate leaves DeepSpeed out where this is true
        "ddp_backend": "gloo" if world > 1 and not on_gpu else None,
        "seed": seed % 2**31,
        "data_seed": seed % 2**31,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "save_total_limit": 2,  # the newest may be half-written when we are killed
        "dataloader_pin_memory": on_gpu,
        "ddp_find_unused_parameters": False,
        "ddp_broadcast_buffers": False,  # they are constants; ranks make different numbers of passes, and would wait for one another
    }


def compute_dtype(config: OptimizerSection) -> torch.dtype:
    """The dtype in which training's matrix products are computed here: see `compute_dtype` of the config."""
    if torch.cuda.is_available():
        return torch.float32 if config.compute_dtype == "float32" else torch.bfloat16
    return torch.bfloat16 if config.compute_dtype == "bfloat16" and multiplies_bfloat16(torch.device("cpu")) else torch.float32


TRIM_SECONDS = 10.0  # at least, between two times that the heap's free pages go back to the system


class StepCallback(TrainerCallback):
    """Hands each step's figures to the run's log, advances the progress bar, marks checkpoints as complete, keeps the heap from growing.

    progress: called after every step, also for those that a resumed training finds made, with the time that is left at the pace of this
    process's own steps.
    state: called when a checkpoint is marked; returns what the trainer's own checkpoint lacks (JSON).
    """

    def __init__(
        self,
        log: Callable[[dict[str, Any]], None],
        progress: Progress | None,
        state: Callable[[], dict[str, Any]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log, self.progress, self.extra_state, self.clock = log, progress, state, clock
        self.found, self.begun = 0, clock()  # steps made before this process, and when it began
        self.trimmed = self.begun

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.found, self.begun = state.global_step, self.clock()
        if self.progress is not None and self.found:
            self.progress(self.found, 0, math.inf)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if state.is_world_process_zero and logs and "loss" in logs:
            self.log(step_figures(logs, state.global_step))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._trim()
        if self.progress is not None:
            pace = (self.clock() - self.begun) / (state.global_step - self.found)
            self.progress(1, 0, pace * (state.max_steps - state.global_step))

    def on_substep_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._trim()  # a step of a large model takes minutes

    def _trim(self) -> None:
        if self.clock() - self.trimmed > TRIM_SECONDS:
            trim_heap()
            self.trimmed = self.clock()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        distributed_state().wait_for_everyone()  # every rank has written its part
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


@contextmanager
def repeatable_sums() -> Iterator[None]:
    """On a CPU, gradients of repeated rows (prompts that a group shares) are added up in one order, not as threads come to them: else two
    runs of one seed part in the last bit of the first step. On a GPU it would cost speed, and the samplers there differ anyway.
    """
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if not torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)


@contextmanager
def sound_attention() -> Iterator[None]:
    """Without cuDNN's attention, torch's default on H100 and H200. From torch 2.11 on its backward pass gives NaN for a masked batch of a
    width that leaves 64 when divided by 128, where a head's scores lie far below zero, as one of Qwen2.5-0.5B's does (pytorch issue 196678,
    trl issue 7181). The flash and memory-efficient kernels take its place.
    """
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


@contextmanager
def released_after(trainer: Trainer) -> Iterator[None]:
    """At the end of the block, also after an error, `trainer` is emptied: its memory is free for the engine that samples next."""
    try:
        yield
    finally:
        generation: Any = getattr(trainer, "vllm_generation", None)
        if hasattr(generation, "llm"):  # colocated: TRL starts an engine in this process, and never ends it
            generation.llm.llm_engine.engine_core.shutdown()
        del generation
        trainer.accelerator.free_memory()  # it ends DeepSpeed's engine too
        vars(trainer).clear()  # else what refers to a trainer keeps a model: callbacks, an exception's traceback
        free_memory()
