"""The 8-bit copy: close to the model, the same whatever shares the batch, and of the model as it is now."""

import copy

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from probing.samplers.base import SamplerError, SamplingParams
from probing.samplers.config import SamplingConfig
from probing.samplers.engines import int8
from probing.samplers.engines.factory import open_sampler
from probing.samplers.engines.int8 import Int8Linear, has_int8, input_levels, int8_copy, sampling_model
from probing.samplers.engines.transformers import TransformersSampler
from tests.probing.tiny_models import model, tokenizer

pytestmark = pytest.mark.skipif(not has_int8(torch.device("cpu")), reason="8-bit weights are for x86 CPUs")
IDS = torch.tensor([[3, 9, 4, 11, 17, 5, 8, 20]])


def rounded_product(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Inputs and weights rounded to whole steps, then multiplied exactly."""
    levels = input_levels()
    rows, channels = x.abs().amax(1, keepdim=True) / levels, weight.abs().amax(1, keepdim=True) / 127
    return ((x / rows).round().double() * rows) @ ((weight / channels).round().double() * channels).T


@pytest.mark.parametrize("shape", [(1, 16, 8), (5, 64, 33), (70, 128, 300), (3, 1000, 16)])
def test_a_layer_multiplies_what_was_rounded(shape):
    rows, inputs, outputs = shape
    random = torch.Generator().manual_seed(rows)
    x, weight, bias = (torch.randn(*size, generator=random) for size in ((rows, inputs), (outputs, inputs), (outputs,)))
    x[0] *= 1000  # a row of another magnitude has a scale of its own
    weight[0] *= 100
    expected = rounded_product(x, weight) + bias
    tolerance = 1e-5 * x.abs().amax(1, keepdim=True) * weight.abs().amax(1) * inputs  # a tie may be rounded either way
    assert ((Int8Linear(weight, bias)(x) - expected).abs() <= tolerance).all()


def test_the_largest_inputs_and_weights_do_not_overflow():
    layer = Int8Linear(torch.ones(8, 4096), None)
    torch.testing.assert_close(layer(torch.ones(3, 4096)), torch.full((3, 8), 4096.0), rtol=1e-3, atol=0)
    torch.testing.assert_close(layer(-torch.ones(3, 4096)), torch.full((3, 8), -4096.0), rtol=1e-3, atol=0)


def test_a_row_does_not_depend_on_its_neighbours():
    random = torch.Generator().manual_seed(0)
    layer = Int8Linear(torch.randn(40, 64, generator=random), None)
    x = torch.randn(30, 64, generator=random) * torch.logspace(-3, 3, 30)[:, None]
    assert torch.equal(layer(x)[7], layer(x[7:8])[0]) and torch.equal(layer(x.view(2, 15, 64)).view(30, 40), layer(x))


def test_zeros_stay_zeros():
    assert torch.equal(Int8Linear(torch.zeros(4, 8), None)(torch.zeros(2, 8)), torch.zeros(2, 4))


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gpt2"])
def test_the_copy_is_close_and_shares_what_is_not_rounded(kind):
    original = model(kind)
    before = copy.deepcopy(original.state_dict())
    made = int8_copy(original)
    layers = [m for m in made.modules() if isinstance(m, Int8Linear)]
    assert len(layers) == sum(isinstance(m, torch.nn.Linear) for m in original.modules()) > 0
    assert made.get_input_embeddings().weight is original.get_input_embeddings().weight
    p, q = (torch.log_softmax(m(IDS).logits, -1) for m in (original, made))
    kl = (p.exp() * (p - q)).sum(-1)
    assert 0 < kl.mean() < 0.02 and kl.max() < 0.1
    assert all(torch.equal(before[name], tensor) for name, tensor in original.state_dict().items())


def test_it_samples_by_its_own_logprobs_whatever_the_batch():
    made, prompts, params = int8_copy(model("qwen2")), ["ab", "solve this: x", "def f(a, b):"], SamplingParams(max_new_tokens=12)
    drawn, alone = (TransformersSampler(made, tokenizer(), batch_size=size).sample(prompts, 5, params, seed=3) for size in (64, 1))
    assert [[c.token_ids for c in group] for group in drawn] == [[c.token_ids for c in group] for group in alone]
    for prompt, group in zip(prompts, drawn, strict=True):
        ids = tokenizer()(prompt, add_special_tokens=False)["input_ids"]
        for completion in group:
            logits = made(torch.tensor([ids + list(completion.token_ids)])).logits[0]
            own = torch.log_softmax(logits, -1)[len(ids) - 1 : -1].gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
            np.testing.assert_allclose(completion.logprobs, own.detach(), atol=2e-3)


def test_a_copy_is_of_the_weights_as_they_are_now():
    live = model("qwen2").train()
    old = int8_copy(live)
    with torch.no_grad():
        live.model.layers[0].mlp.up_proj.weight.neg_()
    new = int8_copy(live)
    target = live.eval()(IDS).logits
    assert (new(IDS).logits - target).abs().mean() < 0.2 * (old(IDS).logits - target).abs().mean()


def test_an_adapter_is_added_into_the_weights():
    policy = get_peft_model(model("qwen2"), LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    plain = int8_copy(policy.get_base_model())
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    adapted = int8_copy(policy.get_base_model())
    assert not any("lora" in name for name, _ in adapted.named_parameters())
    target = policy(IDS).logits
    assert (adapted(IDS).logits - target).abs().mean() < 0.3 * (plain(IDS).logits - target).abs().mean()


def test_weights_that_diverged_are_an_error():
    broken = model("qwen2")
    with torch.no_grad():
        broken.model.layers[0].mlp.up_proj.weight[0, 0] = torch.inf
    with pytest.raises(SamplerError, match="not finite"):
        int8_copy(broken)
    with pytest.raises(SamplerError, match="x86 CPUs"):
        int8_copy(model("qwen2").to("meta"))


def test_auto_rounds_large_float32_models_on_a_cpu_alone(monkeypatch):
    small = model("qwen2")
    assert sampling_model(small, "auto") is small and sampling_model(small, "full") is small
    monkeypatch.setattr(int8, "INT8_PARAMETERS", 1000)
    assert isinstance(sampling_model(small, "auto").lm_head, Int8Linear)
    assert sampling_model(small, "full") is small
    half = model("qwen2").bfloat16()
    assert sampling_model(half, "auto") is half
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert sampling_model(small, "auto") is small


def test_the_config_decides_and_says_what_cannot_be(tmp_path):
    model("qwen2").save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    sampler = open_sampler(SamplingConfig(device="cpu", weights="int8"), str(tmp_path))
    assert isinstance(sampler.model.lm_head, Int8Linear)
    assert not isinstance(open_sampler(SamplingConfig(device="cpu"), str(tmp_path)).model.lm_head, Int8Linear)
    for wrong in ({"backend": "vllm"}, {"device": "cuda"}, {"dtype": "bfloat16"}):
        with pytest.raises(ValueError, match=r"sampling\.weights: int8"):
            SamplingConfig(weights="int8", **wrong)
