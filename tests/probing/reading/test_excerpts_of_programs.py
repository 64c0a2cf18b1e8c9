"""What is said of a program that reads standard input, behind it, is no version of it; a corrected version is."""

from __future__ import annotations

import pytest

from probing.reading import read_program

P = """import sys

def solve(xs):
    return sum(xs) * 2

def main():
    n = int(input())
    xs = list(map(int, input().split()))
    print(solve(xs))

main()"""


def answers(first: str, second: str) -> list[str]:
    """Answers that hold both, one behind the other."""
    fenced = f"```python\n{first}\n```\nAnd then:\n```python\n{second}\n```\nDone."
    return [fenced, f"{first}\n\nAnd then (again):\n\n{second}\n\nThat is it (all)."]


@pytest.mark.parametrize(
    "piece",
    [
        "n = int(input())\nxs = list(map(int, input().split()))\nprint(solve(xs))",
        "def main():\n    n = int(input())\n    ...\n    print(n)\n\nmain()",
        "n = int(input())\n# ... as before\nprint(n)",
        "n = int(input())\nprint(result)",
    ],
)
def test_a_piece_of_the_program_is_not_the_program(piece: str) -> None:
    assert [read_program(answer) for answer in answers(P, piece)] == [P, P]


@pytest.mark.parametrize(
    "tip",
    [
        "for line in sys.stdin:\n    print(line.strip())",
        "data = sys.stdin.read().split()\nprint(data)",
        "n, m = map(int, input().split())\nprint(f'{n} and {m}')",
        "while True:\n    line = input()\n    if line == '':\n        break\n    print('Read: ' + line)",
        "def main():\n    for line in open(0):\n        sys.stdout.write(line)\n\nif __name__ == '__main__':\n    main()",
    ],
)
def test_how_input_is_read_in_general_is_not_the_program(tip: str) -> None:
    assert [read_program(answer) for answer in answers(P, tip)] == [P, P]
    for answer in answers("import sys\nprint(int(input()))", tip):
        assert tip in (read_program(answer) or ""), "of two that compute nothing the last counts"


@pytest.mark.parametrize(
    "trial",
    [
        'import io\nsys.stdin = io.StringIO("3\\n")\nmain()\nprint("done")',
        f'{P.removesuffix("main()")}import io\ntext = io.StringIO("3\\n")\nsys.stdin, old = text, sys.stdin\nmain()',
        "from unittest.mock import patch\nwith patch('builtins.input', side_effect=['3', '1 2 3']):\n    main()\n    print(input() * 2)",
        "def test_main(monkeypatch, capsys):\n    monkeypatch.setattr(sys, 'stdin', ['3'])\n    main()\n    print(2 * 3)",
    ],
)
def test_what_tries_the_program_out_is_not_the_program(trial: str) -> None:
    assert [read_program(answer) for answer in answers(P, trial)] == [P, P]
    assert read_program(f"```python\n{trial}\n```") == trial, "but where it is all there is"


@pytest.mark.parametrize(
    "corrected",
    [
        "n = int(input())\nprint(sum(map(int, input().split())) * 2)",
        P.replace("* 2", "* 3"),
        "s = input()\nprint(s[::-1])",
        "n = int(input())\nprint(-n)",
        "import sys\nsys.stdin = open(0)\nn = int(sys.stdin.readline())\nprint(n * 2)",
    ],
)
def test_a_corrected_program_counts_even_if_it_is_short(corrected: str) -> None:
    assert [read_program(answer) for answer in answers(P, corrected)] == [corrected, corrected]


def test_a_program_without_its_prompts_is_a_correction() -> None:
    talking = "print('Enter n:')\nn = int(input())\nprint(n * 2)"
    assert [read_program(answer) for answer in answers(talking, "n = int(input())\nprint(n * 2)")] == ["n = int(input())\nprint(n * 2)"] * 2
