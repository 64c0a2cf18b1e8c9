"""LoRA (Hu et al., arXiv 2106.09685) through peft: which weights are trained, and what a checkpoint of them is.

`lora.checkpoint: merged` writes whole weights, so that every round starts from an ordinary model; `adapter` writes the adapter alone,
and the next round goes on training it. Without `lora` all weights are trained.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from accelerate.utils import is_peft_model
from peft import LoraConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

from probing.models.loading import adapter_base, is_adapter
from rl.config.training import LoraSection, OptimizerSection
from rl.models.checkpoints import atomic_folder, load_policy, save_policy


def load_for_training(
    path: Path | str, config: OptimizerSection
) -> tuple[PreTrainedModel | PeftModel, PreTrainedTokenizerBase, LoraConfig | None]:
    """(model, tokenizer, a new adapter for the trainer to add, or None).

    An adapter that is to be checkpointed as one is trained on; any other adapter is merged into its base first.
    """
    if config.lora is not None and config.lora.checkpoint == "adapter" and is_adapter(str(path)):
        base, tokenizer = _load(adapter_base(str(path)), config)
        return PeftModel.from_pretrained(base, str(path), is_trainable=True), tokenizer, None
    model, tokenizer = _load(path, config)
    return model, tokenizer, None if config.lora is None else _lora_config(config.lora)


def _load(path: Path | str, config: OptimizerSection) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model that knows where it came from: an adapter's checkpoint names its base by an absolute path (or a Hub id)."""
    model, tokenizer = load_policy(path, config.weights_dtype, sharded=True)
    model.name_or_path = str(Path(path).expanduser().resolve()) if Path(path).expanduser().exists() else str(path)
    return model, tokenizer


def _lora_config(config: LoraSection) -> LoraConfig:
    targets: Any = "all-linear" if config.targets is None else list(config.targets)
    alpha: Any = config.alpha  # peft says int, and takes any number
    return LoraConfig(r=config.rank, lora_alpha=alpha, lora_dropout=config.dropout, target_modules=targets, task_type="CAUSAL_LM")


def save_trained(trainer: Trainer, tokenizer: PreTrainedTokenizerBase, path: Path, lora: LoraSection | None) -> None:
    """Write the trained policy to `path`, whole or not at all. Every rank calls it and the first writes; weights may be sharded.

    lora: says whether an adapter is merged (None: an adapter is written as it is).
    """
    accelerator = trainer.accelerator
    state = accelerator.get_state_dict(trainer.model_wrapped) if accelerator.num_processes > 1 else None
    if trainer.is_world_process_zero():
        model: Any = accelerator.unwrap_model(trainer.model_wrapped)
        if not is_peft_model(model):
            save_policy(model, tokenizer, path, state)
        elif lora is None or lora.checkpoint == "adapter":
            with atomic_folder(path) as partial:
                _write_adapter(model, tokenizer, partial, state)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=path.parent, prefix=".adapter-") as folder:
                _write_adapter(model, tokenizer, Path(folder), state)
                save_policy(*load_policy(folder, str(model.dtype).removeprefix("torch.")), path)
    accelerator.wait_for_everyone()


def _write_adapter(model: PeftModel, tokenizer: PreTrainedTokenizerBase, folder: Path, state: dict[str, Any] | None) -> None:
    model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False, state_dict=state)
    tokenizer.save_pretrained(folder)


def copy_policy(source: Path | str, path: Path, config: OptimizerSection) -> None:
    """Write the policy at `source` to `path` again: an adapter as an adapter where those are the checkpoints, else whole weights."""
    if config.lora is not None and config.lora.checkpoint == "adapter" and is_adapter(str(source)):
        with atomic_folder(path) as partial:
            shutil.copytree(source, partial, dirs_exist_ok=True)
    else:
        save_policy(*load_policy(source, config.weights_dtype), path)
