"""The text of an answer before it is taken apart: no thinking, one kind of newline, no byte order mark."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from itertools import pairwise

from probing.reading.parsing import NEUTRAL, Parser, scan

MAX_CHARACTERS = 1_000_000  # of an answer that are read
_BOM_READ_AS_LATIN_1 = "ï»¿"
_QUOTE_IN_FRONT, _QUOTE_BEHIND = re.compile(r"[\"']\Z|(?<!`)`\Z"), re.compile(r"[\"']|`(?!`)")
_TAG = r"(?:seed:)?(?:think|thinking|thought|thoughts|thinking_process|thought_process|reasoning|scratchpad)"
_OPEN = rf"(?:<{_TAG}>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|START_THINKING)\|>)"
_CLOSE = rf"(?:</{_TAG}>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING)\|>|\[BEGIN FINAL RESPONSE\])"
_THINKING = re.compile(rf"(?P<open>{_OPEN})|{_CLOSE}", re.IGNORECASE)
_FENCE_LINE = re.compile(r"^[ \t]*```[^`\n]*$", re.MULTILINE)
_OPENED = re.compile(rf"{_OPEN}\s*\Z", re.IGNORECASE)
# The channels of OpenAI's harmony format, with its special tokens or as they are left when those are taken out.
_ANALYSIS = re.compile(r"(?:<\|start\|>assistant)?(?:<\|channel\|>(?:analysis|commentary)\b|analysis(?=[A-Z]))")
_FINAL = re.compile(r"<\|channel\|>final[^<\n]*<\|message\|>|assistantfinal")
_NEXT_TURN = re.compile(r"<\|im_start\|>\s*user\b|<\|start_header_id\|>\s*user\b|<start_of_turn>\s*user\b|<\|user\|>|<｜User｜>")
# Where a model that does not stop goes on with the next task of its prompt: behind the end mark of MBPP's few-shot form, or a new request.
# A heading of more words, such as `## User input`, is a comment or a title of the answer's own.
_NEXT_TASK = re.compile(
    r"^[ \t]*\[DONE\][ \t]*$|^(?:#{2,4} (?:(?:Instruction|Human|User):?[ \t]*$|Human:)|(?:Human|User):|\[INST\])", re.MULTILINE
)
_FENCE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,})(?P<info>[^`\n]*)$", re.MULTILINE)
_CODE_IN_FRONT = re.compile(
    r"^[ \t]*(?:(?:async )?def|class|import|from|return)\b|^[ \t]*(?:\w+[ \t]*=[ \t]|print\()|```|~~~", re.MULTILINE
)
_END_OF_TEXT = re.compile(r"<(?:\|(?:endoftext|im_end|eot_id|end_of_text|end|EOT)\||eos|end_of_turn|｜end▁of▁sentence｜|/s)>")


def without_thinking(text: str) -> str:
    """What is said outside of thinking: a section that is never closed runs to the end, one that is never opened starts at the start.

    >>> without_thinking("<think>Perhaps 3?</think>It is 4."), without_thinking("Let me see")
    ('It is 4.', 'Let me see')
    """
    if _ANALYSIS.match(text.lstrip()):
        final = _FINAL.search(text)
        return text[final.end() :] if final else ""
    said: list[str] = []
    place, thinking = 0, False
    code = _code_with_tags(text)
    for tag in _THINKING.finditer(text):
        if any(start <= tag.start() < end for start, end in code) or _is_a_word(text, tag, thinking):
            continue
        if tag["open"]:
            if not thinking:
                said.append(text[place : tag.start()])
            thinking = True
        else:
            if not thinking:
                said = []
            place, thinking = tag.end(), False
    return "".join(said if thinking else [*said, text[place:]])


def _is_a_word(text: str, tag: re.Match[str], thinking: bool) -> bool:
    """Whether a thinking tag is one that the text is about."""
    opened, closed = _quotes_around(text, tag)
    if opened and closed:
        return True
    if tag["open"]:
        return opened or (closed and not _starts_line(text, tag))
    return not thinking and _is_quoted(text, tag)


def _is_quoted(text: str, mark: re.Match[str]) -> bool:
    """Whether a mark of a chat format is a word that code or prose is about. A quote on one side alone, with the end of the line on the
    other, is that of what stands there: `return "yes"<|im_end|>`.
    """
    opened, closed = _quotes_around(text, mark)
    ends_line = text[mark.end() : mark.end() + 1] in ("", "\n")
    return (opened and (closed or not ends_line)) or (closed and not _starts_line(text, mark))


def _quotes_around(text: str, mark: re.Match[str]) -> tuple[bool, bool]:
    """Whether a quote, or a single backtick, stands in front of the mark, and behind it."""
    front = text[max(mark.start() - 2, 0) : mark.start()]
    return _QUOTE_IN_FRONT.search(front) is not None, _QUOTE_BEHIND.match(text, mark.end()) is not None


def _starts_line(text: str, mark: re.Match[str]) -> bool:
    return mark.start() == 0 or text[mark.start() - 1] == "\n"


def _first_unquoted(mark: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next((found for found in mark.finditer(text) if not _is_quoted(text, found)), None)


def _code_with_tags(text: str) -> list[tuple[int, int]]:
    """(start, end) of code whose strings or comments hold thinking tags: it would not parse if they were more than words."""
    if _THINKING.search(text) is None:
        return []
    parser = Parser(len(text))
    if parser.body(text) is not None:
        return [(0, len(text))]
    found: list[tuple[int, int]] = []
    fences = [(fence.start(), fence.end()) for fence in _FENCE_LINE.finditer(text)]
    for (_, start), (end, _) in pairwise(fences):
        inside = text[start:end]
        if _THINKING.search(inside) is not None and parser.body(inside) is not None:
            found.append((start, end))
    return found


def opened_thinking(prompt: str) -> str:
    """The thinking tag that a prompt ends in, with the space behind it; empty where it ends otherwise.

    Some chat templates open the thinking themselves: the answer then holds the end tag alone, or, cut off, no tag at all.

    >>> opened_thinking("<|assistant|><think>\\n"), opened_thinking("<|assistant|><think></think>")
    ('<think>\\n', '')
    """
    opened = _OPENED.search(prompt)
    return opened.group() if opened else ""


def closing_tag(opened: str) -> str:
    """The tag that ends the thinking which `opened` (of `opened_thinking`) begins.

    >>> closing_tag("<think>\\n"), closing_tag("[THINK]"), closing_tag("<|begin_of_thought|>")
    ('</think>', '[/THINK]', '<|end_of_thought|>')
    """
    tag = opened.strip()
    if tag.startswith("<|"):
        return tag.replace("begin", "end").replace("START", "END")
    return f"{tag[0]}/{tag[1:]}"


def answer_text(answer: str) -> str:
    """The part of an answer that can hold its program, of its first `MAX_CHARACTERS`, with lines that end in a newline alone.

    A model that did not stop may go on with a turn of the user's and its own answer to it, or with the next task of a few-shot prompt: that
    is no part of the answer.
    Python reads carriage returns as newlines too, in strings as well; other separators, such as U+2028, end no line.
    """
    text = answer[:MAX_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n")
    turn = _first_unquoted(_NEXT_TURN, text)
    if turn is not None and text[: turn.start()].strip():
        text = text[: turn.start()]
    return _without_next_task(without_thinking(text)).removeprefix("\ufeff").removeprefix(_BOM_READ_AS_LATIN_1)


def _without_next_task(text: str) -> str:
    tasks = list(_NEXT_TASK.finditer(text))
    if not tasks:
        return text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about the code are of no interest here
        parser = Parser(len(text))
        if tasks[0].group().startswith("#") and parser.body(text) is not None:  # comments of a program
            return text
        blocks = _closed_blocks(text, parser)
    code, begin = _CODE_IN_FRONT.search(text), text.find("[BEGIN]")
    last_quotes = {delimiter: text.rfind(delimiter) for delimiter in ('"""', "'''")}
    state, place = NEUTRAL, 0
    for task in tasks:
        state, place = scan(text[place : task.start()], state), task.start()
        in_string = state[0] != "" and last_quotes[state[0]] > place  # of several lines, and closed
        block = bisect_right(blocks, (place, len(text))) - 1
        if in_string or (block >= 0 and place < blocks[block][1]):
            continue
        done = "DONE" in task.group()
        if not 0 <= begin < place if done else code is not None and code.end() <= place:
            return text[:place] if text[:place].strip() else text
    return text


def _closed_blocks(text: str, parser: Parser) -> list[tuple[int, int]]:
    """(start, end) of what stands between a fence and the one that closes it, in order. A fence with a tag opens, whatever is open."""
    fences = list(_FENCE.finditer(text))
    found: list[tuple[int, int]] = []
    if fences and not fences[0]["info"].strip() and _CODE_IN_FRONT.search(text[: fences[0].start()]):
        first, second = fences[0], fences[1] if len(fences) > 1 else None  # the code in front may stand in a fence that the prompt opened
        if parser.body(text[: first.start()]) is not None:
            found.append((0, first.start()))
            fences = fences[1:]
        elif second and (second["info"].strip() or parser.body(text[first.end() : second.start()]) is None):
            fences = fences[1:]
    opened: re.Match[str] | None = None
    for fence in fences:
        if opened is None or fence["info"].strip():
            opened = fence
        else:
            found.append((opened.end(), fence.start()))
            opened = None
    return found


def up_to_end_mark(text: str) -> str:
    """The text in front of the first end-of-text token of a chat format, if there is one."""
    mark = _first_unquoted(_END_OF_TEXT, text)
    return text[: mark.start()] if mark else text
