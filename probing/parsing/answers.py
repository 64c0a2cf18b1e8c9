"""The code block in an answer that is no program, such as test inputs (programs: `probing.reading`). Texts only; nothing is executed."""

from __future__ import annotations

import warnings

from probing.reading.blocks import blocks_of, without_language_line
from probing.reading.parsing import Parser
from probing.reading.text import answer_text


def code_block(text: str) -> str | None:
    """The first fenced code block that is not empty, also one that was cut off before its closing fence; None when there is none."""
    text = answer_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about the code are of no interest here
        block = next((block for block in blocks_of(text, Parser(len(text))) if block.fenced), None)
    return without_language_line(block.text).strip("\n").rstrip() if block else None
