"""The model behind an evaluation: the samplers of training, in the evaluation's own precision.

    sampling = sampling_of(EvalsConfig(), SamplingConfig(backend="http"))     # float32, unless evals.dtype says otherwise
    check_engine(sampling, "Qwen/Qwen2.5-Coder-7B-Instruct")                  # a server that is not there: one screen, before any work

For `http`, the precision is whatever the server loaded.
"""

from __future__ import annotations

import importlib.util
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from probing.prompt import Question
from probing.samplers.base import Sampler
from probing.samplers.config import HttpConfig, SamplingConfig
from rl.config.evals import EvalsConfig
from rl.console import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GREETING_SECONDS = 10.0
EXTRAS = {"vllm": "pip install 'ucoder[vllm]'", "ray": "pip install 'ucoder[ray]'"}  # backends with a package of that name


def sampling_of(evals: EvalsConfig, sampling: SamplingConfig) -> SamplingConfig:
    """The settings of the sampler that an evaluation draws from: those given, in the precision of the evaluation."""
    return in_precision(evals.dtype, sampling)


def in_precision(dtype: str, sampling: SamplingConfig) -> SamplingConfig:
    """The settings given, with the weights in a precision of `evals.dtype`."""
    rounded = dtype == "int8"
    return sampling.model_copy(update={"dtype": "float32" if rounded else dtype, "weights": "int8" if rounded else "full"})


def precision(sampling: SamplingConfig, asked: bool = True) -> str:
    """The dtype that the weights are evaluated in, in words. asked: by this machine, which alone says what `auto` is."""
    from probing.models.loading import pick_device, pick_dtype

    if sampling.backend == "http":
        return "the server's"
    if sampling.weights == "int8":
        return "int8 weights"
    if not asked:
        return sampling.dtype
    return str(pick_dtype(sampling.dtype, pick_device(sampling.device))).removeprefix("torch.")


def how_sampled(sampling: SamplingConfig, asked: bool) -> dict[str, Any]:
    """What an evaluation's JSON says of the sampler. asked: whether the model is asked here; else nobody knows where it was."""
    if not asked:
        return {"backend": sampling.backend, "device": None, "hardware": None, "batch_size": None, "dtype": precision(sampling, asked)}
    kept = sampling.model_dump(mode="json", include={"backend", "device", "batch_size"})
    return kept | {"hardware": hardware(sampling), "dtype": precision(sampling)}


def hardware(sampling: SamplingConfig) -> str:
    """The card, or the CPU, that the samples are drawn on, in words."""
    import torch

    from probing.models.loading import pick_device

    if sampling.backend == "http":
        return "the server's"
    device = pick_device(sampling.device)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


@contextmanager
def engine_errors(model: str, too_long: str = "lower --max_new_tokens") -> Iterator[None]:
    """Turns what models, engines, prompt sets and sandboxes raise in the block into UserError.

    model: as the user named it. too_long: what to do where prompt and answer pass the model's length.
    """
    from probing.models.loading import ModelError
    from probing.prompts.templates import PromptSetError
    from probing.samplers.base import SamplerError
    from rewards.sandbox import SandboxError

    try:
        yield
    except (ModelError, SamplerError, SandboxError) as error:
        raise UserError(str(error), model) from None
    except PromptSetError as error:
        raise UserError(str(error), "--prompts", "see ucoder config --prompts") from None
    except ValueError as error:
        if isinstance(error, UserError) or "max_new_tokens" not in str(error):
            raise
        raise UserError(str(error), "command line", too_long) from None


def check_lengths(
    sampler: Sampler, tokenizer: PreTrainedTokenizerBase, name: str, questions: Sequence[Question], max_new_tokens: int
) -> None:
    """Raises PromptError for a question of the benchmark `name` that leaves no room for its answer, before anything is sampled.

    A sampler that does not know its model's length (`ray`, some servers) says so only when it is asked.
    """
    from probing.samplers.base import PromptError
    from probing.samplers.engines import requests
    from probing.samplers.engines.transformers import TransformersSampler

    if isinstance(sampler, TransformersSampler):
        limit = getattr(sampler.model.config, "max_position_embeddings", None)
    else:
        limit = getattr(sampler, "limit", None)
    if limit is None or not questions:
        return
    ids = tokenizer([question.text for question in questions], add_special_tokens=False)["input_ids"]
    try:
        requests.check_lengths(ids, max_new_tokens, limit, tokenizer, "model")
    except PromptError as error:
        raise PromptError(f"{name}: {error}") from None


def check_engine(sampling: SamplingConfig, model_path: str) -> None:
    """Raises UserError for a device, a package or a server that is not there, and for 8-bit weights where there are none."""
    from probing.models.loading import pick_device
    from probing.samplers.engines.int8 import why_not_int8

    try:
        pick_device(sampling.device)
    except (ValueError, RuntimeError) as error:
        raise UserError(str(error), "--device", "use auto, cpu, cuda or cuda:N") from None
    if sampling.weights == "int8" and (reason := why_not_int8(sampling.backend, sampling.device)) is not None:
        raise UserError(reason, "--dtype", "leave it at float32")
    if sampling.backend in EXTRAS and importlib.util.find_spec(sampling.backend) is None:
        remedy = EXTRAS[sampling.backend]
        raise UserError(f"the backend {sampling.backend} needs the package of that name, which is not installed", "--backend", remedy)
    if sampling.backend == "http":
        check_server(sampling.http, model_path)


def check_server(http: HttpConfig, model_path: str) -> dict[str, Any]:
    """What the server says of the model. Raises UserError when none answers at the address, or it has not the model."""
    name = http.model or model_path
    start = f"vllm serve {model_path} --generation-config vllm"
    headers = {"Authorization": f"Bearer {key}"} if (key := os.environ.get(http.key_variable)) else {}
    try:
        request = urllib.request.Request(f"{http.url.rstrip('/')}/models", headers=headers)
        with urllib.request.urlopen(request, timeout=GREETING_SECONDS) as answer:
            served = {str(model["id"]): dict(model) for model in json.load(answer)["data"]}
    except urllib.error.HTTPError as error:
        remedy = {
            401: f"put the server's key into ${http.key_variable}",
            403: f"put the server's key into ${http.key_variable}",
            404: "give the address up to and with /v1",
        }.get(error.code, "look into the server's log")
        raise UserError(f"the server at {http.url} answers with status {error.code}", "--url", remedy) from None
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        said = getattr(error, "reason", None) or error or type(error).__name__
        raise UserError(f"no OpenAI-compatible server answers at {http.url} ({said})", "--url", f"start one: {start}") from None
    if name not in served:
        remedy = f"name it as the server does with --http_model, or start one with it: {start}"
        raise UserError(f"the server at {http.url} has {', '.join(served) or 'no model'}, not {name}", "--url", remedy)
    return served[name]
