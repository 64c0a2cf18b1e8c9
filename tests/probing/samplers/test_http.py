"""The sampler on a server, against a stand-in that computes with transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from probing.samplers.base import SamplerError, SamplingParams
from probing.samplers.config import HttpConfig, SamplingConfig
from probing.samplers.engines.http import HttpSampler
from tests.probing.doubles.server import Server
from tests.probing.reference_logprobs import logprobs_of

pytestmark = pytest.mark.slow

PROMPTS = ["ab", "solve this: x", "def f(a, b):"]


def http(server: Server, checkpoint: str, **settings: Any) -> HttpSampler:
    config = HttpConfig(url=server.url, patience=20.0, timeout=20.0, parity_prompts=settings.pop("parity_prompts", 1), **settings)
    return HttpSampler(SamplingConfig(backend="http", device="cpu", http=config), checkpoint, pause=0.01)


def test_a_server_s_samples_are_whole_and_in_order(server: Server, checkpoint: str) -> None:
    sampler, counted = http(server, checkpoint), list[tuple[int, int]]()
    drawn = sampler.sample(PROMPTS, 3, SamplingParams(max_new_tokens=10), 1, lambda *words: counted.append(words))
    assert [len(group) for group in drawn] == [3, 3, 3]
    assert counted == [(3, sum(len(c.token_ids) for c in group)) for group in drawn]
    for prompt, group in zip(PROMPTS, drawn, strict=True):
        for completion in group:
            torch.testing.assert_close(torch.tensor(completion.logprobs), logprobs_of(checkpoint, prompt, completion), atol=1e-4, rtol=0)
    assert sampler.sample(PROMPTS[2:], 3, SamplingParams(max_new_tokens=10), 1, indices=[2]) == drawn[2:]


def test_a_server_does_not_sample_as_the_checkpoint_s_generation_config_says(server: Server, checkpoint: str) -> None:
    calm = http(server, checkpoint).sample(PROMPTS, 4, SamplingParams(max_new_tokens=6), 1)
    server.generation_config = {"top_k": 1, "repetition_penalty": 9.0}
    assert http(server, checkpoint).sample(PROMPTS, 4, SamplingParams(max_new_tokens=6), 1) == calm
    other = http(server, checkpoint, parity_prompts=0, retokenise=True)
    other.sample(["ab"], 1, SamplingParams(max_new_tokens=2), 0)
    assert not {"top_k", "min_p", "repetition_penalty", "return_token_ids"} & server.bodies[-1].keys()  # not every server knows them


def test_failures_are_tried_again_and_change_nothing(server: Server, checkpoint: str) -> None:
    sampler = http(server, checkpoint)
    calm = sampler.sample(PROMPTS, 2, SamplingParams(max_new_tokens=6), 1)
    server.faults += [500, "drop", 429, "garbage", 503]
    assert sampler.sample(PROMPTS, 2, SamplingParams(max_new_tokens=6), 1) == calm
    assert not server.faults


def test_a_server_that_comes_back_is_waited_for(server: Server, checkpoint: str) -> None:
    sampler = http(server, checkpoint)
    calm = sampler.sample(PROMPTS, 2, SamplingParams(max_new_tokens=6), 1)
    server.stop()
    server.start_later(0.5)
    assert sampler.sample(PROMPTS, 2, SamplingParams(max_new_tokens=6), 1) == calm


def test_a_server_that_stays_away_is_an_error_that_says_what_to_do(server: Server, checkpoint: str) -> None:
    sampler = http(server, checkpoint)
    server.stop()
    sampler.http = sampler.http.model_copy(update={"patience": 0.3})
    with pytest.raises(SamplerError, match=r"no answer from the server.*vllm serve .* --generation-config vllm\).*goes on from there"):
        sampler.sample(["ab"], 1, SamplingParams(max_new_tokens=2), 0)


def test_a_server_with_another_checkpoint_is_not_sampled_from(server: Server, checkpoint: str) -> None:
    server.root = "/models/of/last/round"
    config = SamplingConfig(backend="http", device="cpu", http=HttpConfig(url=server.url, model="m", patience=0.2))
    with pytest.raises(SamplerError, match="not m from"):
        HttpSampler(config, checkpoint, pause=0.01)
    assert server.completions == 0


def test_a_server_whose_weights_are_others_than_it_says_is_found_out(server: Server, checkpoint: str) -> None:
    server.break_weights()
    with pytest.raises(SamplerError, match="other weights"):
        http(server, checkpoint)


def test_a_refusal_is_not_tried_again(server: Server, checkpoint: str) -> None:
    sampler = http(server, checkpoint)
    server.faults += [400]
    before = server.completions
    with pytest.raises(SamplerError, match="refuses a request: status 400"):
        sampler.sample(["ab"], 1, SamplingParams(max_new_tokens=2), 0)
    assert server.completions == before + 1


def test_a_server_without_token_ids_is_used_only_where_the_config_says_how(server: Server, checkpoint: str) -> None:
    server.token_ids = False
    with pytest.raises(SamplerError, match="retokenise: true"):
        http(server, checkpoint)
    sampler = http(server, checkpoint, parity_prompts=0, retokenise=True)
    ((completion,),) = sampler.sample(["ab"], 1, SamplingParams(max_new_tokens=6), 0)
    assert len(completion.token_ids) == len(completion.logprobs) and len(set(completion.logprobs)) == 1
    with pytest.raises(ValueError, match="parity_prompts to 0"):
        SamplingConfig(http=HttpConfig(retokenise=True))
