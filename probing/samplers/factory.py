"""From a config to a sampler. Backends are imported only when chosen, so that none of them is needed by the others."""

from __future__ import annotations

from probing.samplers.base import Sampler
from probing.samplers.config import SamplingConfig


def open_sampler(config: SamplingConfig, model_path: str) -> Sampler:
    """The sampler of `config.backend` on the checkpoint at `model_path` (a folder or a Hub id). Raises ModelError when there is none."""
    from probing.models import load_model
    from probing.samplers.transformers import TransformersSampler

    model, tokenizer = load_model(model_path, device=config.device, dtype=config.dtype)
    return TransformersSampler(model, tokenizer, batch_size=config.batch_size)
