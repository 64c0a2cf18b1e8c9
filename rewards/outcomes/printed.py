"""What a program printed, in a normal form: two prints are the same exactly when their normal forms are equal.

As LiveCodeBench's harness compares them (github.com/LiveCodeBench/LiveCodeBench at 15808c7, `lcb_runner/evaluation/testing_util.py`):
space around the whole and around each line does not count, and two lines that hold numbers alone are equal as decimal numbers. NaN equals
nothing there, so that a line that holds one counts as text.

Standard library only and self-contained: the sandbox also runs this file beside a program (`rewards.programs.stdin`).
"""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation

_CONTEXT = Context(traps=[InvalidOperation])  # of our own: a program may have changed the default one
_LONGEST_PLAIN = 40  # zeros that are written out on either side of the digits


def normal_print(text: str) -> str:
    """The normal form of a printed text.

    >>> normal_print(" 1  2.50 \\nYes \\n\\n")
    '1 2.5\\nYes'
    """
    return "\n".join(_normal_line(line.strip()) for line in text.strip().split("\n"))


def _normal_line(line: str) -> str:
    numbers = []
    for word in line.split():
        number = _normal_number(word)
        if number is None:
            return line
        numbers.append(number)
    return " ".join(numbers)


def _normal_number(word: str) -> str | None:
    """A decimal number in the one form of its value; None for what is none, and for NaN."""
    if word.isdecimal() and word.isascii() and (word[0] != "0" or word == "0"):
        return word
    try:
        number = Decimal(word, _CONTEXT)
    except InvalidOperation:
        return None
    if number.is_nan():
        return None
    if number.is_infinite():
        return str(number)
    negative, digits, exponent = number.as_tuple()
    plain = "".join(map(str, digits)).lstrip("0")
    short = plain.rstrip("0")
    if not short:
        return "0"
    assert isinstance(exponent, int)  # it is a letter for infinity and NaN alone
    return "-" * negative + _written(short, exponent + len(plain) - len(short))


def _written(digits: str, exponent: int) -> str:
    """digits · 10^exponent, without an exponent where that is short."""
    if 0 <= exponent <= _LONGEST_PLAIN:
        return digits + "0" * exponent
    if -_LONGEST_PLAIN <= exponent < 0:
        padded = digits.rjust(1 - exponent, "0")
        return f"{padded[:exponent]}.{padded[exponent:]}"
    return f"{digits}E{exponent}"
