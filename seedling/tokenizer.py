"""The seedling's tokenizer: byte-level BPE with every digit its own token, and a chat template in Qwen's format."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from probing.prompts.templates import CHECKPOINT_KEY
from seedling.bench import held_out
from seedling.corpus import TOKENIZER_DOCUMENTS, documents

VOCABULARY = 1024
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
# Qwen2's splitting rule: words with one leading mark, single digits, runs of punctuation, line breaks, indentation
_SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Trains the vocabulary on sample texts of the corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, padding_side="left")
    fast.chat_template = CHAT_TEMPLATE
    fast.init_kwargs[CHECKPOINT_KEY] = "seedling"
    return fast


def corpus_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """The tokenizer of the corpus with this seed: its vocabulary is trained on the first documents."""
    sample = itertools.islice(documents(seed, held_out()), TOKENIZER_DOCUMENTS)
    return train_tokenizer(part for d in sample for part in render_document(d.prompt, d.answer))


def render_document(prompt: str, answer: str) -> tuple[str, str]:
    """(text before the answer, the answer with its end token): the loss is on the second part."""
    return f"{START}user\n{prompt}{END}\n{START}assistant\n", f"{answer}{END}"
