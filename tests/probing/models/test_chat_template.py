"""Chat templates: their arguments, the token that ends an answer, and models that lack one thing or another."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from probing.models.chat_template import render_chat, turn_end, unknown_arguments
from probing.models.loading import ModelError, end_token_ids, load_model
from probing.prompt import Prompt
from probing.prompts.asking import Asker, chat_question
from probing.samplers.base import SamplingParams
from probing.samplers.engines.transformers import TransformersSampler
from tests.probing.tiny_models import END, model, tokenizer

TURN = 2  # the character tokenizer's third special token
THINKING = (
    "{% for m in messages %}({{ m['role'] }}) {{ m['content'] }}<unk>{% endfor %}"
    "{% if add_generation_prompt %}(assistant) {% if enable_thinking is defined and not enable_thinking %}<none>{% endif %}{% endif %}"
)


def with_template(template: str | None) -> PreTrainedTokenizerFast:
    made = tokenizer()
    made.chat_template = template
    return made


def test_arguments_reach_the_template_and_the_prefill_comes_last() -> None:
    prompt = Prompt("Hi", prefill="```python\n")
    assert render_chat(with_template(THINKING), prompt) == "(user) Hi<unk>(assistant) ```python\n"
    assert render_chat(with_template(THINKING), prompt, {"enable_thinking": False}) == "(user) Hi<unk>(assistant) <none>```python\n"
    asker = Asker.of(with_template(THINKING), template_args={"enable_thinking": False})
    assert asker.put(prompt).text.endswith("<none>```python\n")


def test_a_base_model_gets_its_prefill_after_the_plain_template() -> None:
    prompt = Prompt("Hi", system="Be brief.", prefill="def ")
    assert render_chat(with_template(None), prompt) == "Be brief.\n\n### Instruction:\nHi\n\n### Response:\ndef "


@pytest.mark.parametrize(
    ("prompt", "text", "start"),
    [
        (Prompt("Hi"), "(Hi)<think>\n", "<think>\n"),
        (Prompt("Hi", prefill="1:"), "(Hi)<think>\n\n</think>\n\n1:", "1:"),
        (Prompt("Hi", choices=("0", "1")), "(Hi)<think>\n\n</think>\n\n", ""),
    ],
)
def test_the_thinking_that_a_template_opens_is_the_start_of_the_answer_or_closed(prompt: Prompt, text: str, start: str) -> None:
    template = "{% for m in messages %}({{ m['content'] }}){% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}"
    question = chat_question(with_template(template), prompt)
    assert (question.text, question.prefill) == (text, start)
    named = chat_question(with_template(template), Prompt("What does <think>"))
    assert named.text == "(What does <think>)<think>\n"
    assert chat_question(with_template("{{ messages[0]['content'] }} ?"), Prompt("What does <think>")).prefill == ""


def test_an_argument_that_the_template_would_ignore_is_found_with_what_was_meant() -> None:
    found = unknown_arguments(with_template(THINKING), ["enable_thinking", "enable_thinkin", "zzz"])
    assert found == {"enable_thinkin": "enable_thinking", "zzz": None}
    assert unknown_arguments(with_template(None), ["enable_thinking"]) == {"enable_thinking": None}


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (THINKING, TURN),
        ("{% for m in messages %}{{ m['content'] }} <end>{% endfor %}", END),  # a space before it, as Llama 2 has
        ("{% for m in messages %}{{ m['content'] }}\n{% endfor %}", None),
        ("{% for m in messages %}{{ m['content'] }}and more<unk>{% endfor %}", None),  # words come first
        ("{% for m in messages %}{% if m['role'] != 'user' %}{{ raise_exception('no') }}{% endif %}{% endfor %}", None),
        ("no turns at all <unk>", None),
        (None, None),
    ],
)
def test_the_token_after_an_answer_ends_it(template: str | None, end: int | None) -> None:
    assert turn_end(with_template(template)) == end


def saved(path: Path, made: PreTrainedTokenizerFast, ends: int | list[int] | None) -> str:
    base = model("qwen2")
    base.config.eos_token_id = base.generation_config.eos_token_id = ends
    base.save_pretrained(path)
    made.save_pretrained(path)
    return str(path)


def test_an_answer_ends_where_the_template_says_too(tmp_path: Path) -> None:
    loaded, found = load_model(saved(tmp_path, with_template(THINKING), [END]), "cpu")
    assert end_token_ids(loaded, found) == {END, TURN}
    assert loaded.generation_config.eos_token_id == [END, TURN]  # for whoever reads that alone: TRL, and the next round
    loaded.lm_head.weight.data[:] = 0.0
    loaded.lm_head.weight.data[TURN] = 1.0
    loaded.model.norm.weight.data[:] = 9.0
    answers = TransformersSampler(loaded, found).sample(["ab"], 8, SamplingParams(max_new_tokens=40), 0)[0]
    assert any(answer.finished and answer.token_ids[-1] == TURN for answer in answers)


def test_a_checkpoint_that_says_it_all_is_left_alone(tmp_path: Path) -> None:
    loaded, _ = load_model(saved(tmp_path, with_template(None), END), "cpu")
    assert loaded.generation_config.eos_token_id == END


def test_a_tokenizer_without_a_pad_token_pads_with_its_end(tmp_path: Path) -> None:
    made = tokenizer()
    made.pad_token = None
    _, found = load_model(saved(tmp_path, made, END), "cpu")
    assert found.pad_token_id == found.eos_token_id == END


def test_an_end_token_that_only_the_model_names_is_the_tokenizers_too(tmp_path: Path) -> None:
    made = tokenizer()
    made.eos_token = made.pad_token = None
    loaded, found = load_model(saved(tmp_path, made, END), "cpu")
    assert (found.eos_token_id, found.pad_token_id) == (END, END) and end_token_ids(loaded, found) == {END}


def test_a_model_without_any_end_is_refused(tmp_path: Path) -> None:
    made = tokenizer()
    made.eos_token = None
    with pytest.raises(ModelError, match="names a token that ends an answer"):
        load_model(saved(tmp_path, made, None), "cpu")
