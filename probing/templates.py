"""Prompt sets: the wording of what stages 1 to 5 ask, one folder each (`probing/prompts/NAME`, or a folder of the user's).

A set holds a template a skill (`invent.jinja`, `rate.jinja`, ...), which gives the user's turn, and optionally `set.yaml`, which says for
each skill how the answer starts (`prefill`), what ends it (`stop`) and the system turn (`system`). `probing.asking` puts them into a
model's chat format.

A checkpoint may name its set (`ucoder_prompts` in its tokenizer_config.json), as the bundled one does, which was pretrained on its own.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import yaml

from probing.prompt import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SKILLS = ("invent", "rate", "interface", "tests", "asserts", "solve")
FOLDER = Path(__file__).parent / "prompts"
CHECKPOINT_KEY = "ucoder_prompts"
INSTRUCT, COMPLETION = "instruct", "completion"  # the sets of models with and without a chat template


class PromptSetError(ValueError):
    """A prompt set that is not there, or is not whole. The message says where it was looked for and what is missing."""


@dataclass(frozen=True)
class PromptSet:
    """The prompts of all skills."""

    name: str
    folder: Path
    settings: dict[str, dict[str, Any]]  # of each skill: prefill, stop, system

    def render(self, skill: str, **fields: Any) -> Prompt:
        """The prompt of one of `SKILLS`. Raises `jinja2.UndefinedError` when a field is missing."""
        settings = self.settings.get(skill, {})
        prefill, system = settings.get("prefill", ""), settings.get("system")
        return Prompt(
            user=_environment(self.folder).get_template(f"{skill}.jinja").render(**fields).strip(),
            system=system,
            prefill=_environment(self.folder).from_string(prefill).render(**fields) if prefill else "",
            stop=tuple(settings.get("stop", ())),
        )


@functools.cache
def _environment(folder: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
    )


@functools.cache
def load_prompt_set(name: str) -> PromptSet:
    """A set by its name in `probing/prompts`, or by the path of a folder. Raises PromptSetError."""
    folder = FOLDER / name if name.isidentifier() else Path(name).expanduser()
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in FOLDER.iterdir() if path.is_dir()))
        raise PromptSetError(f"there is no prompt set {name!r}: give one of {known}, or a folder")
    missing = [f"{skill}.jinja" for skill in SKILLS if not (folder / f"{skill}.jinja").is_file()]
    if missing:
        raise PromptSetError(f"the prompt set in {folder} lacks {', '.join(missing)}")
    try:
        settings = yaml.safe_load((folder / "set.yaml").read_text(encoding="utf-8")) if (folder / "set.yaml").is_file() else {}
        for skill in SKILLS:
            _environment(folder).get_template(f"{skill}.jinja")
    except (yaml.YAMLError, UnicodeDecodeError, jinja2.TemplateError) as error:
        raise PromptSetError(f"the prompt set in {folder} cannot be read: {error}") from None
    _check_settings(folder, settings)
    return PromptSet(name, folder, settings)


def _check_settings(folder: Path, settings: Any) -> None:
    kinds = {"prefill": str, "system": str, "stop": list}
    if not isinstance(settings, dict):
        raise PromptSetError(f"{folder / 'set.yaml'} must map skills to settings")
    for skill, values in settings.items():
        if skill not in SKILLS or not isinstance(values, dict):
            raise PromptSetError(f"{folder / 'set.yaml'}: {skill!r} is none of {', '.join(SKILLS)}, or has no settings below it")
        for key, value in values.items():
            if (
                key not in kinds
                or not isinstance(value, kinds[key])
                or (key == "stop" and not all(isinstance(s, str) and s for s in value))
            ):
                raise PromptSetError(f"{folder / 'set.yaml'}: {skill}.{key} must be prefill or system (a text) or stop (a list of texts)")


def find_prompt_set(name: str | None, tokenizer: PreTrainedTokenizerBase) -> PromptSet:
    """The set that is asked for by name or folder; None: the one that the checkpoint names, else the default for its kind of model."""
    default = INSTRUCT if tokenizer.chat_template else COMPLETION
    return load_prompt_set(name or tokenizer.init_kwargs.get(CHECKPOINT_KEY) or default)


def render(skill: str, **fields: str) -> str:
    """The user's turn in the set of the bundled model.

    >>> render("rate", description="Add one.").splitlines()[-1]
    'Add one.'
    """
    return load_prompt_set("seedling").render(skill, **fields).user
