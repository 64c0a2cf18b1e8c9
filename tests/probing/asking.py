"""Questions as they are worded, without a chat format."""

from __future__ import annotations

from typing import Any

from probing.prompt import Question
from probing.templates import load_prompt_set


def ask(skill: str, **fields: Any) -> Question:
    """The bundled model's wording."""
    prompt = load_prompt_set("seedling").render(skill, **fields)
    return Question(prompt.user, prompt.prefill, prompt.stop)
