"""`ucoder config --prompts`: the prompts that a config's prompt set gives, filled with an example, as a model's user would read them."""

from __future__ import annotations

from pathlib import Path

import jinja2

from probing.models.gguf_header import read_header
from probing.models.loading import ModelError, load_tokenizer
from probing.prompt import Prompt
from probing.prompts.templates import COMPLETION, INSTRUCT, STDIN_SKILLS, PromptSet, PromptSetError, find_prompt_set, load_prompt_set
from rl.config.schema import Config
from rl.console import UserError
from rl.models.source import check_model, names_gguf

EXAMPLE = {  # what a problem fills the templates with
    "description": "Given a list of integers, return the sum of its even numbers. An empty list gives 0.",
    "signature": "def sum_of_evens(numbers: list[int]) -> int:",
    "interface": 'def sum_of_evens(numbers: list[int]) -> int:\n    """Sum of the even numbers; 0 for an empty list."""',
    "entry": "sum_of_evens",
    "call": "sum_of_evens([1, 2, 4])",
}
STDIN_EXAMPLE = {  # and one whose solution is a program
    "description": "The first line holds n, the second line n integers. Print the sum of those that are even, 0 if there is none.",
    "example": "Input:\n3\n1 2 4\nOutput:\n6",
    "input": "3\n1 2 4\n",
}
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
            return load_prompt_set(INSTRUCT if read_header(Path(source).expanduser()).value("tokenizer.chat_template") else COMPLETION)
        return find_prompt_set(None, load_tokenizer(source))
    except PromptSetError as error:
        raise UserError(str(error), "prompts", "name a bundled set: ucoder config --prompts instruct") from None
    except ModelError as error:
        raise UserError(f"{error}; it decides which prompts are used", "model", "name a set: ucoder config --prompts instruct") from None


def listing(config: Config) -> str:
    """Every prompt of the config's set: system and user turn, how the answer starts, what ends it. Raises UserError."""
    prompts = prompt_set_of(config)
    kind = "texts that a base model continues" if prompts.document else "turns of a chat, put into the model's own chat format"
    blocks = [f"prompt set  {prompts.name}\nfolder      {prompts.folder}\nprompts     {kind}"]
    topic = (prompts.topics or config.problems.topics)[0]
    for skill in prompts.skills:
        try:
            fields = STDIN_EXAMPLE if skill in STDIN_SKILLS else EXAMPLE
            prompt = prompts.render(skill, **fields, topic=topic, variant=0)
        except jinja2.TemplateError as error:
            raise UserError(f"the prompt {skill} cannot be filled: {error}", str(prompts.folder / f"{skill}.jinja"), "mend it") from None
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
