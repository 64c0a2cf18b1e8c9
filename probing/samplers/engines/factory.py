"""From a config to a sampler. Backends are imported only when chosen, so that none of them is needed by the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from probing.memory import trim_heap
from probing.samplers.base import Sampler
from probing.samplers.config import SamplingConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Loaded = tuple["PreTrainedModel", "PreTrainedTokenizerBase"]


def open_sampler(config: SamplingConfig, model_path: str, load: Callable[[], Loaded] | None = None) -> Sampler:
    """The sampler of `config.backend` on the checkpoint at `model_path` (a folder or a Hub id).

    load: gives the loaded checkpoint to the backend `transformers`, where the caller keeps one (default: it is loaded here, and where
    8-bit weights are sampled from only they are kept).
    Raises ModelError when there is no such checkpoint, SamplerError when the engine does not start.
    """
    match config.backend:
        case "vllm":
            from probing.samplers.engines.vllm import VllmSampler

            return VllmSampler(config, model_path)
        case "http":
            from probing.samplers.engines.http import HttpSampler
            from probing.samplers.engines.text_http import TextSampler

            return (TextSampler if config.http.text_only else HttpSampler)(config, model_path)
        case "ray":
            from probing.samplers.engines.ray import RaySampler

            return RaySampler(config, model_path, open_sampler)
        case "transformers":
            from probing.models.loading import load_model
            from probing.samplers.engines.int8 import sampling_model
            from probing.samplers.engines.transformers import TransformersSampler

            model, tokenizer = load() if load is not None else load_model(model_path, device=config.device, dtype=config.dtype)
            model = sampling_model(model, config.weights)
            trim_heap()  # a copy with 8-bit weights leaves the float ones behind: 5 GB with 1.5 billion parameters
            return TransformersSampler(model, tokenizer, batch_size=config.batch_size)
