"""What a model's chat template says beside its words: which arguments it takes, and which token ends an answer."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import jinja2

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

    A template ignores what it does not know: a misspelt argument would change nothing, and nobody would be told.
    """
    words = set(re.findall(r"[A-Za-z_]\w*", tokenizer.get_chat_template() if tokenizer.chat_template else ""))
    unknown = sorted(set(names) - words)
    return {name: next(iter(difflib.get_close_matches(name, words, 1, 0.7)), None) for name in unknown}
