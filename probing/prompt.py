"""One question to a model: what the user says, how the answer starts, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """A question before it is put into a model's chat format.

    >>> Prompt("Add two numbers.", prefill="```python\\n", stop=("\\n```",)).prefill
    '```python\\n'
    """

    user: str  # the user's turn
    system: str | None = None  # the system turn; None: whatever the model's chat template has by default
    prefill: str = ""  # the start of the answer, written for the model; readers see prefill + completion
    stop: tuple[str, ...] = ()  # strings that end the answer; they are not part of its text
    choices: tuple[str, ...] = ()  # the only answers that count, where there are so few that their probabilities can be read


@dataclass(frozen=True)
class Question:
    """A prompt in a model's chat format, ready to be tokenised (with `add_special_tokens=False`)."""

    text: str  # prompt and prefill
    prefill: str = ""  # the start of the answer: what was written for the model, or the `<think>` that its chat template ends in
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
