"""Hidden states against a plain forward pass, one answer at a time."""

import numpy as np
import pytest
import torch

from probing.probe.hidden_states import HiddenStates, candidate_layers
from tests.probing.tiny_models import END, model, tokenizer

PROMPTS = [[3, 4, 5], [6, 7, 8, 9, 10, 11], [3, 4, 5], [3, 4, 5], [6, 7, 8, 9, 10, 11], [3, 4, 5]]
ANSWERS = [[8, 9, END], [12, END], [20, 21, 22, 23, 24], [8, 9, END], [30, 31, 32, END], [9]]


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_states_and_logprobs_equal_a_plain_forward(kind):
    frozen = model(kind)
    found = HiddenStates(frozen, tokenizer(), layers=(0, 1, 2)).extract(PROMPTS, ANSWERS)
    assert found.states.shape == (6, 3, 2, 32) and found.states.dtype == np.float32
    for row, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        with torch.no_grad():
            output = frozen(torch.tensor([prompt + answer]), output_hidden_states=True)
        logprobs = torch.log_softmax(output.logits[0].float(), -1)[len(prompt) - 1 : -1].gather(1, torch.tensor(answer)[:, None])[:, 0]
        assert found.mean_logprob[row] == pytest.approx(logprobs.mean().item(), abs=1e-4)
        assert found.min_logprob[row] == pytest.approx(logprobs.min().item(), abs=1e-4)
        code = len(answer) - (answer[-1] == END)
        for place in range(3):
            h_CD = output.hidden_states[place][0, len(prompt) : len(prompt) + code].numpy()
            np.testing.assert_allclose(found.states[row, place, 0], h_CD[-1], atol=1e-4)
            np.testing.assert_allclose(found.states[row, place, 1], h_CD.mean(0), atol=1e-4)
    assert found.lengths.tolist() == [3, 2, 5, 3, 4, 1] and found.prompt_lengths.tolist() == [3, 6, 3, 3, 6, 3]


def test_the_last_pooling_is_the_state_of_the_end_token_where_there_is_one():
    frozen = model("qwen2")
    found = HiddenStates(frozen, tokenizer(), layers=(1, 3), poolings=("last", "mean")).extract(PROMPTS, ANSWERS)
    assert found.poolings == ("last", "mean") and found.take(np.array([2])).poolings == found.poolings
    for row, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        with torch.no_grad():
            hidden_states = frozen(torch.tensor([prompt + answer]), output_hidden_states=True).hidden_states
        for place, layer in enumerate((1, 3)):
            np.testing.assert_allclose(found.states[row, place, 0], hidden_states[layer][0, -1].numpy(), atol=1e-4)
    with_mean_alone = HiddenStates(frozen, tokenizer(), layers=(1, 3)).extract(PROMPTS, ANSWERS)
    np.testing.assert_allclose(found.states[:, :, 1], with_mean_alone.states[:, :, 1], atol=1e-6)


def test_small_passes_give_the_same_states(monkeypatch):
    reader = HiddenStates(model("qwen2"), tokenizer())
    whole = reader.extract(PROMPTS, ANSWERS)
    monkeypatch.setattr("probing.probe.hidden_states.MAX_TOKENS", 4)
    counts: list[int] = []
    np.testing.assert_allclose(reader.extract(PROMPTS, ANSWERS, progress=counts.append).states, whole.states, atol=1e-4)
    assert sum(counts) == 6 and len(counts) > 3


@pytest.mark.parametrize("most", [4, 4096])
def test_token_logprobs_equal_a_plain_forward(most, monkeypatch):
    monkeypatch.setattr("probing.probe.hidden_states.MAX_TOKENS", most)
    frozen, prompt = model("qwen2"), PROMPTS[1]
    found = HiddenStates(frozen, tokenizer()).token_logprobs(prompt, ANSWERS)
    for answer, logprobs in zip(ANSWERS, found, strict=True):
        with torch.no_grad():
            logits = frozen(torch.tensor([prompt + answer])).logits[0].float()
        plain = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1].gather(1, torch.tensor(answer)[:, None])[:, 0]
        assert logprobs == pytest.approx(plain.tolist(), abs=1e-4)
    assert HiddenStates(frozen, tokenizer()).token_logprobs(prompt, []) == []


def test_the_end_of_code_is_before_the_fence():
    made = tokenizer()
    reader = HiddenStates(model("qwen2"), made)
    ids = made("```a = 1\nb``` done", add_special_tokens=False)["input_ids"] + [END]
    end = reader.end_of_code(ids, "a = 1\nb")
    assert made.decode(ids[:end]) == "```a = 1\nb"
    assert reader.end_of_code(ids, None) == len(ids) - 1
    assert reader.end_of_code([END], None) == 1


def test_the_end_of_a_program_with_parts_left_out_is_its_last_line_that_is_there():
    made = tokenizer()
    reader = HiddenStates(model("qwen2"), made)
    ids = made("```\na = 1\nx\nb``` done", add_special_tokens=False)["input_ids"] + [END]
    assert made.decode(ids[: reader.end_of_code(ids, "c = 2\na = 1\nb\n\nd")]) == "```\na = 1\nx\nb"
    assert reader.end_of_code(ids, "c = 2") == len(ids) - 1


def test_the_frozen_model_has_no_gradients():
    frozen = model("qwen2").train()
    HiddenStates(frozen, tokenizer())
    assert not frozen.training and not any(p.requires_grad for p in frozen.parameters())


def test_bad_requests_are_the_callers():
    reader = HiddenStates(model("qwen2"), tokenizer())
    with pytest.raises(ValueError, match="2 prompts, 1 answers"):
        reader.extract(PROMPTS[:2], ANSWERS[:1])
    with pytest.raises(ValueError, match="empty"):
        reader.extract([[1]], [[]])
    with pytest.raises(ValueError, match=r"0\.\.3"):
        HiddenStates(reader.model, reader.tokenizer, layers=(4,))
    with pytest.raises(ValueError, match="poolings must be of end, mean, last"):
        HiddenStates(reader.model, reader.tokenizer, poolings=("middle",))
    assert reader.extract([], []).states.shape == (0, 3, 2, 32)


def test_candidate_layers_reach_the_last():
    assert candidate_layers(4, 4) == (1, 2, 3, 4) and candidate_layers(1, 3) == (1,) and candidate_layers(64, 2)[-1] == 64
