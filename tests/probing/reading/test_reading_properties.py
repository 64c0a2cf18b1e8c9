"""The reader on programs made at random in wrappings that models write, and on texts of any kind."""

from __future__ import annotations

import ast
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing.reading import read_program

pytestmark = pytest.mark.slow

ENTRY = "solve"
TEST = f"assert {ENTRY}(1) == 2"

# ---------------------------------------------------------------- programs: whatever they hold, the entry needs all of it

names = st.sampled_from(["a", "value", "rows", "out_1"])
texts = st.sampled_from(
    ['"it\'s"', "'```'", '"""# no comment"""', "'a\\n```python\\nb'", "f'{1 + 1}'", '"<b>"', "'\u2028 \x85'", '"[DONE]"']
)
atoms = st.one_of(st.integers(0, 99).map(str), names, texts, st.just("[]"), st.just("(1, 2)"), st.just("{'k': [1]}"))
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "==", "and", "%"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(names, inner).map(lambda p: f"[{p[1]} for {p[0]} in range(3) if {p[0]}]"),
        inner.map(lambda e: f"len({e})"),
        inner.map(lambda e: f"(lambda x: {e})"),
        st.tuples(inner, inner).map(lambda p: f"[{p[0]},\n\n  {p[1]}\n]"),
    ),
    max_leaves=4,
)


def margin(text: str, prefix: str) -> str:
    return "\n".join(prefix + line for line in text.split("\n"))


def block(head: str, lines: list[str]) -> list[str]:
    return [head, *(f"    {line}" for line in ["pass", *lines])]


def one_line(text: str) -> str:
    return text.replace("\n", " ")


forms = st.sampled_from(["{name} = {value}", "{name}: object = {value}", "print({value})", "return {value}", "# {name}"])
statements = st.recursive(
    st.builds(lambda form, name, value: [form.format(name=name, value=one_line(value))], forms, names, expressions),
    lambda inner: st.one_of(
        st.builds(lambda test, lines: block(f"if {one_line(test)}:", lines), expressions, inner),
        st.builds(lambda name, one, two: [*block(f"for {name} in range(2):", one), *block("else:", two)], names, inner, inner),
        st.builds(lambda lines: [*block("try:", lines), *block("except ValueError as error:", ["raise KeyError from error"])], inner),
        st.builds(lambda one, two: [*one, "", *two], inner, inner),
    ),
    max_leaves=4,
)
DOCSTRINGS = [
    [],
    ['"""Solve."""'],
    ['"""Solve.', "", ">>> solve(1)", "2", '"""'],
    ["'''", "```python", "solve(1)", "```", "```", "raw", "```", "'''"],
]


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A program whose entry is a function, with the imports, constants, helpers and classes that it uses."""
    parts: list[str] = []
    used: list[str] = []
    for place in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["import", "constant", "helper", "class", "table"]))
        name = f"part_{place}"
        body = "\n".join(block("", draw(statements))[1:])
        parts.append(
            {
                "import": f"from unheard_of.parts import {name}",
                "constant": f"{name} = {draw(expressions)}",
                "helper": f"@staticmethod\ndef {name}(a, value=0, *rows):\n{body}",
                "class": f"class {name}(dict):\n    step = 1\n\n    def method(self, a):\n{margin(body, '    ')}",
                "table": f"{name} = {{}}\nfor part_i in range(3):\n    {name}[part_i] = part_i",
            }[kind]
        )
        used.append(name)
    lines = [*draw(st.sampled_from(DOCSTRINGS)), "pass", *draw(statements), f"return [{', '.join(used)}]"]
    body = margin("\n".join(lines), "    ")
    parts.append(f"def {ENTRY}(a, value=0, rows: list[int] | None = None, *, out_1: int = 1) -> object:\n{body}")
    if draw(st.booleans()):
        parts.reverse()
    return "\n\n\n".join(parts)


# ---------------------------------------------------------------- wrappings

WRAPPINGS: dict[str, Callable[[str], str]] = {
    "bare": lambda p: p,
    "python fence": lambda p: f"```python\n{p}\n```",
    "plain fence": lambda p: f"Code:\n```\n{p}\n```\n",
    "language on its own line": lambda p: f"```\npython\n{p}\n```",
    "py": lambda p: f"```py\n{p}\n```",
    "Python3": lambda p: f"``` Python3 \n{p}\n``` ",
    "attributes": lambda p: f'```python title="solve.py" {{1,3}}\n{p}\n```',
    "pandoc": lambda p: f"```{{.python .numberLines}}\n{p}\n```",
    "tildes": lambda p: f"~~~python\n{p}\n~~~",
    "four backticks": lambda p: f"````python\n{p}\n````",
    "markdown around": lambda p: f"````markdown\n## Answer\n\n```python\n{p}\n```\n````",
    "closed on the last line": lambda p: f"```python\n{p}```",
    "words on the closing line": lambda p: f"```python\n{p}\n``` That's it.",
    "never closed": lambda p: f"Sure!\n```python\n{p}",
    "never opened": lambda p: f"{p}\n```\nDone.",
    "opened behind words": lambda p: f"Here it is: ```python\n{p}\n```",
    "code on the fence's line": lambda p: f"```python {p}\n```",
    "in a list": lambda p: f"1. Write it:\n\n   ```python\n{margin(p, '   ')}\n   ```\n2. Done.",
    "in a list by tabs": lambda p: f"- Write it:\n\t```python\n{margin(p, chr(9))}\n\t```",
    "quoted": lambda p: "> ```python\n" + margin(p, "> ") + "\n> ```",
    "words around": lambda p: f"Certainly! It isn't hard:\n\n{p}\n\nThis solves it (in O(n)). Don't forget: tests!",
    "begin and done": lambda p: f"[BEGIN]\n{p}\n[DONE]",
    "tags": lambda p: f"<answer>\n{p}\n</answer>",
    "byte order mark": lambda p: f"\ufeff{p}",
    "carriage returns": lambda p: f"Sure:\n```python\n{p}\n```\n".replace("\n", "\r\n"),
    "thinking": lambda p: f"<think>\nPerhaps:\n```python\ndef {ENTRY}(a):\n    return wrong\n```\nNo.\n</think>\n\n```python\n{p}\n```",
    "thinking that the prompt began": lambda p: f"def {ENTRY}(a): return wrong\n</think>\n{p}",
    "draft in front": lambda p: f"```python\ndef {ENTRY}(a):\n    return 1\n```\nBetter:\n```python\n{p}\n```",
    "tests in the program": lambda p: f"```python\n{p}\n\n\n{TEST}\nprint({ENTRY}(input()))\n```",
    "tests behind": lambda p: f"```python\n{p}\n```\nTests:\n```python\n{TEST}\n\ndef test_{ENTRY}():\n    {TEST}\n```",
    "summary behind": lambda p: f"```python\n{p}\n```\nIn short:\n```python\ndef {ENTRY}(a):\n    ...\n```",
    "other languages": lambda p: f"```bash\npip install x\n```\n```python\n{p}\n```\n```json\n{{}}\n```\n```text\n2\n```",
    "main guard": lambda p: f"```python\n{p}\n\n\nif __name__ == '__main__':\n    {ENTRY}(1)\n```",
    "cut off behind it": lambda p: f"```python\n{p}\n\n\ndef test_it():\n    assert {ENTRY}([1, 2",
    "end of text": lambda p: f"Sure:\n\n{p}<|endoftext|>def {ENTRY}(a): return wrong",
    "indented": lambda p: f"The code:\n\n{margin(p, '    ')}\n\nThat is it.",
    "a second definition cut off": lambda p: f"```python\n{p}\n\n\ndef {ENTRY}(a):\n    b = a\n    return (b +",
    "an import of it behind": lambda p: f"```python\n{p}\n\n\nfrom solution import {ENTRY}\nprint({ENTRY}(1))\n```",
    "a thinking tag in a comment": lambda p: f"```python\n# strips </think>\n{p}\n```",
    "a scratchpad": lambda p: f"<scratchpad>\n```python\ndef {ENTRY}(a): return wrong\n```\n</scratchpad>\n{p}",
    "the next of few shots": lambda p: f"{p}\n[DONE]\n\nNext task.\n[BEGIN]\ndef {ENTRY}(a): return wrong\n[DONE]",
    "a next request": lambda p: f"{p}\n\n### Instruction:\nAnother.\n\n### Response:\ndef {ENTRY}(a): return wrong",
    "blank lines": lambda p: f"\n\n  \n{p}\n\n\n",
}


def tree(code: str) -> str:
    return ast.dump(ast.parse(code))


def test_there_are_thirty_wrappings() -> None:
    assert len(WRAPPINGS) >= 30


@pytest.mark.parametrize("name", WRAPPINGS)
@settings(max_examples=40)
@given(program=programs())
def test_a_program_is_read_from_every_wrapping(name: str, program: str) -> None:
    answer = WRAPPINGS[name](program)
    found = read_program(answer, ENTRY)
    assert found is not None and tree(found) == tree(program)


@settings(max_examples=60)
@given(program=programs(), other=programs(), wrapping=st.sampled_from(sorted(WRAPPINGS)))
def test_a_program_that_was_read_is_read_again_as_itself(program: str, other: str, wrapping: str) -> None:
    found = read_program(WRAPPINGS[wrapping](program) + "\n\nOr:\n\n```\n" + other, ENTRY)
    assert found is not None and read_program(found, ENTRY) == found


# ---------------------------------------------------------------- any text

PIECES = [
    *("```", "````", "~~~", "python", "\n", "\n\n", " ", "    ", "\t", "def solve(a):", "return a", '"""', "'''", "'", '"', "(", ")"),
    *("[", "]", "{", "# c", "x = 1", "<think>", "</think>", "if x:", "else:", "@d", "class Solution:", "def solve(self):", "\\", "\x0c"),
    *("\u2028", "\x85", "\r", "import os", "from x import *", "prose, isn't it", TEST, "[BEGIN]", "[DONE]", "> ", "- ", "`", "\x00"),
    *("\ud800", "\ufeff", "<|im_end|>", "lambda", "exec('')", "globals()", "global solve", "solve = solve(1)", "async ", "await x"),
    *(";", ":=", "match x:", "case _:", "del solve", "f'{"),
]
GIVEN = ["", "def solve(a):\n", "from typing import List\ndef solve(a: List):\n    '''Doc.'''\n", "def solve(", "\x00", "```"]


@settings(max_examples=600)
@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=40),
    entry=st.sampled_from([ENTRY, None, "", "a b", "def"]),
    prompt=st.sampled_from(GIVEN),
)
def test_no_text_is_an_error(pieces: list[str], entry: str | None, prompt: str) -> None:
    answer = "".join(pieces)
    code = read_program(answer, entry, prompt)
    assert code is None or code.strip()
    assert read_program(answer, entry, prompt) == code


@settings(max_examples=200)
@given(answer=st.text(), prompt=st.text(max_size=40))
def test_no_unicode_is_an_error(answer: str, prompt: str) -> None:
    read_program(answer, ENTRY, prompt)
    read_program(answer)


HARD = {
    "fences": "```\n",
    "fences and strings": '```python\n"""\n',
    "fences behind words": "a ```\nb ```\nc = 1\n",
    "inline": "x```y```x\n",
    "strings and brackets": '"""\n(\n',
    "open brackets": "(\n",
    "one line of brackets": "(",
    "minus": "-",
    "sum": "1+",
    "attributes": "x.",
    "items": "x[",
    "quotes": "'",
    "backslashes": "\\",
    "question marks": "?\n",
    "prose": "Sure, don't (worry about it.\n",
    "definitions": "def solve(x):\n    return x\n\n",
    "bad definitions": "def solve(x):\n    return x\n\n?\n",
    "open definitions": "def solve(x):\n    y = (x +\n",
    "indented definitions": "    def solve(x): return (\n",
    "blocks": "```python\ndef solve(x):\n    return x\n```\ntext\n",
    "thinking": "<think>x</think>",
    "tags": "[BEGIN]\n",
    "quote marks": "> 1. - ",
    "spaces": " ",
    "assignments": "solve = solve\n",
    "globals": "x = [1]\nx.append(solve)\ndef solve(): global x; x = x\nsolve()\n",
    "lists": "- a\n  - def\n",
    "sessions": ">>> def solve(x\n",
    "numbers": "1 | def solve(x\n2 | y\n",
    "diffs": "+def solve(x\n",
    "JSON": '{"a": [',
    "HTML": "<pre><code>\n&lt;",
    "triple quotes": '"""python\n',
    "code spans": "`def solve(x` ",
}


@pytest.mark.parametrize("name", HARD)
def test_a_hundred_kilobytes_of_anything_are_read_without_blowing_up(name: str) -> None:
    answer = HARD[name] * (100_000 // len(HARD[name]))
    for prompt in ("", "def solve(x):\n"):
        started = time.process_time()
        read_program(answer, ENTRY, prompt)
        assert time.process_time() - started < 20.0, (
            "a few tenths of a second of processor time are usual; what grows too fast takes minutes"
        )


def test_nesting_and_noise_are_read_without_blowing_up() -> None:
    noise = random.Random(0)
    pieces = [piece for piece in PIECES if "think" not in piece]
    answers = ["".join(noise.choice(pieces) for _ in range(20_000)) for _ in range(3)]
    answers.append("".join(" " * i + "if x:\n" for i in range(400)))
    answers.append(
        "\n".join(f"```python\ndef g{i}(x):\n    return g{i + 1}(x)\n```" for i in range(2000)) + "\n```\ndef solve(x): return g0(x)\n```"
    )
    for answer in answers:
        started = time.process_time()
        read_program(answer, ENTRY, "def solve(x):\n")
        assert time.process_time() - started < 20.0
