"""`ucoder config --prompts`: the prompts that a config's prompt set gives, filled with an example, as a model's user would read them."""

from __future__ import annotations

from pathlib import Path

from probing.models.gguf_header import read_header
from probing.prompt import Prompt
from probing.prompts.example import example_fields
from probing.prompts.templates import COMPLETION, INSTRUCT, PromptSet, PromptSetError, find_prompt_set, load_prompt_set
from rl.config.schema import Config
from rl.console import UserError
from rl.models.source import check_model, names_gguf

WIDTH = 80


def prompt_set_of(config: Config) -> PromptSet:
    """The set that a run of this config asks with.

    Raises UserError where there is no such set, or where the config names none and the model that would decide cannot be looked into.
    """
    try:
        if config.prompts is not None:
            return load_prompt_set(config.prompts)
        source = check_model(config.model)
        if names_gguf(source):
            chat = read_header(Path(source).expanduser()).metadata.get("tokenizer.chat_template")
            return load_prompt_set(INSTRUCT if chat else COMPLETION)
        return _by_tokenizer(source)
    except PromptSetError as error:
        raise UserError(str(error), "prompts", "name a bundled set: ucoder config --prompts instruct") from None


def _by_tokenizer(source: str) -> PromptSet:
    """The set that the model's tokenizer decides. Raises UserError where it cannot be loaded."""
    from probing.models.loading import ModelError, load_tokenizer  # a set that is named is shown in a light install too

    try:
        return find_prompt_set(None, load_tokenizer(source))
    except ModelError as error:
        raise UserError(f"{error}; it decides which prompts are used", "model", "name a set: ucoder config --prompts instruct") from None


def listing(config: Config) -> str:
    """Every prompt of the config's set: system and user turn, how the answer starts, what ends it. Raises UserError."""
    prompts = prompt_set_of(config)
    kind = "texts that a base model continues" if prompts.document else "turns of a chat, put into the model's own chat format"
    blocks = [f"prompt set  {prompts.name}\nfolder      {prompts.folder}\nprompts     {kind}"]
    topic = (prompts.topics or config.problems.topics)[0]
    for skill in prompts.skills:
        fields = example_fields(skill)
        prompt = prompts.render(skill, **(fields | {"topic": topic} if "topic" in fields else fields))
        title = f"── {skill} " + (
            f"(1 of {prompts.variants} wordings) " if skill in ("invent", "invent_stdin") and prompts.variants > 1 else ""
        )
        blocks.append(title.ljust(WIDTH, "─") + "\n" + parts_of(prompt, prompts.document))
    return "\n\n".join(blocks) + "\n"


def parts_of(prompt: Prompt, document: bool) -> str:
    """The parts of a prompt under their names; parts that it does not have are left out."""
    parts = [] if prompt.system is None else [("system", prompt.system)]
    parts.append(("text" if document else "user", prompt.user))
    if prompt.prefill:
        parts.append(("the answer starts with", prompt.prefill))
    text = "\n".join(f"[{name}]\n{value.rstrip()}" for name, value in parts)
    if prompt.stop:
        text += "\n[the answer ends before] " + ", ".join(repr(stop) for stop in prompt.stop)
    if prompt.choices:
        text += "\n[choices] " + ", ".join(prompt.choices)
    return text
