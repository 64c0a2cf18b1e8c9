"""Prompt sets: which one a model gets, and what is said about one that is not whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import jinja2
import pytest

from probing.prompt import Prompt
from probing.prompts.templates import FOLDER, SKILLS, STDIN_SKILLS, PromptSetError, find_prompt_set, load_prompt_set

FIELDS = {
    "topic": "graphs",
    "variant": 3,
    "description": "Add one to x.",
    "entry": "f",
    "signature": "def f(x: int) -> int:",
    "interface": 'def f(x: int) -> int:\n    """One more."""',
    "call": "f(1)",
}


class Tokenizer:
    """A tokenizer in so far as a set is chosen by it."""

    def __init__(self, chat_template: str | None, named: str | None = None) -> None:
        self.chat_template, self.init_kwargs = chat_template, {"ucoder_prompts": named} if named else {}


@pytest.mark.parametrize("name", ["seedling", "instruct", "completion"])
@pytest.mark.parametrize("skill", SKILLS)
def test_every_bundled_set_words_every_skill(name: str, skill: str) -> None:
    prompt = load_prompt_set(name).render(skill, **FIELDS)
    assert isinstance(prompt, Prompt) and prompt.user.strip()
    if skill != "invent":
        assert "Add one to x." in prompt.user


def test_a_missing_field_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        load_prompt_set("instruct").render("solve", description="Add one.")


def test_the_checkpoint_s_own_set_wins_over_the_default_and_a_name_over_both() -> None:
    assert find_prompt_set(None, Tokenizer("chat")).name == "instruct"  # type: ignore[arg-type]
    assert find_prompt_set(None, Tokenizer(None)).name == "completion"  # type: ignore[arg-type]
    assert find_prompt_set(None, Tokenizer("chat", "seedling")).name == "seedling"  # type: ignore[arg-type]
    assert find_prompt_set("instruct", Tokenizer("chat", "seedling")).name == "instruct"  # type: ignore[arg-type]


def test_variants_show_other_examples() -> None:
    prompts = load_prompt_set("instruct")
    assert len({prompts.render("invent", topic="graphs", variant=i).user for i in range(prompts.variants)}) == prompts.variants
    assert all(
        any(e["title"] in prompts.render("invent", topic="t", variant=i).user for i in range(6)) for e in prompts.examples_of("invent")
    )


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(FOLDER / "instruct", folder / "mine"))


def test_a_folder_of_one_s_own_is_a_set(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "solve.jinja").write_text("Do {{ entry }}.")
    assert load_prompt_set(str(folder)).render("solve", **FIELDS).user == "Do f."


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("rate.jinja", None, "lacks rate.jinja"),
        ("solve.jinja", "{{ entry", "cannot be read"),
        ("solve.jinja", "Do {{ signature }}.", r"solve\.jinja .*: 'signature' is undefined\. It gets description, interface"),
        ("tests.jinja", "{{ call.name }}", r"tests\.jinja .* cannot be filled"),
        ("set.yaml", "invent: {variants: 2}", r"invent\.jinja .* cannot be filled"),  # whose template counts its examples
        ("set.yaml", "solve: {prefil: x}", "solve.prefil"),
        ("set.yaml", "solv: {prefill: x}", "'solv' is neither form nor one of"),
        ("set.yaml", "solve: {stop: ['']}", "solve.stop"),
        ("set.yaml", "rate: {choices: ['10']}", "rate.choices"),
        ("set.yaml", "form: dialogue", "form must be chat or document"),
        ("set.yaml", "[1]", "must map skills"),
    ],
)
def test_what_is_wrong_with_a_set_is_said(tmp_path: Path, file: str, text: str | None, said: str) -> None:
    folder = copied(tmp_path)
    (folder / file).unlink() if text is None else (folder / file).write_text(text)
    with pytest.raises(PromptSetError, match=said):
        load_prompt_set(str(folder))


def test_a_set_that_is_not_there_is_said_with_the_known_ones() -> None:
    with pytest.raises(PromptSetError, match="completion, instruct, seedling"):
        load_prompt_set("instructed")


@pytest.mark.parametrize("entry", ["f", ""])
def test_a_set_may_word_the_question_for_a_signature(entry: str) -> None:
    for name in ("instruct", "completion"):
        prompt = load_prompt_set(name).render("signature", **{**FIELDS, "entry": entry})
        assert "Add one to x." in prompt.user and prompt.prefill == f"```python\ndef {'f(' if entry else ''}"


def test_a_set_without_it_is_whole_and_says_so_when_it_is_asked(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "signature.jinja").unlink()
    prompts = load_prompt_set(str(folder))
    assert "signature" not in prompts.skills and {*SKILLS, *STDIN_SKILLS} < set(prompts.skills)
    with pytest.raises(PromptSetError, match=r"has no signature\.jinja"):
        prompts.render("signature", **FIELDS)
