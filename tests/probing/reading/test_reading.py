"""Which program is read from an answer: fences, drafts, helpers, prose, what the prompt gave."""

from __future__ import annotations

import ast

import pytest

from probing.reading import read_program

F = "def f(x):\n    return x + 1"
HELPED = "def f(x):\n    return _twice(x) + 1"
HELPER = "def _twice(x):\n    return 2 * x"


def run(answer: str, *arguments: object, entry: str = "f", given: str = "") -> object:
    """What the program in an answer returns."""
    code = read_program(answer, entry, given)
    assert code is not None
    space: dict[str, object] = {"__name__": "program"}
    exec(code, space)
    function = space[entry]
    assert callable(function)
    return function(*arguments)


@pytest.mark.parametrize(
    "answer",
    [
        f"Here:\n```python\n{F}\n```\nIt adds one.",
        f"```\n{F}\n```",
        f"```\npython\n{F}\n```",
        f"```\nPython 3\n{F}\n```",
        f"```py\n{F}\n```",
        f"```Python3\n{F}\n```",
        f"``` python {{.line-numbers}}\n{F}\n```",
        f'```python title="f.py" linenums=1\n{F}\n```',
        f"```{{.python #answer}}\n{F}\n```",
        f"```src/f.py\n{F}\n```",
        f"~~~python\n{F}\n~~~",
        f"~~~~\n{F}\n~~~~",
        f"````python\n{F}\n````",
        f"`````\n{F}\n`````",
        f"````markdown\n# Answer\n\n```python\n{F}\n```\n````",
        f"```markdown\nThe answer:\n```python\n{F}\n```\n```",
        f"1. First:\n   ```python\n   {F.replace(chr(10), chr(10) + '   ')}\n   ```\n2. Done.",
        f"- ```python\n  {F.replace(chr(10), chr(10) + '  ')}\n  ```",
        f"\t```python\n\t{F.replace(chr(10), chr(10) + chr(9))}\n\t```",
        f"> ```python\n> {F.replace(chr(10), chr(10) + '> ')}\n> ```",
        f"```python\n{F}",  # cut off before the closing fence
        f"```python\n{F}```",
        f"```python\n{F}\n``` It adds one.",
        f"{F}\n```",  # the opening fence was the prompt's
        f"{F}```",
        f"{F}\n```\n\nExample:\n```python\nprint(f(1))\n```",
        f"```python\n{F}\n\n```python\nprint(f(2))\n```",  # never closed, and opened again
        f"The code is ```python\n{F}\n```",
        f"```python {F}\n```",
        f"[BEGIN]\n{F}\n[DONE]",
        f"[PYTHON]\n{F}\n[/PYTHON]\nIt adds one.",
        f"<code>\n{F}\n</code>",
        f"<answer>\n```python\n{F}\n```\n</answer>",
        f"\ufeff{F}",
        f"```python\n\ufeff{F}\n```",
        f"```python\r\n{F}\r\n```\r\n".replace("\n    ", "\r\n    "),
        f"{F}\r\n\r\nIt adds one.".replace("\n    ", "\r\n    "),
        f"\n\n{F}\n\n",
        f"{F}<|im_end|>",
        f"{F}\n<|endoftext|>\nimport os\nos.abort(",
        f"Sure, here it is.\n\n{F}\n\nThis adds one to x. Don't (ever) use it!",
        f"Sure, here it is:\n{F}\nThis adds one to x.",
        f"The function:\n\n    {F.replace(chr(10), chr(10) + '    ')}\n\nIt adds one.",
        f"```json\n{{'def f(x)': 1}}\n```\n```python\n{F}\n```\n```text\n2\n```",
        f"```text\n{F}\n```",
        f"```python\nprint(1)\n```\nthen\n```python\n{F}\n```\nUse it:\n```python\nprint(f(1))\n```",
        f"<think>Add `x`?\n```python\ndef f(x):\n    return x\n```\n</think>\n{F}",
        f"so f adds one</think>```python\n{F}\n```",
    ],
)
def test_every_form_of_an_answer_gives_its_program(answer: str) -> None:
    assert read_program(answer, "f") == F


@pytest.mark.parametrize(
    "answer",
    [
        "I cannot do that.",
        "",
        " \n\t\n",
        "```\n```",
        "```python\n```",
        "```python\nprint(1)\n```",
        "<think>\n```python\ndef f(x):\n    return x\n```\nNo,",
        "A draft:\n```python\ndef f(x):\n    return x\n```\nis not an answer yet</think>",
        "Done",
        "[DONE]",
        "\x00\ud800",
    ],
)
def test_an_answer_without_a_program(answer: str) -> None:
    assert read_program(answer, "f") is None


def test_a_fence_on_the_line_of_the_code() -> None:
    code = "def f(x): return x + 1"
    for answer in (f"```python {code}```", f"```{code}```", f"Use ```python {code}``` here.", f"``` {code} ```"):
        assert run(answer, 1) == 2


def test_fences_in_strings_and_comments_are_code() -> None:
    lines = ["def f(word):", '    """Quote.', "", "    ```", "    f(1)", "    ```", "    ```python", "    f(2)", "    ```", '    """']
    code = "\n".join([*lines, "    return \"```\" + word + '```'  # ``` ```"])
    for answer in (f"```python\n{code}\n```", code, f"Sure:\n```\n{code}\n```\nThat is all.", f"Sure:\n\n{code}\n\nThat is all."):
        assert run(answer, "a") == "```a```"


def test_a_string_that_is_never_closed_swallows_no_later_block() -> None:
    answer = f'```python\ndef g(x):\n    """Adds\n```\nBetter:\n```python\n{F}\n```'
    assert read_program(answer, "f") == F


def test_lines_end_at_newlines_alone() -> None:
    code = 'def f(x):\n    sep = "a\u2028b\x85c\x0cd\x1ce"\n    return sep.split(x)\n\x0c\n'
    assert run(f"```python\n{code}```", "\u2028") == ["a", "b\x85c\x0cd\x1ce"]
    assert run(f"import math\u2028 is not a line\n\nCode:\n{code}\nDone.", "\x85") == ["a\u2028b", "c\x0cd\x1ce"]


def test_the_last_definition_counts() -> None:
    first, second = "def f(x):\n    best = 0\n    for y in [x]:\n        best = y\n    return best", "def f(x):\n    return -x"
    assert run(f"```python\n{first}\n```\nSimpler:\n```python\n{second}\n```", 2) == -2
    assert run(f"{first}\n\nSimpler:\n\n{second}", 2) == -2


@pytest.mark.parametrize(
    "later",
    [
        "def f(x):\n    ...",
        'def f(x):\n    """Adds one."""',
        "def f(x):\n    raise NotImplementedError",
        "from solution import f\n\ndef test_f():\n    assert f(1) == 2",
        "import unittest\n\nclass TestF(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(f(1), 2)\n\nunittest.main()",
        "assert f(1) == 2\nassert f(2) == 3",
        "result = f(2)\nprint(result)",
        "f = f(2)",
        "def f(x):\n    if x:\n        return (",
    ],
)
def test_tests_and_summaries_behind_the_program_do_not_count(later: str) -> None:
    assert read_program(f"```python\n{F}\n```\nAnd:\n```python\n{later}\n```", "f") == F


def test_helpers_in_other_blocks_come_along() -> None:
    for parts in ([HELPER, HELPED], [HELPED, HELPER], ["def _twice(x):\n    return 0", HELPER, HELPED, "print(f(1))"]):
        assert run("\nand\n".join(f"```python\n{part}\n```" for part in parts), 2) == 5


def test_helpers_bring_what_they_need() -> None:
    blocks = [
        "import math\nunused = 1 / 0",
        "FACTORS = []\nfor n in range(3):\n    FACTORS.append(n)",
        "def g(x):\n    return math.floor(x) + sum(FACTORS)",
    ]
    answer = "\n".join(f"```python\n{block}\n```" for block in [*blocks, "from __future__ import annotations\ndef f(x):\n    return g(x)"])
    assert run(answer, 1.5) == 4


def test_a_program_that_is_whole_takes_nothing_from_other_blocks() -> None:
    whole = f"{HELPER}\n\n\n{HELPED}"
    assert read_program(f"```python\ndef _twice(x):\n    return 0\n```\n```python\n{whole}\n```", "f") == whole


def test_lines_of_another_function_are_no_helper() -> None:
    docstring = ["'''", "```python", "f(1)", "```", "```", "f(2)", "```", "'''"]
    lines = ["table = value", "", "", "def f(x):", *(f"    {line}" for line in [*docstring, "pass", "value = []", "return [table]"])]
    answer = "\n".join(["The code:", "", *(f"    {line}" for line in lines), "", "That is it."])
    assert read_program(answer, "f") == "\n".join(lines)


def test_what_the_prompt_gave_stands_in_front() -> None:
    given = f"import unheard_of\nfrom typing import List\n\n\n{HELPER}\n\n\ndef f(x: List[int]) -> List[int]:\n    '''Doc.'''\n"
    code = "def f(x: List[int]) -> List[int]:\n    return [_twice(y) for y in x]"
    assert run(f"```python\n{code}\n```", [1, 2], given=given) == [2, 4]
    own = f"def _twice(x):\n    return x\n\n\nfrom typing import List\n{code}"
    assert read_program(f"```python\n{own}\n```", "f", given) == own
    assert run(f"from __future__ import annotations\n{HELPED}", 1, given=given) == 3


@pytest.mark.parametrize(
    "head", ["def f(x):\n", "def f(x):", 'import math\n\ndef f(x):\n    """Add one.\n\n    >>> f(1)\n    2\n    """\n']
)
@pytest.mark.parametrize(
    "body",
    [
        "    y = x + 1\n    return y",
        "\n    y = x + 1\n    return y\n\n\nprint(f(3) / 0)\n",
        "    y = x + 1\n    return y\n\ndef test():\n    assert f(1) == 3\n\ntest()",
        "    y = x + 1\n    return y\n```\nIt adds one.",
        "```python\n    y = x + 1\n    return y\n```",
        "```python\ny = x + 1\nreturn y\n```",
        "y = x + 1\nreturn y",
        "y = x + 1\n    return y",
        "    y = x + 1\n    return y\n\ndef g(x):\n    return (",
    ],
)
def test_a_body_goes_on_where_the_prompt_stops(head: str, body: str) -> None:
    assert run(body, 1, given=head) == 2


def test_words_are_no_body() -> None:
    head = "def f(x):\n    '''Add one.'''\n"
    for words in ("hello", "I cannot.", "  hello", "Done\n", "```\nhello\n```", "x"):
        assert read_program(words, "f", head) is None, words


def test_a_method_is_adopted() -> None:
    body = "    def f(self, x: int) -> int:\n        return self.add(x, 1)\n\n    def add(self, x, y):\n        return x + y"
    assert run(f"```python\nclass Solution:\n{body}\n```", 1) == 2
    assert run(f"class Adder:\n    def __init__(self, start=0):\n        pass\n\n{body}\n\nprint(Adder().f(1) / 0)", 1) == 2
    assert run("class Solution:\n    @staticmethod\n    def f(x):\n        return x + 1", x := 1) == x + 1
    needy = f"class Adder:\n    def __init__(self, start):\n        pass\n\n{body}"
    assert read_program(needy, "f") == needy, "nobody can make one: running it says that f is missing"


def test_a_truncated_answer_keeps_its_longest_part() -> None:
    assert read_program(f"```python\n{F}\n\ndef g(x):\n    return (", "f") == F
    assert read_program(f"{F}\n\n\nclass A:\n    def g(self):\n        return [1, 2", "f") == F
    cut = "def f(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return {'a': [total,"
    assert read_program(cut, "f") == cut.rpartition("\n")[0]


def test_what_does_not_parse_is_given_as_it_is() -> None:
    code = "def f(x)\n    return x + 1"
    assert read_program(f"Here:\n```python\n{code}\n```", "f") == code


def test_another_name_is_given_with_its_functions() -> None:
    assert read_program("```python\ndef g(x):\n    return x\n\nprint(g(input()))\n```", "f") == "def g(x):\n    return x"


def test_a_whole_program_keeps_everything() -> None:
    code = "import sys\n\ndef main():\n    print(input())\n\nif __name__ == '__main__':\n    main()\nelse:\n    sys.exit(1)\n# end"
    assert read_program(f"It reads:\n```python\n{code}\n```\nFor\n```\n5 3\n```\nit prints\n```\n8\n```\n") == code
    usage = "```python\nsolve('3 4')\n```"
    assert read_program(f"```python\n{code}\n```\n{usage}") == code
    assert read_program(code) == code
    assert read_program("5 3") is None


def test_a_program_in_two_blocks() -> None:
    code = read_program("```python\ndef solve(n):\n    return n * n\n```\nand call it:\n```python\nprint(solve(int(input())))\n```")
    assert code is not None and ast.unparse(ast.parse(code)) == "def solve(n):\n    return n * n\nprint(solve(int(input())))"


def test_the_body_of_another_function_is_not_the_prompt_s() -> None:
    given = 'def f(x):\n    """Doubles."""\n'
    other = "def g(x: int) -> int:\n    return 2 * x"
    assert read_program(f"```python\n{other}\n```", "f", given) != f"{given.rstrip()}\n    return 2 * x"
    assert read_program("The body is:\n\n    return 2 * x\n", "f", given) == f"{given.rstrip()}\n    return 2 * x"
