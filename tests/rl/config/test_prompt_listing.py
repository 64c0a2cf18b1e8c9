"""`ucoder config --prompts` shows every prompt whole, of the set that a run of the config would use."""

from __future__ import annotations

from pathlib import Path

import pytest

from probing.prompts.example import example_fields
from probing.prompts.templates import FOLDER, SKILLS, load_prompt_set
from rl.config.cli import main
from rl.config.prompts import listing, parts_of, prompt_set_of
from rl.config.schema import Config
from rl.console import UserError
from tests.rl.tiny import save_tiny_policy


def broken_set(folder: Path, **changed: str) -> Path:
    """A copy of a bundled set with some files replaced."""
    folder.mkdir()
    for file in load_prompt_set("instruct").folder.iterdir():
        (folder / file.name).write_text(changed.get(file.stem, file.read_text()))
    return folder


@pytest.mark.parametrize("name", ["instruct", "completion", "seedling"])
def test_every_part_of_every_prompt_is_shown(name: str) -> None:
    prompts, text = load_prompt_set(name), listing(Config(prompts=name))
    topic = (prompts.topics or Config().problems.topics)[0]
    for skill in SKILLS:
        prompt = prompts.render(skill, **example_fields(skill) | ({"topic": topic} if skill == "invent" else {}))
        assert f"── {skill} " in text
        for part in (prompt.user, prompt.prefill, prompt.system or ""):
            assert part.rstrip() in text
        assert all(repr(stop) in text for stop in prompt.stop)


def test_stop_strings_are_shown_with_their_line_ends_written_out() -> None:
    prompt = load_prompt_set("instruct").render("solve", **example_fields("solve"))
    assert "[the answer ends before] '\\n```'" in parts_of(prompt, document=False)


def test_a_system_turn_comes_before_the_users(tmp_path: Path) -> None:
    settings = (FOLDER / "instruct" / "set.yaml").read_text().replace("solve:\n", "solve:\n  system: You write Python.\n")
    folder = broken_set(tmp_path / "mine", set=settings)
    text = listing(Config(prompts=str(folder)))
    assert "[system]\nYou write Python.\n[user]\nSolve" in text


def test_without_a_name_the_checkpoint_decides(tmp_path: Path) -> None:
    assert prompt_set_of(Config(model="seedling")).name == "seedling"
    assert prompt_set_of(Config(model=str(save_tiny_policy(tmp_path)))).name in ("instruct", "completion")


def test_a_name_needs_no_model() -> None:
    assert prompt_set_of(Config(model="/nowhere/at/all", prompts="completion")).name == "completion"


def test_a_template_that_asks_for_an_unknown_field_is_an_error_that_names_its_file(tmp_path: Path) -> None:
    folder = broken_set(tmp_path / "mine", rate="{{ descripton }}")
    with pytest.raises(UserError, match="descripton") as found:
        listing(Config(prompts=str(folder)))
    assert "rate.jinja" in str(vars(found.value))


@pytest.mark.parametrize(("chat", "name"), [("{{ messages }}", "instruct"), (None, "completion")])
def test_a_gguf_file_is_asked_by_its_own_chat_template(tmp_path: Path, chat: str | None, name: str) -> None:
    pytest.importorskip("gguf")
    from tests.probing.tiny_gguf import tiny_model, write_gguf

    assert prompt_set_of(Config(model=str(write_gguf(tmp_path / "m.gguf", tiny_model(), chat=chat)))).name == name


@pytest.mark.parametrize("argv", [["--prompts", "nosuchset"], ["--prompts", "configs/seedling.yaml"], ["--keys", "--prompts"]])
def test_a_wrong_call_is_the_users_error(argv: list[str]) -> None:
    with pytest.raises(UserError):
        main(argv)


def test_the_command_shows_the_set_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prompts", "completion"]) == 0
    assert "prompt set  completion" in capsys.readouterr().out
    assert main(["--prompts"]) == 0  # the laptop's config
    assert "prompt set  seedling" in capsys.readouterr().out
