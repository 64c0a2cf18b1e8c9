"""Forms in which an answer shows a program instead of writing it: JSON, an interpreter's session, numbered lines, a diff, HTML.

Each form is undone by one function, which gives the text as it would have been written, or None where the answer has not that form. They
are tried only where an answer defines its entry nowhere (`probing.reading.program`), so that nothing that can be read is ever rewritten.
What does not compile because of its own characters, such as typographic quotes or tabs mixed with spaces, is left as it is: that program
is wrong.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

LONGEST = 200_000  # characters of an answer that is looked at in other forms
_JSON_STARTS = 20  # places where a JSON value is looked for
_SESSION = re.compile(r"^[ \t]*(?:>>>|\.\.\.|In \[\d+\]:|\.{3,}:)(?: |$)(?P<code>.*)$")
_NUMBER = re.compile(r"^[ \t]*(?P<number>\d{1,4})(?:[ \t]*[|│:] ?|[.)] ?|\t| |$)(?P<code>.*)$")
_DIFF_HEAD = re.compile(r"^(?:---|\+\+\+|@@|diff --git|index [0-9a-f]+\.\.|-)")
_TAGS = r"(?:pre|code|parameter|argument|answer|solution|python)"
_OPENING_TAG = re.compile(rf"<{_TAGS}\b[^>\n]*>(?:\s*<code\b[^>\n]*>)?", re.IGNORECASE)
_CLOSING_TAG = re.compile(rf"(?:</code>\s*)?</{_TAGS}>", re.IGNORECASE)
_LINE_END = re.compile(r"<br[ /]*>|<\|\w+\|>|</?s>", re.IGNORECASE)  # HTML's, and special tokens of a chat format
_CODE_START = r"(?=(?:async[ \t]+def|def|class|import|from)[ \t]+\w|@\w)"
_ANY_TAG = r"(?:</?[A-Za-z][^<>\n]*>|<\|\w+\|>|\[/?[A-Z][A-Z _]*\]|\{/?code\}|/\*[^*\n]*\*/)"
_TAG_IN_FRONT = re.compile(rf"^([ \t]*){_ANY_TAG}[ \t]*{_CODE_START}", re.MULTILINE)
_TAG_BEHIND = re.compile(rf"[ \t]*{_ANY_TAG}[ \t]*$", re.MULTILINE)
_COPIED = re.compile(r"^[ \t]*(?:python|py)[ \t]*Copy(?:[ \t]*code)?[ \t]*(?=\n|def |import |from |class )", re.MULTILINE)
_LABEL = re.compile(r"^[ \t]*\w[\w \t]{0,30}:[ \t]*(?=(?:async def|def|class)[ \t]+\w)", re.MULTILINE)
_QUOTES = re.compile(r"(?P<margin>[ \t]*)(?P<quotes>\"{3}|'{3})[ \t]*(?P<language>(?:python|py)\d?)?[ \t]*", re.IGNORECASE)
_SPAN = re.compile(r"(?<!`)`(?P<code>[^`\n]+)`(?!`)")
_INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad]")
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")


def renderings(text: str, entry: str | None) -> Iterator[str]:
    """The text with each form undone that it has, one after the other.

    text: of `answer_text`. entry: as of `read_program`; without one, code inside a sentence is no program.
    """
    if len(text) > LONGEST:
        return
    for undo in _FORMS if entry is not None else _FORMS[:-1]:
        other = undo(text)
        if other is not None and other != text:
            yield other


def plain_characters(text: str) -> str | None:
    """Spaces for no-break and other spaces, without invisible characters."""
    return _SPACES.sub(" ", _INVISIBLE.sub("", text))


def session_code(text: str) -> str | None:
    """What was typed in an interpreter's session: the lines behind `>>>` and `...`, or `In [1]:` and `...:`."""
    typed = [found["code"] for line in text.split("\n") if (found := _SESSION.match(line))]
    return "\n".join(typed) if typed else None


def without_numbers(text: str) -> str | None:
    """Lines without the numbers in front of them, where at least two follow one another."""
    lines = text.split("\n")
    found = [_NUMBER.match(line) for line in lines]
    numbers = [int(match["number"]) if match else None for match in found]
    changed = False
    for place, (match, number) in enumerate(zip(found, numbers, strict=True)):
        before = numbers[place - 1] if place else None
        behind = numbers[place + 1] if place + 1 < len(numbers) else None
        if match and number is not None and (before == number - 1 or behind == number + 1):
            lines[place], changed = match["code"], True
    return "\n".join(lines) if changed else None


def patched(text: str) -> str | None:
    """What a diff leaves: its context and its added lines."""
    lines = text.split("\n")
    if not any(line.startswith("+") for line in lines):
        return None
    fences = [re.sub(r"^([ \t]*(?:`{3,}|~{3,}))[ \t]*(?:diff|patch)\b", r"\1", line) for line in lines if not _DIFF_HEAD.match(line)]
    return "\n".join(line[1:] if line.startswith(("+", " ")) else line for line in fences)


def unquoted(text: str) -> str | None:
    """Lines without the `>` of a quotation."""
    return re.sub(r"^[ \t]*>(?!>>) ?", "", text, flags=re.MULTILINE) if "\n>" in f"\n{text}" else None


def without_markup(text: str) -> str | None:
    """HTML's and XML's tags around code as fences, entities as characters, and line ends for special tokens and `<br>`."""
    fenced = _CLOSING_TAG.sub("\n```\n", _OPENING_TAG.sub("\n```\n", text))
    return plain_characters(html.unescape(_LINE_END.sub("\n", fenced)))


def without_tags(text: str) -> str | None:
    """Tags of any name that stand on the first and the last line of code, without the tags; and a chat page's `pythonCopy code`."""
    begun = _TAG_IN_FRONT.sub(r"\1", _COPIED.sub("\n", text))
    return _TAG_BEHIND.sub("", begun) if begun != text else None


def tildes_as_backticks(text: str) -> str | None:
    """Fences of tildes on one line with their code: `~~~python def f(x): return x~~~`."""
    return text.replace("~~~", "```")


def without_labels(text: str) -> str | None:
    """`Answer: def f(x):` as two lines."""
    return _LABEL.sub("\n", text)


def quotes_as_fences(text: str) -> str | None:
    """Fences for triple quotes: those that the language's name follows, or that stand alone at the left margin; and those that end them."""
    lines = text.split("\n")
    opened = ""
    for place, line in enumerate(lines):
        found = _QUOTES.fullmatch(line)
        if found and (found["quotes"] == opened and not found["language"]):
            lines[place], opened = "```", ""
        elif found and not opened and (found["language"] or not found["margin"]):
            lines[place], opened = "```", found["quotes"]
    return "\n".join(lines)


def json_texts(text: str) -> str | None:
    """The texts inside the JSON values of an answer, one behind the other; what stands around them is left out."""
    decoder = json.JSONDecoder(strict=False)  # line ends inside a string are a usual mistake
    texts: list[str] = []
    place = 0
    for _ in range(_JSON_STARTS):
        start = re.compile(r"[{\[\"]").search(text, place)
        if start is None:
            break
        try:
            value, place = decoder.raw_decode(text, start.start())
            texts += _strings(value)
        except (ValueError, RecursionError):
            place = start.end()
    return "\n\n".join(item if "```" in item else f"```\n{item}\n```" for item in texts if "\n" in item or "def " in item) or None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        yield "".join(item if item.endswith("\n") else f"{item}\n" for item in value)  # the lines of a text, as notebooks have them
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def unescaped(text: str) -> str | None:
    r"""Line ends for `\n`, where a text is written as a string literal's inside."""
    if "\\n" not in text:
        return None
    return text.replace("\\n", "\n").replace("\\t", "    ").replace('\\"', '"').replace("\\'", "'").strip().strip("\"'")


def code_spans(text: str) -> str | None:
    """Code that stands inside a sentence, between single backticks."""
    return "\n\n".join(f"```\n{found['code']}\n```" for found in _SPAN.finditer(text)) or None


_FORMS: tuple[Callable[[str], str | None], ...] = (
    plain_characters,
    session_code,
    json_texts,
    without_markup,
    without_labels,
    without_tags,
    tildes_as_backticks,
    quotes_as_fences,
    without_numbers,
    patched,
    unquoted,
    unescaped,
    code_spans,
)
