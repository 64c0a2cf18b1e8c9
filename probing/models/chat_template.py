"""A model's chat template: a prompt rendered by it, which arguments it takes, and which token ends an answer. torch is not imported."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jinja2

from probing.prompt import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Arguments of `apply_chat_template` itself, which say what is rendered, or in what form it comes back.
RESERVED = frozenset(
    {
        *("conversation", "messages", "tools", "documents", "chat_template", "add_generation_prompt", "continue_final_message"),
        *("tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
        *("tokenizer_kwargs", "processor_kwargs", "load_audio_from_video"),
    }
)
ANSWER = "4711"  # what an answer is while its template is looked at: digits, which no template changes

# A base model has no chat template; it gets this plain one, which code models have met in instruction data.
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}\n\n"
    "{% elif message['role'] == 'user' %}### Instruction:\n{{ message['content'] }}\n\n"
    "{% else %}### Response:\n{{ message['content'] }}{{ eos_token }}\n\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}### Response:\n{% endif %}"
)


def render_chat(tokenizer: PreTrainedTokenizerBase, prompt: Prompt | str, template_args: Mapping[str, Any] | None = None) -> str:
    """A prompt (or a user's turn alone), ready for the answer: by the model's own chat template, or `PLAIN_TEMPLATE` where it has none.

    template_args: arguments of the chat template, such as `enable_thinking`. The prefill follows the template's generation prompt.
    Tokenise the result with `add_special_tokens=False`: whatever the template wants is already in it.
    """
    prompt = Prompt(prompt) if isinstance(prompt, str) else prompt
    template = None if tokenizer.chat_template else PLAIN_TEMPLATE
    turns = [{"role": "system", "content": prompt.system}] if prompt.system is not None else []
    turns.append({"role": "user", "content": prompt.user})
    rendered = tokenizer.apply_chat_template(
        turns, chat_template=template, tokenize=False, add_generation_prompt=True, **(template_args or {})
    )
    assert isinstance(rendered, str)
    return rendered + prompt.prefill


def start_of_text(tokenizer: PreTrainedTokenizerBase) -> str:
    """The special tokens that the tokenizer adds before any text, as text."""
    text = tokenizer.decode(tokenizer("").input_ids)
    assert isinstance(text, str)
    return text


def turn_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The special token that the chat template writes after an answer, such as `<|im_end|>`; None where it writes none.

    A tokenizer may name another token as its end: base models, whose documents end in `<|endoftext|>`, are shipped with chat templates.
    """
    if not tokenizer.chat_template:
        return None
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": ANSWER}]
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    except (jinja2.TemplateError, TypeError, ValueError):  # a template for questions alone
        return None
    _, answer, after = text.rpartition(ANSWER)
    ids = tokenizer(after.lstrip(), add_special_tokens=False)["input_ids"] if answer else []
    added = tokenizer.added_tokens_decoder
    return int(ids[0]) if ids and ids[0] in added and added[ids[0]].special else None


def unknown_arguments(tokenizer: PreTrainedTokenizerBase, names: Iterable[str]) -> dict[str, str | None]:
    """Those names that the chat template does not mention, each with the word in it that is most like it.

    A template ignores what it does not know: without this check a misspelt argument would change nothing, silently.
    """
    words = set(re.findall(r"[A-Za-z_]\w*", tokenizer.get_chat_template() if tokenizer.chat_template else ""))
    unknown = sorted(set(names) - words)
    return {name: next(iter(difflib.get_close_matches(name, words, 1, 0.7)), None) for name in unknown}
