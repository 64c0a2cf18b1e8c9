"""Problems whose solutions are programs, with right and wrong ones, in several spellings."""

from __future__ import annotations

from typing import Any

STATEMENTS = {
    "sum": ("The first line holds n, the second line holds n integers. Print their sum on one line.", "sum(xs)"),
    "largest": ("The first line holds n, the second line holds n integers. Print the largest of these numbers.", "max(xs)"),
    "spread": ("The first line holds n, the second n integers. Print the largest number minus the smallest number.", "max(xs) - min(xs)"),
    "even": (
        "Read n and then n integers from the next line. How many of the integers are even? Print that count.",
        "sum(x % 2 == 0 for x in xs)",
    ),
    "squares": ("Read n and then n integers from the next line, and print what their squares add up to.", "sum(x * x for x in xs)"),
    "last": ("There are two lines: n, then n integers. Print the last integer multiplied by the first integer.", "xs[0] * xs[-1]"),
    "zeros": (
        "There are two lines: n, then n integers. Print how many of the integers are greater than twenty.",
        "sum(x > 20 for x in xs)",
    ),
    "double": ("Two lines are given, n and then n integers. Print twice the smallest integer of the second line.", "2 * min(xs)"),
}
EXAMPLE = {"input": "4\n31 7 16 22\n", "output": "unknown"}
SPELLINGS = (
    "n = int(input())\nxs = list(map(int, input().split()))\nprint({})",
    "n, *xs = map(int, open(0).read().split())\nprint(float({}))",
    "import sys\nxs = [int(x) for x in sys.stdin.read().split()][1:]\nprint({}, end=' \\n\\n')",
    "def main():\n    input()\n    xs = [int(x) for x in input().split()]\n    print({})\n\n\nif __name__ == '__main__':\n    main()",
)


def programs(expression: str) -> list[str]:
    """Six programs: four that print the expression, in four spellings, and two that print something else."""
    wrong = (SPELLINGS[0].format(f"{expression} + (n > 3)"), SPELLINGS[1].format("n + 100"))
    return [*(spelling.format(expression) for spelling in SPELLINGS), *wrong]


def program_rows() -> list[dict[str, Any]]:
    """Rows of the user's own with six candidates each."""
    return [
        {"id": name, "description": text, "example": EXAMPLE, "candidates": programs(expression)}
        for name, (text, expression) in STATEMENTS.items()
    ]
