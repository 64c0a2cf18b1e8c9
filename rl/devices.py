"""What a config asks of the machine, checked before any work: libraries that are extras, and what a CPU cannot do."""

from __future__ import annotations

import importlib.util

import torch

from rl.config import Config
from rl.console import UserError
from rl.ranks import deepspeed_launched


def check_devices(config: Config) -> None:
    """Raises UserError for a backend whose library is not there, or that this machine cannot run."""
    wanted = {
        "vllm": ("vllm", config.sampling.backend == "vllm" or config.grpo.rollouts == "vllm_colocate", "sampling.backend or grpo.rollouts"),
        "ray": ("ray", config.sampling.backend == "ray", "sampling.backend"),
        "ray, to execute": ("ray", config.execution.backend == "ray", "execution.backend"),
        "deepspeed": ("deepspeed", deepspeed_launched(), "accelerate's config (distributed_type: DEEPSPEED)"),
    }
    for library, needed, where in wanted.values():
        if needed and importlib.util.find_spec(library) is None:
            raise UserError(f"{library} is not installed", where, f"pip install 'ucoder[{library}]', or choose another backend")
    if config.grpo.rollouts == "vllm_colocate" and not torch.cuda.is_available():
        raise UserError(
            "vLLM cannot be given new weights on a CPU: its weights there have no weight_loader, which TRL's colocate mode needs, and an "
            "in-place reload keeps old ones while it reports success; every step after the first would train on an old policy's rollouts",
            "grpo.rollouts",
            "set grpo.rollouts: policy (sampling.backend: vllm works on a CPU: it starts a fresh engine for each checkpoint)",
        )
    if config.sampling.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"sampling.device is {config.sampling.device}, but there is no CUDA device", "sampling.device", "set it to auto")
