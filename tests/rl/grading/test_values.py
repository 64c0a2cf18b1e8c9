"""Canonical texts read back as values; hostile texts read as nothing."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import math
from typing import Any

import pytest

from rewards.outcomes.typed import Canonicaliser
from rl.grading.values import LEFT_AS, Undecodable, decode


@pytest.mark.parametrize(
    "value",
    [
        *(0, -7, 10**40, 1 << 9000, True, None, 1.5, -0.1, 1e300, 1e-300, math.inf, -math.inf, 2 / 3, 0.1 + 0.2),
        *("", "a'b\"\n", b"\x00a", [], [1, [2.0, "x"]], (), (1,), (1, (2, 3)), set(), {1, 2}, frozenset({(1, 2)}), {}, {"a": [1], 2: None}),
        *(complex(1, -2.5), fractions.Fraction(-3, 4), decimal.Decimal("1.10"), range(3), range(5, 1, -2), bytearray(b"x")),
        *(collections.deque([1, 2]), datetime.date(2024, 2, 29), datetime.timedelta(days=-1, seconds=3)),
        datetime.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
    ],
)
def test_value_comes_back(value: Any) -> None:
    back = decode(Canonicaliser(17, digest_over=1 << 30).text(value))
    assert back == value and type(back) is type(value)


def test_containers_that_count_as_plain_ones() -> None:
    texts = Canonicaliser(17)
    assert decode(texts.text(collections.Counter("aab"))) == {"a": 2, "b": 1}
    assert decode(texts.text({1: 2}.keys())) == {1}
    assert list(decode(texts.text(map(str, [1, 2])))) == ["1", "2"]
    assert math.isnan(decode(texts.text(math.nan)))


def test_a_call_that_worked_in_place_returned_none() -> None:
    assert decode(LEFT_AS + "[[1, 2]]") is None


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open('x')",
        "10**10**10",
        "[x for x in y]",
        "range(0, 10**12)",
        "range(0, 1000000000000)",
        "list#2000:abcdef",
        "{[]}",
        "{[]: 1}",
        "Fraction(1, 0)",
        "set(1)",
        "iterator(1)",
        "(" * 5000,
        "-" * 50_000 + "1",
        "",
        "f'{1}'",
        "1 if 1 else 2",
    ],
)
def test_hostile_text_is_no_value(text: str) -> None:
    with pytest.raises(Undecodable):
        decode(text)
