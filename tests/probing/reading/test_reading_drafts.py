"""What of an answer is its program where it holds several: thinking, stubs, cut ones, the next task of a prompt."""

from __future__ import annotations

import pytest

from probing.reading import read_program

F = "def f(x):\n    return x + 1"
WRONG = "def f(x):\n    return 'wrong'"
SOLUTION = "class Solution:\n    def f(self, x: Optional[int]) -> List[int]:\n        return x + 1"


def fence(code: str) -> str:
    return f"```python\n{code}\n```"


def returned(answer: str, given: str = "") -> object:
    """f(1), by the program in the answer."""
    code = read_program(answer, "f", given)
    assert code is not None
    space: dict[str, object] = {"__name__": "program"}
    exec(code, space)
    function = space["f"]
    assert callable(function)
    return function(1)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<scratchpad>", "</scratchpad>"),
        ("<thought_process>", "</thought_process>"),
        ("<thoughts>", "</thoughts>"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
    ],
)
def test_thinking_of_any_family_holds_no_program(opening: str, closing: str) -> None:
    assert returned(f"{opening}\n{fence(WRONG)}\n{closing}\n{F}") == 2
    if opening[0] == "<":
        assert read_program(f"{opening}\n{fence(F)}", "f") is None, "it never leaves its thinking"


@pytest.mark.parametrize(
    "line",
    [
        "# strips </think>",
        "'''up to </think> and <think>'''",
        "TAG = '<think>\\n'",
        "print(f'<think>{1}</think>')",
        "# <reasoning> is kept",
    ],
)
def test_tags_in_the_strings_and_comments_of_code_are_words(line: str) -> None:
    code = f"def f(x):\n    {line}\n    return x + 1"
    for answer in (code, fence(code), f"Sure:\n{fence(code)}\nDone.", f"<think>\n{fence(WRONG)}\n</think>\n{fence(code)}"):
        assert read_program(answer, "f") == code


def test_a_tag_between_blocks_is_no_word() -> None:
    assert returned(f"{fence(WRONG)}\n# no </think>\n{fence(F)}") == 2
    assert returned(f"<think>\n```python\n{WRONG}\n</think>\n{fence(F)}") == 2
    assert read_program(f"{fence(F)}\n</think>\nI cannot.", "f") is None


@pytest.mark.parametrize(
    "behind",
    [
        f"[DONE]\n\nYou are an expert. Your next task:\n[BEGIN]\n{WRONG}\n[DONE]",
        f"### Instruction:\nAnother.\n\n### Response:\n{WRONG}",
        f"Human: and without 1?\n\nAssistant: {WRONG}",
        f"[INST] Again [/INST]\n{fence(WRONG)}",
    ],
)
def test_the_next_task_of_a_prompt_is_no_part_of_the_answer(behind: str) -> None:
    assert returned(f"{F}\n{behind}") == returned(f"{F}\n\n{behind}") == 2
    assert returned("    return x + 1\n" + behind, "def f(x):\n") == 2


def test_a_heading_in_front_of_the_code_ends_nothing() -> None:
    assert returned(f"### Instruction:\nWrite f.\n### Response:\n{fence(F)}") == 2
    assert returned(f"[BEGIN]\n{WRONG}\n[DONE]\nNo:\n[BEGIN]\n{F}\n[DONE]") == 2


@pytest.mark.parametrize("stub", ["pass", "...", "return", "raise NotImplementedError", "'''Add one.'''"])
def test_a_stub_hides_no_program(stub: str) -> None:
    head = f"def f(x):\n    {stub}"
    assert returned(f"{fence(F)}\n{fence(head)}") == returned(f"{fence(head)}\n{fence(F)}") == 2
    assert returned(f"{fence(SOLUTION)}\n{fence(head)}") == returned(f"{fence(head)}\n{fence(SOLUTION)}") == 2
    assert returned(f"{fence(F)}\n{fence('f = lambda x: ...')}") == 2


@pytest.mark.parametrize("stub", ["pass", "...", "'''Twice x.'''"])
def test_a_helper_of_the_prompt_that_is_repeated_as_a_stub_is_the_prompt_s(stub: str) -> None:
    given = "import operator\n\n\ndef add(x):\n    return operator.add(x, 1)\n\n\ndef f(x):\n    '''Add one.'''\n"
    answer = fence(f"def add(x):\n    {stub}\n\n\ndef f(x):\n    return add(x)")
    assert returned(answer, given) == 2
    own = fence("def add(x):\n    return x + 1\n\n\ndef f(x):\n    return add(x)")
    assert read_program(own, "f", given) == "def add(x):\n    return x + 1\n\n\ndef f(x):\n    return add(x)"


@pytest.mark.parametrize("cut", ["    y = x\n    return (y +", "    if x:\n        return 1\n    for y in [", "    '''Better:"])
def test_a_cut_definition_behind_a_whole_one_is_left_out(cut: str) -> None:
    assert read_program(f"```python\n{F}\n\n\ndef f(x):\n{cut}", "f") == F
    method = "\n".join(f"    {line}" for line in f"def f(self, x):\n{cut}".split("\n"))
    assert returned(f"```python\n{SOLUTION}\n\n\nclass Solution:\n{method}") == 2


FENCED = 'def f(x):\n    """Add one.\n\n    ```\n    f(1)\n    ```\n    """\n    return x + 1'


@pytest.mark.parametrize("before", ["It isn't hard:\n\n", "(see below\n", "\ufeff"])
@pytest.mark.parametrize("behind", ["\n\nThat's it.", "\n\nassert f(", ""])
def test_a_fence_in_a_docstring_ends_no_block_that_holds_more_than_code(before: str, behind: str) -> None:
    for program in (FENCED, FENCED.replace("    ```", "```")):
        assert read_program(f"{fence(WRONG)}\nBetter:\n```python\n{before}{program}{behind}\n```\nDone.", "f") == program


def test_a_byte_order_mark_in_front_of_any_line() -> None:
    assert read_program(f"Sure:\n\ufeffimport math\n{F.replace('1', 'math.floor(1)')}\nDone.", "f") is not None
    assert returned(f"Sure:\n\ufeffimport math\n{F.replace('1', 'math.floor(1)')}\nDone.") == 2


def test_names_that_another_block_or_the_prompt_opens() -> None:
    annotated = "def f(x: List[int]) -> Optional[int]:\n    return x + 1"
    assert returned(f"{fence('from typing import *')}\n{fence(annotated)}") == 2
    assert returned(fence(annotated), "from typing import *\n\n\ndef f(x):\n    '''Add one.'''\n") == 2
    later = "def f(x: Node) -> Node:\n    return x + 1"
    assert returned(fence(later), "from __future__ import annotations\n\n\ndef f(x: Node) -> Node:\n    '''Add one.'''\n") == 2
    assert read_program(fence(annotated), "f") == annotated, "as officially: what neither the answer nor the prompt imports is missing"


def test_a_method_that_is_bound_otherwise() -> None:
    assert returned(fence("class Solution:\n    f = lambda self, x: x + 1")) == 2
    assert returned(fence("class Solution:\n    def _add(self, x):\n        return x + 1\n    f = _add")) == 2


@pytest.mark.parametrize("tag", ["<final_answer>", "<|begin_code|>", "[SOLUTION CODE]", '<file name="f.py">', "{code}", "/* f.py */"])
def test_a_tag_of_any_name_on_the_first_line_of_code(tag: str) -> None:
    closing = tag.replace("<", "</", 1) if tag[1] != "|" else tag
    for answer in (f"{tag}{F}{closing}", f"Here:\n{tag} {F}\n{closing}\nDone."):
        assert returned(answer) == 2


@pytest.mark.parametrize(
    "answer",
    [
        f"pythonCopy{F}",
        f"pythonCopy code\n{F}",
        "~~~python def f(x): return x + 1~~~",
        "```python d={1: 2}\ndef f(x):\n    return d[x]\n```",
        "```python f=lambda x: x + 1\n```",
        f'```python title="f.py" lines=3\n{F}\n```',
        f"\u00ef\u00bb\u00bf{F}",
    ],
)
def test_more_forms(answer: str) -> None:
    assert returned(answer) == 2


PROGRAM = "n = int(input())\nprint(n + 1)"
MAIN = "def main():\n    n = int(input())\n    print(n + 1)"


@pytest.mark.parametrize(
    "answer",
    [
        f"{fence(PROGRAM)}\nAlternative:\n```python\nn = int(input())\nprint(",
        f"{fence(PROGRAM)}\nAlternative:\n```python\ndef main():\n    n = int(input())\n    for i in range(",
        f"{fence(PROGRAM)}\nTemplate:\n{fence('n = int(input())' + chr(10) + '...')}",
        f"{fence(PROGRAM)}\nIn short:\n{fence('n = 5' + chr(10) + 'print(n)')}",
        f"{fence('n = int(input())' + chr(10) + 'print(n)')}\nNo:\n{fence(PROGRAM)}",
        f"{fence(MAIN)}\nCall it:\n{fence('main()')}",
        f"{fence(MAIN)}\nCall it:\n{fence('if __name__ == ' + repr('__main__') + ':' + chr(10) + '    main()')}",
        f"pythonCopy code\n{PROGRAM}",
        "```diff\n+n = int(input())\n+print(n + 1)\n```",
        PROGRAM.replace(" ", "\u00a0"),
        f"{PROGRAM}\n\n### Instruction:\nAnother.\n\n### Response:\nprint(input())",
    ],
)
def test_the_program_that_reads_input_is_the_last_that_reads_and_prints(answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = read_program(answer)
    assert code is not None
    exec(code, {"__name__": "__main__", "input": lambda: "1"})
    assert capsys.readouterr().out == "2\n"


@pytest.mark.parametrize("last", ['so "yes"', "so 'yes'", "so `max(x)`", 'def f(x): return "wrong"'])
def test_a_tag_behind_a_quotation_is_no_word(last: str) -> None:
    assert returned(f"<think>\n{fence(WRONG)}\n{last}</think>{fence(F)}") == 2
    assert returned(f"{fence(WRONG)}\n{last}</think>\n{fence(F)}") == 2
    assert read_program(f"{fence(F)}\n{last}</think>\n\nI cannot.", "f") is None


@pytest.mark.parametrize("first", ["'f' adds", '"f" adds', "`f` adds"])
def test_nor_is_one_in_front_of_a_quotation(first: str) -> None:
    assert read_program(f"<think>{first}\n{fence(F)}", "f") is None
    assert returned(f"<think>No.</think>{first}:\n{fence(F)}") == 2


@pytest.mark.parametrize(
    "words", ["It strips '</think> and more'.", "The tags `<think>` and `</think>`.", "\"Put <think>' there.", "'<think> x'"]
)
def test_a_quoted_tag_is_a_word(words: str) -> None:
    assert returned(f"{words}\n{fence(F)}\n{words}") == 2
    assert returned(f"<think>\n{fence(WRONG)}\n'</think>' ends it, `</think>` too.\n{fence(WRONG)}</think>{fence(F)}") == 2


@pytest.mark.parametrize("quote", ["'", '"', "'''"])
@pytest.mark.parametrize(
    "mark", ["<|im_end|>", "</s>", "<end_of_turn>", "<｜end▁of▁sentence｜>", "<|im_start|>user\nAgain", "<|user|>\nAgain"]
)
def test_an_end_mark_behind_a_string_ends_the_answer(quote: str, mark: str) -> None:
    program = f"def f(x):\n    return {quote}yes{quote}"
    assert read_program(program + mark, "f") == program
    word = f"def f(x):\n    return x.replace('{mark[:-1]}>', '')" if mark.endswith(">") else program
    assert read_program(f"{word}\n\nDone.", "f") == word


HELPED = "import math\n{}\ndef h(x):\n    return math.floor(x) + 1\n\n\ndef f(x):\n    return h(x)"
QUOTING = 'TEXT = """\n{}\n"""\n\n\ndef f(x):\n    return x + len(TEXT.split()[:1])'
HEADINGS = ("## User defined helper", "## User", "### Human input:", "## Instruction", "## Instruction 2")
WORDS = ("User: hello", "Human: hello", "[INST]", "## User", "### Instruction:")


@pytest.mark.parametrize("program", [*map(HELPED.format, HEADINGS), *map(QUOTING.format, WORDS)])
def test_a_request_in_a_comment_or_a_string_of_a_program_begins_no_task(program: str) -> None:
    behind = fence(WRONG) + "\nNo:\n"
    for form in ("{}", "```python\n{}\n```", "Sure:\n```\n{}\n```\nDone.", behind + "```python\n{}\n```", "{}\n```\nDone."):
        assert read_program(form.format(program), "f") == program


def test_nor_does_one_in_a_program_that_reads_input() -> None:
    program = "import sys\n## User input\nn = int(input())\nprint(n + 1)"
    for answer in (program, fence(program), f"Sure:\n\n{program}\n\nThat is it (all)."):
        assert read_program(answer) == program


@pytest.mark.parametrize("title", ["### User input version", "## Instructions", "#### Human readable", "### User: a version for users"])
def test_a_title_of_more_words_begins_no_task(title: str) -> None:
    assert returned(f"{fence(WRONG)}\n\n{title}\n\n{fence(F)}") == 2


def test_a_dialogue_that_the_answer_shows_begins_no_task() -> None:
    for tag in ("", "text"):
        assert returned(f"{fence(WRONG)}\nIt says:\n```{tag}\nUser: one?\nBot: two, I think.\n```\nSo:\n{fence(F)}") == 2


@pytest.mark.parametrize("heading", ["### Instruction", "### Instruction:", "## User", "### Human: again?", "User: again?", "[INST] again"])
@pytest.mark.parametrize("answered", [WRONG, fence(WRONG), f"```\n{WRONG}\n```"])
def test_a_task_behind_a_fence_that_the_prompt_opened_is_the_next_one(heading: str, answered: str) -> None:
    behind = f"\n\n{heading}\nAnother, please.\n\n### Response:\n{answered}"
    for program in (f"{F}\n```", fence(F), F):
        assert returned(program + behind) == 2
