"""Asking a model: a prompt set in the model's chat format, and answers that start with what was written for the model.

ask = Asker.of(tokenizer)
questions = [ask("solve", description=..., interface=...)]
groups = answers_to(sampler, questions, n=16, params=SamplingParams(), seed=0)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from probing.models.chat_template import render_chat, start_of_text
from probing.prompt import Prompt, Question
from probing.prompts.templates import PromptSet, find_prompt_set
from probing.reading.text import closing_tag, opened_thinking
from probing.samplers.base import Completion, Progress, Sampler, SamplingParams, StreamingSampler

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Ask(Protocol):
    """Makes a question of one of the skills in `probing.prompts.templates.SKILLS`."""

    @property
    def variants(self) -> int:
        """In how many ways the set words `invent`: other examples, other hints."""
        ...

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that the set's models know; empty: any."""
        ...

    @property
    def examples(self) -> list[str]:
        """The statements of the worked examples that the prompts show."""
        ...

    @property
    def stdin_examples(self) -> list[str]:
        """The same for problems whose solutions are programs."""
        ...

    def __call__(self, skill: str, **fields: Any) -> Question: ...


class Asker:
    """The prompts of one prompt set in the chat format of one tokenizer. Satisfies `Ask`."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompts: PromptSet, template_args: Mapping[str, Any] | None = None) -> None:
        """template_args: arguments of the model's chat template, such as `enable_thinking`."""
        self.tokenizer, self.prompts, self.template_args = tokenizer, prompts, dict(template_args or {})

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, prompts: str | None = None, template_args: Mapping[str, Any] | None = None) -> Self:
        """prompts: see `find_prompt_set`."""
        return cls(tokenizer, find_prompt_set(prompts, tokenizer), template_args)

    def __call__(self, skill: str, **fields: Any) -> Question:
        return self.put(self.prompts.render(skill, **fields))

    @property
    def variants(self) -> int:
        return self.prompts.variants

    @property
    def topics(self) -> tuple[str, ...]:
        return self.prompts.topics

    @property
    def examples(self) -> list[str]:
        """The statements of the worked examples that the prompts show."""
        return [example["problem"] for example in self.prompts.examples]

    @property
    def stdin_examples(self) -> list[str]:
        """The same for problems whose solutions are programs."""
        return [example["problem"] for example in self.prompts.stdin_examples]

    def put(self, prompt: Prompt) -> Question:
        """Any prompt in the model's chat format, or as the document that it is."""
        if self.prompts.document:
            text = start_of_text(self.tokenizer) + prompt.user + prompt.prefill
            return Question(text, prompt.prefill, prompt.stop, prompt.choices)
        return chat_question(self.tokenizer, prompt, self.template_args)


def chat_question(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, template_args: Mapping[str, Any] | None = None) -> Question:
    """A prompt in the model's chat format. Raises jinja2's TemplateError when the chat template refuses the turns.

    A template may end in `<think>`. Readers have to know: the tag is then the start of the answer, so that an answer which never leaves its
    thinking is read as such. Where the answer's start is written for the model, or only a few answers count, the thinking is closed at
    once, as Qwen3's template closes it for `enable_thinking: false`: otherwise that start would be a part of the thinking.
    """
    text = render_chat(tokenizer, replace(prompt, prefill=""), template_args)
    start = opened_thinking(text)
    if start and (prompt.prefill or prompt.choices):
        text, start = f"{text}\n{closing_tag(start)}\n\n", ""
    return Question(text + prompt.prefill, start + prompt.prefill, prompt.stop, prompt.choices)


def answers_to(
    sampler: Sampler,
    questions: Sequence[Question],
    n: int,
    params: SamplingParams,
    seed: int,
    progress: Progress | None = None,
) -> list[list[Completion]]:
    """`n` answers to each question, whose text starts with the prefill. All questions must have the same stop strings."""
    return list(stream_answers(sampler, questions, n, params, seed, progress))


def stream_answers(
    sampler: Sampler,
    questions: Sequence[Question],
    n: int,
    params: SamplingParams,
    seed: int,
    progress: Progress | None = None,
) -> Iterator[list[Completion]]:
    """As `answers_to`, one question's answers after the other where the sampler can stream. The drawing begins at once."""
    stops = {question.stop for question in questions}
    assert len(stops) <= 1, "questions that are asked together end alike"
    draw = sampler.stream if isinstance(sampler, StreamingSampler) else sampler.sample
    groups = draw([question.text for question in questions], n, replace(params, stop=next(iter(stops), ())), seed, progress)
    return (
        [replace(answer, text=question.prefill + answer.text) for answer in group] if question.prefill else group
        for question, group in zip(questions, groups, strict=True)
    )
