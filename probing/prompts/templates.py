"""Prompt sets: the wording of what stages 1 to 5 ask, one folder each (`probing/prompts/sets/NAME`, or a folder of the user's).

A set holds a template a skill (`invent.jinja`, `rate.jinja`, ...), which gives the user's turn, and optionally `set.yaml`:

- for each skill, how the answer starts (`prefill`), what ends it (`stop`) and the system turn (`system`);
- for `invent` also in how many ways its template words it (`variants`; the template gets the field `variant`), and the `topics` that
  its models know, where they know few;
- for all skills that invent problems worked `examples`, which the template gets and proposals may not repeat;
- for `rate` the digits to choose among (`choices`): a sampler that can gives their probabilities, where others draw an answer;
- `form: document` where the templates are texts for a base model to continue. `chat`, the default: turns in a model's chat format.

A set may also have `signature.jinja`: `ucoder solve` asks for a signature where a statement shows none. For problems whose
solutions are programs (`problems.io: stdin`) it needs `tests_stdin.jinja` and `solve_stdin.jinja`, and to invent some also
`invent_stdin.jinja`. For steps beyond solved problems (`problems.depth`) it needs `deepen.jinja`, or
`deepen_stdin.jinja`, which get a solved problem and the field `variant`.

`probing.prompts.asking` makes questions of them.

A checkpoint may name its set (`ucoder_prompts` in its tokenizer_config.json), as the bundled one does, which was pretrained on its own.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import jinja2
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from probing.prompt import Prompt
from probing.prompts.example import FIELDS, example_fields

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SKILLS = ("invent", "rate", "interface", "tests", "asserts", "solve")
STDIN_SKILLS = ("invent_stdin", "tests_stdin", "solve_stdin")  # in the place of invent, tests and solve where solutions are programs
DEEPEN, DEEPEN_STDIN = "deepen", "deepen_stdin"  # for a step beyond a solved problem (`problems.depth`)
INVENTING = ("invent", DEEPEN, "invent_stdin", DEEPEN_STDIN)  # skills whose answer is a problem, and that may show worked examples
OPTIONAL = ("signature", DEEPEN, *STDIN_SKILLS, DEEPEN_STDIN)  # skills that a set may lack
FOLDER = Path(__file__).parent / "sets"
CHECKPOINT_KEY = "ucoder_prompts"
INSTRUCT, COMPLETION = "instruct", "completion"  # the sets of models with and without a chat template


class PromptSetError(ValueError):
    """A prompt set that is not there, or is not whole. The message says where it was looked for and what is missing."""


@dataclass(frozen=True)
class PromptSet:
    """The prompts of all skills."""

    name: str
    folder: Path
    settings: dict[str, Any]  # what set.yaml says

    @property
    def document(self) -> bool:
        """Whether prompts are texts that a base model continues, and not turns of a chat."""
        return bool(self.settings.get("form", "chat") == "document")

    @property
    def skills(self) -> tuple[str, ...]:
        """The skills that the set has a template for."""
        return SKILLS + tuple(skill for skill in OPTIONAL if (self.folder / f"{skill}.jinja").is_file())

    @property
    def variants(self) -> int:
        """In how many ways `invent` is worded."""
        return int(self.settings.get("invent", {}).get("variants", 1))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that the set's models know, where they know few; empty: any."""
        return tuple(self.settings.get("invent", {}).get("topics", ()))

    def examples_of(self, skill: str) -> list[dict[str, str]]:
        """Worked examples of a skill that invents problems: title, problem, signature and example, or (of programs) input and output."""
        return list(self.settings.get(skill, {}).get("examples", []))

    @property
    def examples(self) -> list[dict[str, str]]:
        """All worked examples of functions that the prompts show."""
        return self.examples_of("invent") + self.examples_of(DEEPEN)

    @property
    def stdin_examples(self) -> list[dict[str, str]]:
        """All worked examples of programs that the prompts show."""
        return self.examples_of("invent_stdin") + self.examples_of(DEEPEN_STDIN)

    def render(self, skill: str, **fields: Any) -> Prompt:
        """The prompt of one of `skills`. Raises PromptSetError for another skill, `jinja2.UndefinedError` when a field is missing."""
        if skill not in self.skills:
            raise PromptSetError(f"the prompt set in {self.folder} has no {skill}.jinja")
        settings = self.settings.get(skill, {})
        if skill in INVENTING:
            fields = {"examples": self.examples_of(skill), **fields}
        prefill, system = settings.get("prefill", ""), settings.get("system")
        text = _environment(self.folder).get_template(f"{skill}.jinja").render(**fields)
        return Prompt(
            user=text.lstrip() if self.document else text.strip(),
            system=system,
            prefill=_environment(self.folder).from_string(prefill).render(**fields) if prefill else "",
            stop=tuple(settings.get("stop", ())),
            choices=tuple(settings.get("choices", ())),
        )


@functools.cache
def _environment(folder: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
    )


@functools.cache
def load_prompt_set(name: str) -> PromptSet:
    """A set by its name in `probing/prompts/sets`, or by the path of a folder. Raises PromptSetError."""
    folder = FOLDER / name if name.isidentifier() else Path(name).expanduser()
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in FOLDER.iterdir() if path.is_dir()))
        raise PromptSetError(f"there is no prompt set {name!r}: give one of {known}, or a folder")
    missing = [f"{skill}.jinja" for skill in SKILLS if not (folder / f"{skill}.jinja").is_file()]
    if missing:
        raise PromptSetError(f"the prompt set in {folder} lacks {', '.join(missing)}")
    try:
        settings = yaml.safe_load((folder / "set.yaml").read_text(encoding="utf-8")) if (folder / "set.yaml").is_file() else {}
        for skill in PromptSet(name, folder, {}).skills:
            _environment(folder).get_template(f"{skill}.jinja")
    except (yaml.YAMLError, UnicodeDecodeError, jinja2.TemplateError) as error:
        raise PromptSetError(f"the prompt set in {folder} cannot be read: {error}") from None
    _check_settings(folder, settings)
    found = PromptSet(name, folder, settings)
    for skill in found.skills:
        _check_filled(found, skill)
    return found


def _check_filled(prompts: PromptSet, skill: str) -> None:
    """A template that cannot be filled would end a run at the stage that asks with it."""
    try:
        prompts.render(skill, **example_fields(skill))
    except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        place = f"{prompts.folder / f'{skill}.jinja'} (or its prefill in set.yaml)"
        raise PromptSetError(f"the prompt in {place} cannot be filled: {error}. It gets {', '.join(FIELDS[skill])}") from None


class Worked(BaseModel):
    """A worked example of `invent`."""

    model_config = ConfigDict(extra="forbid")
    title: str = Field(min_length=1)
    problem: str = Field(min_length=1)
    signature: str = Field(min_length=1)
    example: str = Field(min_length=1)


class WorkedProgram(BaseModel):
    """A worked example of `invent_stdin`."""

    model_config = ConfigDict(extra="forbid")
    title: str = Field(min_length=1)
    problem: str = Field(min_length=1)
    input: str = Field(min_length=1)
    output: str = Field(min_length=1)


class SkillSettings(BaseModel):
    """What `set.yaml` may say of a skill."""

    model_config = ConfigDict(extra="forbid")
    prefill: str = ""
    system: str | None = None
    stop: list[Annotated[str, Field(min_length=1)]] = []


class RateSettings(SkillSettings):
    choices: list[Annotated[str, Field(pattern=r"^\d$")]] = []


class InventSettings(SkillSettings):
    variants: int = Field(1, ge=1)
    topics: list[Annotated[str, Field(min_length=1)]] = []
    examples: list[Worked] = []


class DeepenSettings(SkillSettings):
    examples: list[Worked] = []


class StdinInventSettings(SkillSettings):
    examples: list[WorkedProgram] = []


SETTINGS: dict[str, type[SkillSettings]] = {
    "invent": InventSettings,
    DEEPEN: DeepenSettings,
    "invent_stdin": StdinInventSettings,
    DEEPEN_STDIN: StdinInventSettings,
    "rate": RateSettings,
}


def _check_settings(folder: Path, settings: Any) -> None:
    if not isinstance(settings, dict):
        raise PromptSetError(f"{folder / 'set.yaml'} must map skills to settings")
    for skill, values in settings.items():
        if skill == "form":
            if values not in ("chat", "document"):
                raise PromptSetError(f"{folder / 'set.yaml'}: form must be chat or document, not {values!r}")
            continue
        if skill not in SKILLS + OPTIONAL:
            raise PromptSetError(f"{folder / 'set.yaml'}: {skill!r} is neither form nor one of {', '.join(SKILLS + OPTIONAL)}")
        try:
            SETTINGS.get(skill, SkillSettings).model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, (skill, *first["loc"])))
            raise PromptSetError(f"{folder / 'set.yaml'}: {place}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None


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
