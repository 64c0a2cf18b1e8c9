"""Loading a checkpoint (a folder or a Hub id) and rendering a chat, the same way for every model.

The device and the dtype are chosen here, in one place, and stated in the log: CUDA where there is one, and bfloat16 where it has it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from probing.models.chat_template import turn_end
from probing.models.gguf_header import is_gguf

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

ADAPTER = "adapter_config.json"
LONG_LOAD = 2**30  # bytes of weights whose loading is worth a progress bar
EFFICIENT_LOADING = "FSDP_CPU_RAM_EFFICIENT_LOADING"  # with it set, FSDP's ranks but the first get zeros for weights


class ModelError(RuntimeError):
    """A checkpoint that is not there, or cannot be loaded. The message says what was looked for and where."""


def pick_device(device: str = "auto") -> torch.device:
    """The torch device meant by `auto`, `cpu`, `cuda` or `cuda:N`. Raises ValueError when it is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"device {device!r}: this machine has {torch.cuda.device_count()} CUDA devices; use device: auto")
    return chosen


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The torch dtype meant by `auto`, `float32`, `bfloat16` or `float16`: auto is bfloat16 on a GPU that has it, else float32.

    Raises ValueError for another name.
    """
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in named:
        raise ValueError(f"dtype must be auto, {', '.join(named)}, not {dtype!r}")
    return named[dtype]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether this device multiplies matrices of bfloat16 in hardware; where it does not, bfloat16 is slower than float32.

    True on GPUs from Ampere on and on CPUs with AVX-512 BF16, AMX or Arm's BF16 (older versions of torch cannot tell a CPU's: False).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@contextmanager
def whole_weights() -> Iterator[None]:
    """What is loaded in the block is whole on this rank, and needs no other: as if no launcher had asked for sharded weights.

    transformers follows the settings of a ZeRO-3 training for as long as that one's arguments live, long after its end, and FSDP's from
    the start: a model loaded in that state is a shard, or zeros, and one loaded by a single rank waits for the others for ever.
    """
    from transformers.integrations import deepspeed

    zero3, fsdp = deepspeed._hf_deepspeed_config_weak_ref, os.environ.pop(EFFICIENT_LOADING, None)
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = zero3
        if fsdp is not None:
            os.environ[EFFICIENT_LOADING] = fsdp


@contextmanager
def loading_bar(path: str) -> Iterator[None]:
    """transformers' bar over the weights, in the block, only where somebody sees it and it lasts."""
    from transformers.utils import logging as transformers_logging

    weights = Path(path).expanduser().glob("*.safetensors")
    brief = os.path.isdir(os.path.expanduser(path)) and sum(file.stat().st_size for file in weights) < LONG_LOAD
    shown = transformers_logging.is_progress_bar_enabled()
    if brief or not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def load_model(
    path: str, device: str = "auto", dtype: str = "auto", sharded: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The causal LM and tokenizer at `path` (a folder, or a Hub id), in evaluation mode on the chosen device.

    sharded: for training alone, on all ranks at once: hold what the launcher wants this rank to hold, and where (`whole_weights` else).
    Raises ModelError when there is no such model or it cannot be read, ValueError for a device or dtype that cannot be had.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.integrations import is_deepspeed_zero3_enabled

    if is_adapter(path):
        return _load_merged(path, device, dtype)
    chosen_device = pick_device(device)
    chosen_dtype = pick_dtype(dtype, chosen_device)
    tokenizer = load_tokenizer(path)
    try:
        with nullcontext() if sharded else whole_weights(), loading_bar(path):
            model = AutoModelForCausalLM.from_pretrained(os.path.expanduser(path), dtype=chosen_dtype)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(f"cannot load the model weights of {path!r}: {error}") from error
    log.info("model %s: %s parameters, %s on %s", path, f"{model.num_parameters():,}", chosen_dtype, chosen_device)
    if not (sharded and is_deepspeed_zero3_enabled()):  # DeepSpeed has put its shards where they belong
        torch.nn.Module.to(model, chosen_device)
    _settle_ends(model, tokenizer, path)
    return model.eval(), tokenizer


def _settle_ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: str) -> None:
    """Make tokenizer and generation config agree on what ends an answer and what fills a batch, for all who read either of them.

    Some tokenizers have no padding token, and some leave the end token to the model's config. Raises ModelError where nothing ends.
    """
    ends = end_token_ids(model, tokenizer)
    turn = turn_end(tokenizer)
    if turn is not None and turn not in ends:
        log.info("model %s: an answer also ends with %s, as in its chat template", path, tokenizer.convert_ids_to_tokens(turn))
        model.generation_config.eos_token_id = sorted({*ends, turn})
    elif not ends:
        raise ModelError(f"neither the tokenizer nor the generation config of {path!r} names a token that ends an answer")
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(min(end_token_ids(model, tokenizer)))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token


def is_adapter(path: str) -> bool:
    """Whether a folder holds a LoRA adapter and not a whole model."""
    return os.path.isfile(os.path.join(os.path.expanduser(path), ADAPTER))


def adapter_base(path: str) -> str:
    """The checkpoint that an adapter was trained on. Raises ModelError when the adapter does not say."""
    with open(os.path.join(os.path.expanduser(path), ADAPTER), encoding="utf-8") as file:
        base = json.load(file).get("base_model_name_or_path")
    if not base:
        raise ModelError(f"the adapter at {path!r} does not name its base model (base_model_name_or_path in {ADAPTER})")
    return str(base)


def _load_merged(path: str, device: str, dtype: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A base model with an adapter's weights added in: whole, since shards cannot be added to."""
    from peft import PeftModel

    model, _ = load_model(adapter_base(path), device, dtype)
    try:
        with whole_weights():
            merged: PreTrainedModel = PeftModel.from_pretrained(model, os.path.expanduser(path)).merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"cannot load the adapter at {path!r}: {error}") from error
    tokenizer = load_tokenizer(path)
    _settle_ends(merged, tokenizer, path)
    return merged.eval().requires_grad_(True), tokenizer  # as any loaded model is


def load_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """The tokenizer at `path`. Raises ModelError when there is no such checkpoint."""
    from transformers import AutoTokenizer

    local = path.startswith((".", "/", "~")) or path.count("/") > 1
    if is_gguf(path) and os.path.isfile(os.path.expanduser(path)):
        raise ModelError(f"{path!r} is a GGUF file: its checkpoint is made, and found, by rl.models.source.resolve_model")
    if local and not os.path.isdir(os.path.expanduser(path)):
        raise ModelError(f"no model at {path!r}: there is no such folder, and it is not a Hub id (owner/name)")
    try:
        return AutoTokenizer.from_pretrained(os.path.expanduser(path))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"cannot load a tokenizer from {path!r}, neither as a folder nor from the Hub: {error}") from error


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every token that ends an answer: the tokenizer's, and those of the model's generation config."""
    ids: set[int] = set() if tokenizer.eos_token_id is None else {int(tokenizer.eos_token_id)}
    stated = getattr(model.generation_config, "eos_token_id", None)
    if stated is not None:
        ids.update([stated] if isinstance(stated, int) else stated)
    return frozenset(ids)
