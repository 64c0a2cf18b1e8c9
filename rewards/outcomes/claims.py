"""What an assert claims of a call's value, and whether a program's canonical outcome fulfils it, as Python would decide.

Outcomes are told apart by type (`rewards.outcomes.typed`), and Python's `==` is not: `assert f(x) == 2` holds of 2.0, and `assert f(x)` of
any true value. Values that have no literal (complex numbers, fractions, decimals, those for which a digest stands) are equal where their
texts are.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rewards.records import Outcome

RELATIONS = ("is", "bool")  # those that a claim's text names; it starts like no canonical text
_holds_number = re.compile(r"\d|True|False").search
_LEFT_ALONE = "None; arguments left as "  # the call returned None
_FALSE = frozenset(
    {
        *("frozenset({})", "deque([])", "dict_keys([])", "dict_values([])", "dict_items([])", "bytearray(b'')"),
        *("complex(0.0, 0.0)", "complex(0, 0)", "Fraction(0, 1)", "Decimal('0')", "datetime.timedelta(0)"),
    }
)


@dataclass(frozen=True, slots=True)
class Claim(Outcome):
    """An expected outcome, and how the value of the call compares with it.

    >>> from rewards.records import Kind
    >>> Claim(Kind.VALUE, "True", "bool").text
    'bool True'
    """

    relation: Literal["==", "is", "bool"] = "=="  # bool: the value is as true, or as false, as this

    @property
    def text(self) -> str:
        """What `fulfils` reads."""
        return self.payload if self.relation == "==" else f"{self.relation} {self.payload}"


def claim_text(expected: Outcome) -> str:
    """The text of a claim; of any other expected outcome that it is equal."""
    return expected.text if isinstance(expected, Claim) else expected.payload


@lru_cache(maxsize=1 << 15)  # pools of one problem hold the same few values again and again
def fulfils(text: str, claim: str) -> bool:
    """Whether a value with this canonical text fulfils a claim.

    >>> fulfils("2.0", "2"), fulfils("[]", "bool True"), fulfils("1", "is True")
    (True, False, False)
    """
    if text.startswith(_LEFT_ALONE):
        text = "None"
    relation, _, payload = claim.partition(" ")
    if relation not in RELATIONS:
        return text == claim or bool(_holds_number(claim) and _equal(text, claim))
    return text == payload if relation == "is" else _is_true(text) is (payload == "True")


def _equal(text: str, other: str) -> bool:
    one, two = _value(text), _value(other)
    return bool(one and two and one[0] == two[0])


def _is_true(text: str) -> bool:
    held = _value(text)
    return bool(held[0]) if held else text not in _FALSE


@lru_cache(maxsize=4096)
def _value(text: str) -> tuple[object] | None:
    """The value of a literal, None for what is none."""
    try:
        return (ast.literal_eval(text),)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
