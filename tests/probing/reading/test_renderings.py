"""Programs that an answer shows in another form than its own lines: each form is undone, and only where nothing else defines the entry."""

from __future__ import annotations

import html
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings

from probing.reading import read_program
from tests.probing.reading.test_reading_properties import ENTRY, margin, programs, tree

TABBED = "{:6}\t{}"
F = "def f(x):\n    return x + 1"


def session(program: str) -> str:
    first, *rest = program.split("\n")
    return "\n".join([f">>> {first}", *(f"... {line}" for line in rest), ">>> f(1)", "2"])


def numbered(program: str, form: str) -> str:
    return "\n".join(form.format(number, line) for number, line in enumerate(program.split("\n"), 1))


FORMS: dict[str, Callable[[str], str]] = {
    "JSON": lambda p: json.dumps({"thought": "Easy.", "solution": p, "tests": ["assert True"]}),
    "JSON with words around": lambda p: f"Here you go: {json.dumps({'code': p}, indent=1)} Enjoy!",
    "fenced JSON": lambda p: f"```json\n{json.dumps([{'type': 'code', 'content': p}])}\n```",
    "JSON with a fence inside": lambda p: json.dumps({"answer": f"```python\n{p}\n```"}),
    "a tool's arguments": lambda p: f"<tool_call>\n{json.dumps({'name': 'python', 'arguments': {'code': p}})}\n</tool_call>",
    "a session": session,
    "a fenced session": lambda p: f"```pycon\n{session(p)}\n```",
    "numbers and bars": lambda p: f"```python\n{numbered(p, '{:3} | {}')}\n```",
    "numbers and colons": lambda p: numbered(p, "{}: {}"),
    "numbers and tabs": lambda p: f"```\n{numbered(p, TABBED)}\n```",
    "a new file's diff": lambda p: f"```diff\n--- /dev/null\n+++ b/f.py\n@@ -0,0 +1 @@\n{margin(p, '+')}\n```",
    "a quotation": lambda p: f"As they say:\n\n{margin(p, '> ')}\n",
    "HTML": lambda p: f'<p>Code:</p><pre><code class="language-python">{html.escape(p)}</code></pre><p>Done.</p>',
    "a tag of a chat format": lambda p: f"<|python_tag|>{p}<|eom_id|>",
    "XML": lambda p: f'<invoke name="run"><parameter name="code">{html.escape(p)}</parameter></invoke>',
    "a notebook": lambda p: json.dumps({"cells": [{"source": p.split("\n")}]}),
    "triple quotes alone": lambda p: f'The code:\n\n"""\n{p}\n"""\nThat is it.',
    "triple quotes": lambda p: f"'''python\n{p}\n'''",
}


@pytest.mark.parametrize(
    "name", [name for name in FORMS if name not in ("a session", "a fenced session", "triple quotes", "triple quotes alone")]
)
@settings(max_examples=10)
@given(program=programs())
def test_any_program_is_read_in_any_form(name: str, program: str) -> None:
    code = read_program(FORMS[name](program), ENTRY)
    assert code is not None and tree(code) == tree(program)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read(name: str) -> None:
    assert read_program(FORMS[name](F), "f") == F


@pytest.mark.parametrize(
    "answer",
    [
        F.replace("    ", "\u00a0" * 4),
        f"```python\n\u200b{F}\u200b\n```",
        f"```python\n{F.replace(chr(10), chr(92) + 'n')}\n```",
        f"Answer: {F}",
        f"<s> {F}</s>",
        F.replace("\n    ", "<br>&nbsp;&nbsp;"),
        f"Use `{F.replace(chr(10) + '    ', ' ')}`.",
        f"```python{F}\n```",
        "```diff\n def f(x):\n-    return x\n+    return x + 1\n```",
        "In [1]: def f(x):\n   ...:     return x + 1\n   ...:\n\nIn [2]: f(1)\nOut[2]: 2",
        f"```python\n{F}\n```<|im_end|>\n<|im_start|>user\nAnd now?<|im_end|>\n<|im_start|>assistant\ndef f(x): return 0",
        f"<|channel|>analysis<|message|>def f(x): return 0<|end|><|start|>assistant<|channel|>final<|message|>{F}",
        f"analysisWe try def f(x): return 0.assistantfinal```python\n{F}\n```",
    ],
)
def test_what_surrounds_a_program_is_taken_away(answer: str) -> None:
    code = read_program(answer, "f")
    assert code is not None
    space: dict[str, Callable[[int], int]] = {}
    exec(code, space)
    assert space["f"](1) == 2


def test_what_can_be_read_is_never_rewritten() -> None:
    code = 'def f(x):\n    """Twice.\n\n    >>> def f(x):\n    ...     return 3\n    """\n\treturn x'.replace("\t", "    ")
    assert read_program(code, "f") == code
    table = "def f(x):\n    return '''\n1 | def f(x):\n2 |     return 0\n+ \u00a0&lt;\n'''"
    assert read_program(f"```python\n{table}\n```", "f") == table


@pytest.mark.parametrize("character", ["“", "：", "−"])
def test_a_program_that_does_not_compile_stays_one(character: str) -> None:
    code = f"def f(x):\n    return x {character} 1"
    assert read_program(f"```python\n{code}\n```", "f") == code


@pytest.mark.parametrize(
    "answer", ["analysisWe try:\n```python\ndef f(x):\n    return 0\n```", "<|channel|>analysis<|message|>def f(x): return 0"]
)
def test_an_answer_that_stays_in_its_analysis_has_no_program(answer: str) -> None:
    assert read_program(answer, "f") is None


def test_code_in_a_sentence_is_no_program_that_reads_input() -> None:
    assert read_program("Call `print(input())`.") is None


@pytest.mark.parametrize(
    "answer",
    [
        "```python\ndef f(x):\n    '''Add one.'''\n```\nThe body:\n```python\n    return x + 1\n```",
        "The function goes on:\n\n    return x + 1\n",
    ],
)
def test_a_body_apart_from_its_head_goes_on_with_the_prompt(answer: str) -> None:
    code = read_program(answer, "f", "def f(x):\n    '''Add one.'''\n")
    assert code is not None and code.endswith("return x + 1")
