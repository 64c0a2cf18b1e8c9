"""How HumanEval and MBPP are put to a model: `evalplus`, `qwen` or `plain` (`evals.prompt`).

| style    | source                                                                                      |
|----------|---------------------------------------------------------------------------------------------|
| evalplus | evalplus 0.3.1: `codegen.py`, `provider/utility.py`, `provider/hf.py`                       |
| qwen     | QwenLM/Qwen2.5-Coder at d5ead97: `qwencoder-eval/instruct/eval_plus/model.py`, class ChatML |
| plain    | a question as a chat user would write it: no system turn, no prefill, no stop strings       |

A published score belongs to its prompt: the words below are those of the public harnesses, to the character. A model without a chat
template continues the code prompt, as evalplus has its base models do, whatever the style. Other benchmarks have their own prompts.
What else the harnesses set: evalplus samples at most 768 tokens, with top-p 0.95 where it is not greedy; Qwen's at most 2,048.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from probing.prompt import Prompt, Question
from rl.console import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Style = Literal["evalplus", "qwen", "plain"]

INSTRUCTION = "Please provide a self-contained Python script that solves the following problem in a markdown code block:"
RESPONSE = "Below is a Python script with a self-contained function that solves the problem and passes corresponding tests:"
EVALPLUS_STOPS = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")
CONTINUATION_STOPS = {
    "humaneval": ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "),
    "mbpp": ('\n"""', "\nassert"),
    "bigcodebench": ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "),
}
QWEN_SYSTEM = "You are an intelligent programming assistant to produce Python algorithmic solutions"


@dataclass(frozen=True)
class CodePrompt:
    """A task of HumanEval or MBPP before a style gives it words.

    >>> CodePrompt("def inc(x):\\n", "humaneval", "Write inc.").styled("evalplus").prefill.endswith("```python\\n")
    True
    """

    code: str  # the field `prompt` of evalplus's data: a function to be completed, or a docstring with an assert
    dataset: Literal["humaneval", "mbpp", "bigcodebench"]
    plain: str  # the user's turn of the style `plain`

    def styled(self, style: Style) -> Prompt:
        """The chat prompt of a style."""
        code = self.code.strip()
        match style:
            case "evalplus":
                user, prefill = f"{INSTRUCTION}\n```\n{code}\n```\n", f"{RESPONSE}\n```python\n"
                return Prompt(user, prefill=prefill, stop=(*EVALPLUS_STOPS, "\n```\n"))
            case "qwen":
                user = f"Can you complete the following Python function?\n```python\n{code}\n```\n"
                return Prompt(user, QWEN_SYSTEM, "```python\n", (*EVALPLUS_STOPS, "\n#", "\n```"))
            case "plain":
                return Prompt(self.plain)

    def continued(self, tokenizer: PreTrainedTokenizerBase) -> Question:
        """The code itself, for a model without a chat template; its answers start with that code."""
        from probing.models.chat_template import start_of_text

        code = self.code.strip() + "\n"
        return Question(start_of_text(tokenizer) + code, code, (*EVALPLUS_STOPS, *CONTINUATION_STOPS[self.dataset]))


def statement_prompt(statement: str, check: str) -> str:
    """A task in the form in which evalplus puts MBPP's: a docstring with the statement and one assert."""
    return f'"""\n{statement}\n{check}\n"""\n'


def question_of(
    tokenizer: PreTrainedTokenizerBase, prompt: str | Prompt | CodePrompt, style: Style, template_args: Mapping[str, Any] | None = None
) -> Question:
    """A task's prompt in the model's own format. Raises UserError when its chat template refuses the turns.

    prompt: a user's turn or a `Prompt` is a benchmark's own and has no styles.
    """
    from jinja2.exceptions import TemplateError

    from probing.prompts.asking import chat_question  # torch: not needed where nothing is asked

    if isinstance(prompt, CodePrompt):
        if not tokenizer.chat_template:
            return prompt.continued(tokenizer)
        prompt = prompt.styled(style)
    prompt = Prompt(prompt) if isinstance(prompt, str) else prompt
    try:
        return chat_question(tokenizer, prompt, template_args)
    except TemplateError as error:
        said = f"the model's chat template refuses the prompt {style!r}: {error}"
        raise UserError(said, "evals.prompt", "choose another style; evalplus and plain have no system turn") from error


def with_spaces(text: str) -> str:
    """A completion as both public harnesses hand it on: four spaces for each tab."""
    return text.replace("\t", "    ")
