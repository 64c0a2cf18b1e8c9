"""Loading a checkpoint and rendering a chat."""

import os
import weakref

import pytest
import torch
from peft import LoraConfig, LoraModel, get_peft_model
from transformers import AutoModelForCausalLM
from transformers.integrations import deepspeed
from transformers.integrations.fsdp import is_fsdp_enabled

from probing.models.chat_template import render_chat
from probing.models.loading import ModelError, end_token_ids, load_model, pick_device, pick_dtype
from tests.probing.tiny_models import END, model, tokenizer


def test_a_missing_folder_is_named():
    with pytest.raises(ModelError, match="no model at '/nowhere/at/all'"):
        load_model("/nowhere/at/all")


def test_a_folder_without_weights_is_named(tmp_path):
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="cannot load"):
        load_model(str(tmp_path), device="cpu")


def test_a_round_trip_keeps_the_weights(tmp_path):
    saved = model("qwen2")
    saved.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    loaded, _ = load_model(str(tmp_path), device="cpu")
    assert not loaded.training and loaded.dtype == torch.float32
    assert torch.equal(loaded.lm_head.weight, saved.lm_head.weight)


def test_a_base_model_gets_our_template_and_its_own_wins():
    base = tokenizer()
    assert render_chat(base, "Add {{ two }} numbers") == "### Instruction:\nAdd {{ two }} numbers\n\n### Response:\n"
    base.chat_template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    assert render_chat(base, "Hi") == "[Hi]"


def test_every_end_token_counts():
    made = model("qwen2")
    made.generation_config.eos_token_id = [END, 7]
    assert end_token_ids(made, tokenizer()) == {END, 7}


def test_device_and_dtype_are_checked():
    assert pick_dtype("auto", torch.device("cpu")) == torch.float32
    with pytest.raises(ValueError, match="dtype must be"):
        pick_dtype("float8", torch.device("cpu"))
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="0 CUDA devices"):
            pick_device("cuda")


class Zero3:
    """What a ZeRO-3 training leaves behind in transformers, as far as loading asks."""

    def is_zero3(self):
        return True


@pytest.fixture
def sharding(monkeypatch):
    """The state of a process under ZeRO-3 and FSDP; yields what each load of a model saw of it: (shards, zeros on other ranks)."""
    left, seen = Zero3(), []
    monkeypatch.setattr(deepspeed, "_hf_deepspeed_config_weak_ref", weakref.ref(left))
    monkeypatch.setattr("transformers.distributed.fsdp._is_torch_distributed_initialized", lambda: True)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    load = AutoModelForCausalLM.from_pretrained

    def watched(*args, **kwargs):
        seen.append((deepspeed.is_deepspeed_zero3_enabled(), is_fsdp_enabled()))
        with monkeypatch.context() as patch:  # DeepSpeed is not needed to see what would be asked of it
            patch.setattr(deepspeed, "_hf_deepspeed_config_weak_ref", None)
            return load(*args, **kwargs)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", watched)
    yield seen
    assert deepspeed.is_deepspeed_zero3_enabled() and is_fsdp_enabled()  # as it was before, for the training that goes on


@pytest.fixture
def saved(tmp_path):
    model("qwen2").save_pretrained(tmp_path / "base")
    tokenizer().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def test_weights_are_whole_while_a_launcher_shards_those_in_training(saved, sharding):
    load_model(str(saved), device="cpu")
    load_model(str(saved), device="cpu", sharded=True)
    assert sharding == [(False, False), (True, True)]
    with pytest.raises(ModelError):
        load_model(str(saved.parent), device="cpu")
    os.remove(saved / "model.safetensors")
    with pytest.raises(ModelError):
        load_model(str(saved), device="cpu")


def test_an_adapter_is_merged_into_whole_weights(saved, sharding, monkeypatch):
    base, tok = load_model(str(saved), device="cpu")
    get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(saved.parent / "adapter")
    tok.save_pretrained(saved.parent / "adapter")
    merge, merging = LoraModel.merge_and_unload, []

    def watched(self):
        merging.append((deepspeed.is_deepspeed_zero3_enabled(), is_fsdp_enabled()))
        return merge(self)

    monkeypatch.setattr(LoraModel, "merge_and_unload", watched)
    load_model(str(saved.parent / "adapter"), device="cpu", sharded=True)
    assert merging == [(False, False)] and set(sharding) == {(False, False)}


def test_shards_stay_where_deepspeed_put_them(saved, sharding, monkeypatch):
    moved = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: moved.append(device))
    load_model(str(saved), device="cpu", sharded=True)
    assert moved == []
    load_model(str(saved), device="cpu")
    assert moved == [torch.device("cpu")]


def test_a_load_of_a_moment_shows_no_bar_and_leaves_the_setting_as_it_was(tmp_path, capfd):
    from transformers.utils import logging as transformers_logging

    model("qwen2").save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    capfd.readouterr()
    load_model(str(tmp_path), "cpu", "float32")
    assert "Loading weights" not in capfd.readouterr().err
    assert transformers_logging.is_progress_bar_enabled()
