"""Loading a checkpoint and rendering a chat."""

import pytest
import torch

from probing.models import ModelError, end_token_ids, load_model, pick_device, pick_dtype, render_chat
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
