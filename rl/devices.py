"""What a config asks of the machine, checked before any work: libraries that are extras, and what a CPU cannot do."""

from __future__ import annotations

import importlib.util
import warnings

import torch
from accelerate.utils import DistributedType
from trl.import_utils import is_vllm_available

from probing.samplers.engines.int8 import why_not_int8
from rl.config.schema import Config
from rl.config.training import per_pass
from rl.console import UserError, warn
from rl.evals.engine import sampling_of
from rl.ranks.ranks import deepspeed_launched, distributed_state


def check_devices(config: Config) -> None:
    """Raises UserError for a backend whose library is not there, or that this machine cannot run as it was launched.

    Warns of a vLLM that TRL was not made for.
    """
    wanted = {
        "vllm": ("vllm", config.sampling.backend == "vllm" or config.grpo.rollouts != "policy", "sampling.backend or grpo.rollouts"),
        "ray": ("ray", config.sampling.backend == "ray", "sampling.backend"),
        "ray, to execute": ("ray", config.execution.backend == "ray", "execution.backend"),
        "deepspeed": ("deepspeed", deepspeed_launched(), "accelerate's config (distributed_type: DEEPSPEED)"),
    }
    for library, needed, where in wanted.values():
        if needed and importlib.util.find_spec(library) is None:
            raise UserError(f"{library} is not installed", where, f"pip install 'ucoder[{library}]', or choose another backend")
    evaluated = sampling_of(config.evals, config.sampling)
    for where, sampling in (("sampling.weights", config.sampling), ("evals.dtype", evaluated)):
        if sampling.weights == "int8" and (reason := why_not_int8(sampling.backend, sampling.device)) is not None:
            raise UserError(reason, where, "leave it at its default")
    training = "cuda" if torch.cuda.is_available() else "cpu"
    if config.grpo.rollout_weights == "int8" and (reason := why_not_int8("transformers", training)) is not None:
        raise UserError(reason, "grpo.rollout_weights", "set it to full")
    if config.grpo.rollouts == "vllm_colocate" and not torch.cuda.is_available():
        raise UserError(
            "vLLM cannot be given new weights on a CPU: its weights there have no weight_loader, which TRL's colocate mode needs, and an "
            "in-place reload keeps old ones while it reports success; every step after the first would train on an old policy's rollouts",
            "grpo.rollouts",
            "set grpo.rollouts: policy (sampling.backend: vllm works on a CPU: it starts a fresh engine for each checkpoint)",
        )
    if torch.cuda.device_count() > 1 and distributed_state().distributed_type is DistributedType.NO:
        raise UserError(
            f"one process sees {torch.cuda.device_count()} GPUs, and would spread its training over them in a way that TRL refuses",
            "how the run is launched",
            "for one GPU: accelerate launch --quiet --config_file configs/accelerate/one_gpu.yaml, or CUDA_VISIBLE_DEVICES=0; "
            "for all of them: --config_file configs/accelerate/zero2.yaml, or zero3.yaml from 4 B parameters",
        )
    check_batches(config, distributed_state().num_processes)
    if config.sampling.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"sampling.device is {config.sampling.device}, but there is no CUDA device", "sampling.device", "set it to auto")
    if config.grpo.rollouts != "policy" and distributed_state().is_main_process and (said := trl_on_vllm()) is not None:
        warn(f"grpo.rollouts is {config.grpo.rollouts}, which is TRL's: {said} sampling.backend: vllm is ours, and does not depend on that")


def check_batches(config: Config, processes: int) -> None:
    """Raises UserError where the processes of the launch cannot share a batch that the config trains on."""
    steps = config.consolidation.split("+")
    batches = {"grpo": ("grpo.rollouts_per_step", config.grpo.rollouts_per_step), "sft": ("sft.batch", config.sft.batch)}
    optimizers = {"grpo": config.grpo, "sft": config.sft}
    asked = [(step, *batches[step]) for step in steps]
    if config.proposer is not None and config.proposer.batch is not None:  # else the batch of the step whose optimizer it has
        asked.append(("grpo" if "grpo" in steps else "sft", "proposer.batch", config.proposer.batch))
    for step, name, batch in asked:
        try:
            per_pass(batch, optimizers[step].micro_batch, processes, (name, f"{step}.micro_batch"))
        except ValueError as error:
            what, _, remedy = str(error).partition(": ")
            raise UserError(what, f"{name} and {step}.micro_batch", f"{remedy}; or launch another number of processes") from None
    spanned = config.grpo.vllm_tensor_parallel
    if "grpo" in steps and config.grpo.rollouts == "vllm_colocate" and processes % spanned:
        remedy = f"set it to a divisor of {processes}, or launch a multiple of {spanned} processes"
        raise UserError(f"vLLM engines of {spanned} processes each do not fit {processes}", "grpo.vllm_tensor_parallel", remedy)


def trl_on_vllm() -> str | None:
    """What TRL has against the vLLM that is installed, with both versions; None where it supports it. Only its warning tells its range."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        is_vllm_available()
    return next((str(warning.message) for warning in caught if "vLLM" in str(warning.message)), None)
