"""The transformers sampler: the same distribution as the model's, whatever the batch."""

import math

import numpy as np
import pytest
import torch

from probing.samplers.base import PromptError, SamplerError, SamplingParams
from probing.samplers.config import SamplingConfig
from probing.samplers.engines.draws import choose_tokens
from probing.samplers.engines.factory import open_sampler
from probing.samplers.engines.transformers import TransformersSampler
from probing.samplers.randomness import row_keys, uniforms
from tests.probing.tiny_models import END, PAD, VOCABULARY, model, tokenizer

KINDS = ("qwen2", "llama", "gpt2")
PROMPTS = ["ab", "solve this: x", "def f(a, b):", "a much longer prompt than the others"]


@pytest.fixture(scope="module")
def samplers() -> dict[str, TransformersSampler]:
    return {kind: TransformersSampler(model(kind), tokenizer(), batch_size=5) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_equals_generate(samplers, kind):
    sampler = samplers[kind]
    drawn = sampler.sample(PROMPTS, 2, SamplingParams(temperature=0, max_new_tokens=16), seed=0)
    for prompt, completions in zip(PROMPTS, drawn, strict=True):
        ids = sampler.tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]
        expected = sampler.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=16, pad_token_id=PAD)
        for completion in completions:
            assert list(completion.token_ids) == expected[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("params", [SamplingParams(max_new_tokens=12), SamplingParams(0.7, 0.8, 12)], ids=["plain", "nucleus"])
def test_logprobs_are_those_of_the_untempered_policy(samplers, kind, params):
    sampler = samplers[kind]
    for prompt, completions in zip(PROMPTS, sampler.sample(PROMPTS, 3, params, seed=3), strict=True):
        prompt_ids = sampler.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        for completion in completions:
            ids = torch.tensor([prompt_ids + list(completion.token_ids)])
            logprobs = torch.log_softmax(sampler.model(ids).logits[0].float(), -1)[len(prompt_ids) - 1 : -1]
            expected = logprobs.gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
            np.testing.assert_allclose(completion.logprobs, expected.detach().numpy(), atol=1e-4)


def test_samples_do_not_depend_on_the_batch_they_shared(samplers):
    params = SamplingParams(max_new_tokens=16)
    drawn = [
        TransformersSampler(samplers["qwen2"].model, tokenizer(), batch_size=size).sample(PROMPTS, 6, params, seed=1) for size in (1, 4, 64)
    ]
    ids = [[[c.token_ids for c in completions] for completions in run] for run in drawn]
    assert ids[0] == ids[1] == ids[2]


def test_a_shard_draws_what_the_whole_list_would(samplers):
    params = SamplingParams(max_new_tokens=8)
    whole = samplers["qwen2"].sample(PROMPTS, 3, params, seed=1)
    shard = samplers["qwen2"].sample(PROMPTS[1::2], 3, params, seed=1, indices=[1, 3])
    assert [c.token_ids for c in shard[0]] == [c.token_ids for c in whole[1]]
    assert [c.token_ids for c in shard[1]] == [c.token_ids for c in whole[3]]


def test_equal_prompts_and_samples_draw_apart_and_seeds_repeat(samplers):
    params = SamplingParams(max_new_tokens=16)
    first, again, other = (samplers["qwen2"].sample(["ab", "ab"], 4, params, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert len({c.token_ids for completions in first + other for c in completions}) >= 15


def test_frequencies_match_the_model(samplers):
    """The first token of 4,000 samples against the model's own distribution, by a chi-squared statistic."""
    sampler = TransformersSampler(samplers["qwen2"].model, tokenizer(), batch_size=2000)
    drawn = sampler.sample(["ab"], 4000, SamplingParams(max_new_tokens=1), seed=0)[0]
    ids = torch.tensor([sampler.tokenizer("ab", add_special_tokens=False)["input_ids"]])
    p = torch.softmax(sampler.model(ids).logits[0, -1].float(), -1).detach().numpy()
    seen = np.bincount([c.token_ids[0] for c in drawn], minlength=VOCABULARY)
    large = p * 4000 >= 5
    chi2 = ((seen - 4000 * p)[large] ** 2 / (4000 * p[large])).sum()
    assert chi2 < large.sum() + 4 * np.sqrt(2 * large.sum())


def test_rows_end_at_the_end_token_or_the_limit(samplers):
    completions = [c for cs in samplers["qwen2"].sample(PROMPTS, 20, SamplingParams(max_new_tokens=20), seed=0) for c in cs]
    assert {c.finished for c in completions} == {True, False}
    for completion in completions:
        assert len(completion.logprobs) == len(completion.token_ids) <= 20
        assert END not in completion.token_ids[:-1]
        assert completion.finished == (completion.token_ids[-1] == END)
        assert completion.finished or len(completion.token_ids) == 20
        assert "<end>" not in completion.text


def test_progress_counts_every_sample_and_every_token_once(samplers):
    said: list[tuple[int, int, float | None]] = []
    drawn = samplers["qwen2"].sample(PROMPTS, 7, SamplingParams(max_new_tokens=9), 0, lambda *words: said.append(words))
    samples, tokens, left = zip(*said, strict=True)
    assert sum(samples) == 28 and sum(tokens) == sum(len(c.token_ids) for group in drawn for c in group)
    assert len(said) > 20 and max(tokens) <= 5  # after every step, of five rows
    assert left[0] == math.inf and left[-1] == 0


def test_what_all_prompts_begin_with_is_read_once(samplers, monkeypatch):
    sampler, read = samplers["llama"], []
    start = "what all of them begin with: "
    prompts = [start + end for end in ("a", "bb + c", "x", "x")]
    params = SamplingParams(max_new_tokens=6)
    apart = [sampler.sample([prompt], 3, params, 1, indices=[place])[0] for place, prompt in enumerate(prompts)]
    forward = type(sampler.model).forward

    def counting(self, *args, **kwargs):
        read.append(kwargs["input_ids"].shape)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(sampler.model), "forward", counting)
    together = sampler.sample(prompts, 3, params, 1)
    assert [[c.token_ids for c in group] for group in together] == [[c.token_ids for c in group] for group in apart]
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(one[0].logprobs, other[0].logprobs, atol=1e-4)
    assert read[0] == (1, len(start)) and sum(rows * width for rows, width in read[:3]) < 2 * len(start)


def test_equal_prompts_are_read_too(samplers):
    drawn = samplers["llama"].sample(["a prompt that is there twice"] * 2, 2, SamplingParams(max_new_tokens=4), 1)
    alone = samplers["llama"].sample(["a prompt that is there twice"], 2, SamplingParams(max_new_tokens=4), 1)
    assert [c.token_ids for c in drawn[0]] == [c.token_ids for c in alone[0]]


def test_a_live_model_is_left_as_it_was():
    live = model("qwen2").train()
    attention = live.config._attn_implementation
    TransformersSampler(live, tokenizer()).sample(["ab"], 2, SamplingParams(max_new_tokens=4), 0)
    assert live.training and live.config._attn_implementation == attention
    live(torch.tensor([[3, 4, 5]]), labels=torch.tensor([[3, 4, 5]])).loss.backward()


def test_bad_requests_are_the_callers(samplers):
    sampler = samplers["qwen2"]
    with pytest.raises(PromptError, match="passes the model's 128; in its middle it says 'bbb"):
        sampler.sample(["a" * 50 + "b" * 70], 1, SamplingParams(max_new_tokens=20), 0)
    with pytest.raises(PromptError, match="no tokens"):
        sampler.sample([""], 1, SamplingParams(), 0)
    with pytest.raises(ValueError, match="n must be"):
        sampler.sample(["a"], 0, SamplingParams(), 0)
    with pytest.raises(ValueError, match="top_p"):
        SamplingParams(top_p=0)
    assert sampler.sample([], 3, SamplingParams(), 0) == []


def test_diverged_weights_are_an_error():
    broken = model("qwen2")
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    with pytest.raises(SamplerError, match="not finite"):
        TransformersSampler(broken, tokenizer()).sample(["ab"], 1, SamplingParams(max_new_tokens=2), 0)


def test_a_sliding_window_is_refused():
    windowed = model("qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=0)
    with pytest.raises(SamplerError, match="sliding window"):
        TransformersSampler(windowed, tokenizer()).sample(["a longer prompt"], 1, SamplingParams(max_new_tokens=3), 0)


def test_open_sampler_reads_a_checkpoint(tmp_path):
    model("qwen2").save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    sampler = open_sampler(SamplingConfig(device="cpu"), str(tmp_path))
    assert len(sampler.sample(["ab"], 2, SamplingParams(max_new_tokens=3), 0)[0]) == 2
    sampler.close()
    sampler.close()


def test_nucleus_keeps_the_smallest_set_that_reaches_top_p():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).expand(1000, -1)
    u = torch.linspace(0, 0.999, 1000, dtype=torch.float64)
    tokens, logprobs = choose_tokens(logits, u, top_p=0.75)
    assert set(tokens.tolist()) == {0, 1}
    assert abs((tokens == 0).double().mean() - 0.5 / 0.8) < 0.01
    np.testing.assert_allclose(logprobs.exp()[:3], [0.5] * 3, rtol=1e-5)


def test_temperature_sharpens():
    logits = torch.tensor([[0.0, 1.0]]).expand(2000, -1)
    u = torch.linspace(0, 0.9999, 2000, dtype=torch.float64)
    share = (choose_tokens(logits, u, temperature=0.5)[0] == 1).double().mean()
    assert abs(share - torch.sigmoid(torch.tensor(2.0))) < 0.01


def plain_draw(logits: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Inverse-CDF drawing over the whole vocabulary at once, in float64."""
    cdf = torch.softmax(logits.double(), -1).cumsum(-1)
    return torch.searchsorted(cdf, u[:, None] * cdf[:, -1:], right=True)[:, 0]


@pytest.mark.parametrize("vocabulary", [40, 2048, 2049, 3072, 10_007])
def test_a_large_vocabulary_is_drawn_from_as_a_small_one_is(vocabulary):
    random = torch.Generator().manual_seed(vocabulary)
    logits = torch.randn(300, vocabulary, generator=random) * 3
    u = torch.rand(300, dtype=torch.float64, generator=random)
    tokens, logprobs = choose_tokens(logits, u)
    assert (tokens != plain_draw(logits, u)).sum() <= 1  # draws within rounding of a border may fall either way
    expected = torch.log_softmax(logits.double(), -1).gather(1, tokens[:, None])[:, 0]
    np.testing.assert_allclose(logprobs, expected, atol=1e-5)


@pytest.mark.parametrize("vocabulary", [50, 5000])
@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2**-53])
def test_what_is_impossible_is_never_drawn(vocabulary, u):
    logits = torch.full((40, vocabulary), -torch.inf)
    possible = torch.randint(vocabulary, (40, 2), generator=torch.Generator().manual_seed(1))
    logits.scatter_(1, possible, torch.tensor([[0.0, -20.0]]).expand(40, 2))
    tokens, logprobs = choose_tokens(logits, torch.full((40,), u, dtype=torch.float64))
    assert (tokens[:, None] == possible).any(dim=1).all() and torch.isfinite(logprobs).all()


def test_a_nucleus_larger_than_what_is_sorted_at_first_is_whole():
    logits = torch.zeros(2000, 3000)  # flat: half of the vocabulary is the nucleus
    logits += torch.linspace(0.01, 0, 3000)
    tokens, _ = choose_tokens(logits, torch.linspace(0, 0.9999, 2000, dtype=torch.float64), top_p=0.5)
    assert 1480 < tokens.max() < 1500


@pytest.mark.parametrize("vocabulary", [50, 5000])
def test_logits_that_are_no_numbers_give_logprobs_that_are_none(vocabulary):
    logits = torch.full((2, vocabulary), torch.nan)
    assert torch.isnan(choose_tokens(logits, torch.tensor([0.1, 0.9], dtype=torch.float64))[1]).all()


def test_uniforms_are_uniform_and_uncorrelated():
    keys = row_keys(7, *np.broadcast_arrays(np.arange(50)[:, None], np.arange(40)[None])).ravel()
    u = np.stack([uniforms(keys, np.full(2000, step)) for step in range(10)])
    assert u.min() >= 0 and u.max() < 1 and len(np.unique(u)) == u.size
    assert abs(np.bincount((u.ravel() * 10).astype(int)) - 2000).max() < 5 * np.sqrt(2000)
    assert abs(np.corrcoef(u) - np.eye(10)).max() < 0.1
