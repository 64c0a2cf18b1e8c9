"""The sampler on a server that gives text alone, against a stand-in that refuses what is not in OpenAI's API."""

from __future__ import annotations

import math
from typing import Any

import pytest

from probing.records import Candidate
from probing.samplers.base import SamplerError, SamplingParams
from probing.samplers.config import HttpConfig, SamplingConfig
from probing.samplers.engines.factory import open_sampler
from probing.samplers.engines.text_http import TextSampler
from tests.probing.doubles.server import Server

pytestmark = pytest.mark.slow

PROMPTS = ["ab", "solve this: x", "def f(a, b):"]


@pytest.fixture
def text_server(server: Server) -> Server:
    server.text_alone = True
    return server


def text_sampler(server: Server, checkpoint: str) -> TextSampler:
    http = HttpConfig(url=server.url, patience=20.0, timeout=20.0, parity_prompts=0, text_only=True)
    sampler = open_sampler(SamplingConfig(backend="http", device="cpu", http=http), checkpoint)
    assert isinstance(sampler, TextSampler)
    return sampler


def test_answers_are_whole_in_order_and_each_prompt_s_own(text_server: Server, checkpoint: str) -> None:
    sampler, counted = text_sampler(text_server, checkpoint), list[tuple[int, ...]]()
    drawn = sampler.sample(PROMPTS, 3, SamplingParams(max_new_tokens=10), 1, lambda *words: counted.append(words))
    assert [len(group) for group in drawn] == [3, 3, 3] and len(text_server.bodies) == 9
    assert counted == [(1, len(c.token_ids)) for group in drawn for c in group]
    assert len({c.text for c in drawn[0]}) == 3, "three seeds"
    assert sampler.sample(PROMPTS[2:], 3, SamplingParams(max_new_tokens=10), 1, indices=[2]) == drawn[2:]


def test_a_greedy_answer_is_drawn_once(text_server: Server, checkpoint: str) -> None:
    drawn = text_sampler(text_server, checkpoint).sample(PROMPTS, 3, SamplingParams(temperature=0.0, max_new_tokens=4), 1)
    assert len(text_server.bodies) == 3 and all(len(group) == 3 and len(set(group)) == 1 for group in drawn)


def test_an_unknown_logprob_is_no_zero(text_server: Server, checkpoint: str) -> None:
    ((drawn,),) = text_sampler(text_server, checkpoint).sample(["ab"], 1, SamplingParams(max_new_tokens=6), 0)
    assert drawn.logprobs == () and drawn.token_ids
    assert math.isnan(Candidate("p", 0, drawn.text, None, drawn.token_ids, drawn.logprobs, drawn.finished).mean_logprob)


def test_stop_strings_beyond_four_cut_the_text_here(text_server: Server, checkpoint: str) -> None:
    stops = ("never 1", "never 2", "never 3", "never 4", "a", "e", " ")
    drawn = text_sampler(text_server, checkpoint).sample(PROMPTS, 8, SamplingParams(max_new_tokens=20, stop=stops), 1)
    assert text_server.bodies[-1]["stop"] == list(stops[:4])
    assert not any(stop in c.text for group in drawn for c in group for stop in stops)
    assert all(c.token_ids for group in drawn for c in group)


@pytest.mark.parametrize("choice", [{"message": {"content": "x"}}, "x", None])
def test_an_answer_without_a_text_is_an_error(text_server: Server, checkpoint: str, choice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_server, "complete_text", lambda body: {"choices": [choice] if choice else []})
    with pytest.raises(SamplerError, match="/v1/completions"):
        text_sampler(text_server, checkpoint).sample(["ab"], 1, SamplingParams(max_new_tokens=2), 0)


def test_a_server_that_has_no_completions_is_not_asked_again(text_server: Server, checkpoint: str) -> None:
    text_server.faults += [404]
    with pytest.raises(SamplerError, match="refuses a request: status 404"):
        text_sampler(text_server, checkpoint).sample(["ab"], 1, SamplingParams(max_new_tokens=2), 0)
    assert text_server.completions == 1
