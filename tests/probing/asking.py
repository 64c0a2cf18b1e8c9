"""Questions as they are worded, without a chat format."""

from __future__ import annotations

from typing import Any

from probing.prompt import Question
from probing.prompts.templates import load_prompt_set


class Wording:
    """A prompt set, here the bundled model's, as an `Ask`."""

    def __init__(self, name: str = "seedling") -> None:
        self.prompts = load_prompt_set(name)
        self.variants, self.topics = self.prompts.variants, self.prompts.topics
        self.examples = [example["problem"] for example in self.prompts.examples]
        self.stdin_examples = [example["problem"] for example in self.prompts.stdin_examples]

    def __call__(self, skill: str, **fields: Any) -> Question:
        prompt = self.prompts.render(skill, **fields)
        return Question(prompt.user, prompt.prefill, prompt.stop)


ask = Wording()
