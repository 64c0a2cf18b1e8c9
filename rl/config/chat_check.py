"""Whether a model can be asked as the config says: the prompt set, and the arguments of the chat template, before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jinja2

from probing.models.chat_template import render_chat, unknown_arguments
from probing.prompt import Prompt
from probing.prompts.templates import DEEPEN, DEEPEN_STDIN, STDIN_SKILLS, PromptSet, PromptSetError, find_prompt_set
from rl.console import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rl.config.schema import Config


def check_chat(tokenizer: PreTrainedTokenizerBase, config: Config) -> None:
    """Raises UserError for a prompt set that is not there or that the chat template refuses, and for arguments that it does not know."""
    check_template_args(tokenizer, config.chat_template_args, "chat_template_args")
    check_template_args(tokenizer, config.evals.chat_template_args or {}, "evals.chat_template_args")
    try:
        prompts = find_prompt_set(config.prompts, tokenizer)
    except PromptSetError as error:
        raise UserError(str(error), "prompts", "see ucoder config --prompts") from None
    reads_stdin = config.problems.io == "stdin"
    if reads_stdin:
        check_skills(prompts, [s for s in STDIN_SKILLS if config.problems.self_made or s != "invent_stdin"], "problems.io: stdin")
    if config.problems.depth:
        check_skills(prompts, [DEEPEN_STDIN if reads_stdin else DEEPEN], "problems.depth")
    for skill in () if prompts.document else prompts.skills:
        try:
            render_chat(tokenizer, Prompt("?", prompts.settings.get(skill, {}).get("system")), config.chat_template_args)
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            said = f"the model's chat template refuses the prompt of the skill {skill} in the prompt set {prompts.name}: {error}"
            raise UserError(said, "prompts", "give a set whose set.yaml has no `system` for it, or other chat_template_args") from None


def check_skills(prompts: PromptSet, skills: Sequence[str], what: str) -> None:
    """Raises UserError for a prompt set that lacks skills which a run needs. what: the setting that needs them."""
    if lacking := [f"{skill}.jinja" for skill in skills if skill not in prompts.skills]:
        said = f"the prompt set {prompts.name} lacks {', '.join(lacking)}, which {what} needs"
        raise UserError(said, f"prompts: {prompts.folder}", "take the set instruct, or completion for a base model, or add the templates")


def check_template_args(tokenizer: PreTrainedTokenizerBase, args: Mapping[str, Any], where: str) -> None:
    """Raises UserError for arguments that the chat template does not mention: it would ignore them."""
    if args and not tokenizer.chat_template:
        raise UserError(f"the model has no chat template, and so no arguments of one ({', '.join(args)})", where, f"drop {where}")
    for name, near in unknown_arguments(tokenizer, args).items():
        remedy = f"did you mean {near}?" if near else "look into its chat_template.jinja (or tokenizer_config.json) for what it takes"
        raise UserError(f"the model's chat template knows no argument {name}", where, remedy)
