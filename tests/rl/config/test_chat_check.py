"""Before any work: whether a model can be asked as the config says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from probing.prompts.templates import FOLDER, SKILLS
from rl.benchmarks.base import Benchmark, EvalTask
from rl.config.chat_check import check_chat
from rl.config.schema import Config, config_from_argv, load_config
from rl.console import UserError
from rl.evals.options import config_from, parser
from rl.evals.runner import ask
from rl.loop.round import asker_of
from tests.probing.models.test_chat_template import THINKING, with_template

OFF = {"enable_thinking": False}
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + THINKING


def config(*words: str) -> Config:
    return load_config(None, words)


def test_arguments_are_read_from_the_command_line_as_what_they_are() -> None:
    assert config("--chat_template_args", "{enable_thinking: false, style: short}").chat_template_args == OFF | {"style": "short"}
    assert config("--chat_template_args.enable_thinking", "false", "--chat-template-args.budget=3").chat_template_args == OFF | {
        "budget": 3
    }
    assert config_from(parser().parse_args(["--chat_template_args", '{"enable_thinking": false}'])).chat_template_args == OFF


@pytest.mark.parametrize("text", ["enable_thinking=false", "[1]", "{'enable_thinking': false}"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--chat_template_args is no"):
        config_from(parser().parse_args(["--chat_template_args", text]))


def test_what_decides_the_prompt_itself_is_no_argument() -> None:
    with pytest.raises(UserError, match="messages cannot be an argument of the chat template"):
        config("--chat_template_args", "{messages: []}")


def test_the_loop_and_evaluations_ask_with_them() -> None:
    tokenizer, seen = with_template(THINKING), list[str]()

    class Listening:
        def sample(self, prompts: list[str], *_: object) -> list[list[object]]:
            seen.extend(prompts)
            return [[] for _ in prompts]

        def close(self) -> None: ...

    run = config("--chat_template_args", "{enable_thinking: false}")
    assert asker_of(run, tokenizer)("rate", description="x").text.split("(assistant) ")[1].startswith("<none>")
    task = Benchmark("toy", [EvalTask("t", "Hi", "f", (), "", "Hi")], "here")
    ask(Listening(), tokenizer, task, run.evaluation)
    own = config("--chat_template_args", "{enable_thinking: false}", "--evals.chat_template_args", "{}")
    ask(Listening(), tokenizer, task, own.evaluation)
    assert [text.endswith("<none>") for text in seen] == [True, False]


@pytest.mark.parametrize(
    ("template", "words", "what", "remedy"),
    [
        (
            THINKING,
            ("--chat_template_args", "{enable_thinkin: false}"),
            "knows no argument enable_thinkin",
            "did you mean enable_thinking?",
        ),
        (THINKING, ("--evals.chat_template_args", "{zzz: 1}"), "knows no argument zzz", "chat_template.jinja"),
        (None, ("--chat_template_args", "{enable_thinking: false}"), "has no chat template", "drop chat_template_args"),
        (THINKING, ("--prompts", "seedling", "--problems.depth", "0.5"), "lacks deepen.jinja, which problems.depth needs", "instruct"),
        (THINKING, ("--prompts", "/no/such/set"), "there is no prompt set '/no/such/set'", "ucoder config --prompts"),
    ],
)
def test_what_would_be_ignored_or_fail_later_is_refused(template: str | None, words: tuple[str, ...], what: str, remedy: str) -> None:
    with pytest.raises(UserError) as caught:
        check_chat(with_template(template), config(*words))
    assert what in caught.value.what and remedy in caught.value.remedy


@pytest.mark.parametrize(("io", "skill"), [("function", "deepen"), ("stdin", "deepen_stdin")])
def test_a_set_that_cannot_ask_for_the_kind_of_step_is_refused(tmp_path: Path, io: str, skill: str) -> None:
    folder = shutil.copytree(FOLDER / "instruct", tmp_path / "prompts")
    (folder / f"{skill}.jinja").unlink()
    words = ("--prompts", str(folder), "--problems.io", io)
    check_chat(with_template(THINKING), config(*words))
    with pytest.raises(UserError, match=rf"lacks {skill}\.jinja, which problems\.depth needs"):
        check_chat(with_template(THINKING), config(*words, "--problems.depth", "0.5"))


def test_a_prompt_set_that_the_template_refuses_is_refused_before_any_work(tmp_path: Path) -> None:
    for skill in SKILLS:
        (tmp_path / f"{skill}.jinja").write_text((FOLDER / "seedling" / f"{skill}.jinja").read_text())
    (tmp_path / "set.yaml").write_text("rate:\n  system: Be brief.\n")
    check_chat(with_template(THINKING), config("--prompts", str(tmp_path)))
    with pytest.raises(UserError, match=r"refuses the prompt of the skill rate .* no system"):
        check_chat(with_template(NO_SYSTEM), config("--prompts", str(tmp_path)))


def test_the_bundled_model_passes() -> None:
    from probing.models.loading import load_tokenizer
    from rl.models.source import resolve_model

    check_chat(load_tokenizer(resolve_model("seedling")), config_from_argv([]))
