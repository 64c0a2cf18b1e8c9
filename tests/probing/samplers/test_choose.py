"""Reading the probabilities of a few answers instead of drawing one."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from probing.prompt import Question
from probing.samplers.base import Completion
from probing.samplers.engines.transformers import TransformersSampler, choice_tokens
from probing.stages.config import ProblemsConfig
from probing.stages.problems import ratings_asked, ratings_of
from tests.probing.tiny_models import model, tokenizer


@pytest.fixture(scope="module")
def sampler() -> TransformersSampler:
    return TransformersSampler(model("llama"), tokenizer())


def test_the_shares_are_the_models_own(sampler: TransformersSampler) -> None:
    prompts, choices = ["ab", "abc", "cb", "a"], ["a", "b", "c"]
    found = sampler.choose(prompts, choices)
    for prompt, shares in zip(prompts, found, strict=True):
        ids = sampler.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = sampler.model(input_ids=ids).logits[0, -1]
        at = [sampler.tokenizer(prompt + choice, add_special_tokens=False)["input_ids"][-1] for choice in choices]
        assert shares == pytest.approx(torch.softmax(logits[at].float(), dim=-1).tolist(), abs=1e-5)


def test_a_choice_that_is_no_single_token_cannot_be_read(sampler: TransformersSampler) -> None:
    assert sampler.choose(["ab"], ["a", "bc"]) == [None]


def test_a_blank_at_the_end_of_the_prompt_may_begin_the_choice() -> None:
    """As in GPT-2's vocabulary, where "Rating: 9" is "Rating", ":", " 9"."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(["Rating: 9", "Rating: 0"] * 9, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    merged = PreTrainedTokenizerFast(tokenizer_object=core)
    tokens = choice_tokens(merged, "Rating: ", ["0", "9"])
    assert tokens is not None
    assert [merged.decode(tokens[0]), *(merged.decode([end]) for end in tokens[1])] == ["Rating:", " 0", " 9"]


class Asking:
    """Asks for a rating with digits to choose among."""

    variants, examples = 1, ()

    def __call__(self, skill: str, **fields: object) -> Question:
        return Question(str(fields["description"]), "", (), ("0", "9"))


class Choosing:
    """Knows the shares of the two digits for one question, and draws answers to the other."""

    can_choose = True

    def choose(self, prompts, choices, progress=None):  # type: ignore[no-untyped-def]
        assert tuple(choices) == ("0", "9")
        return [(0.25, 0.75) if prompt == "good" else None for prompt in prompts]

    def sample(self, prompts, n, params, seed, progress=None):  # type: ignore[no-untyped-def]
        assert (list(prompts), n) == (["odd"], 3)
        return [[Completion(text, (0,), (0.0,), True) for text in ("Rating: 3", "Rating: 6", "none")]]


def test_a_rating_is_the_mean_of_the_digits_and_drawn_where_they_cannot_be_read() -> None:
    config = ProblemsConfig(ratings_per_problem=3)
    assert ratings_of(Choosing(), Asking(), ["good", "odd"], config, seed=0) == [0.75, 0.5]
    assert ratings_asked(Choosing(), Asking(), 2, config) == 2
