"""The prompt templates of stages 1 to 5 (`probing/prompts/*.jinja`), one wording for every model.

`render` gives the user's turn; `probing.models.render_chat` puts it into a model's chat format. The bundled base model was
pretrained on these very templates.
"""

from __future__ import annotations

import functools
from pathlib import Path

import jinja2

SKILLS = ("invent", "rate", "interface", "tests", "solve")


@functools.cache
def _environment() -> jinja2.Environment:
    folder = Path(__file__).parent / "prompts"
    return jinja2.Environment(loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined, autoescape=False)


def render(skill: str, **fields: str) -> str:
    """The user's turn for one of `SKILLS`. Raises `jinja2.UndefinedError` when a field is missing.

    >>> render("rate", description="Add one.").splitlines()[-1]
    'Add one.'
    """
    return _environment().get_template(f"{skill}.jinja").render(**fields).strip()
