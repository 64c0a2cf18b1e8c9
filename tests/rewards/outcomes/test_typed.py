"""The canonical text of values: typed, order-free, and deaf to what a value says about itself."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.outcomes.typed import Canonicaliser, TooLarge, Unserialisable

text = Canonicaliser().text
SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.text(), st.binary()),
    st.floats(allow_nan=False).map(lambda x: float(f"{x:.6g}") if abs(x) > 1e-11 else 0.0),  # no two that are written alike
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (1, 1.0),
        (0, False),
        ([1], (1,)),
        ("1", 1),
        (b"a", "a"),
        ({1}, frozenset({1})),
        ([], ()),
        ({}, set()),
        ("None", None),
        (1, 1 + 0j),
    ],
)
def test_types_are_told_apart(one: object, other: object) -> None:
    assert text(one) != text(other)
    assert text([one]) != text([other])
    assert text({"k": one}) != text({"k": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (math.nan, -math.nan),
        (-0.0, 0.0),
        (-1.7e-18, 0.0),
        ([1.9e-34], [0.0]),
        (0.1 + 0.2, 0.3),
        ([math.nan], [float("nan")]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Counter("ab"), {"b": 1, "a": 1}),
        (OrderedDict(a=1, b=2), {"b": 2, "a": 1}),
        (defaultdict(int, {1: 2}), {1: 2}),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        ((i for i in [1, 2]), iter([1, 2])),
    ],
)
def test_equal_behaviour_has_equal_text(one: object, other: object) -> None:
    assert text(one) == text(other)


def test_small_numbers_are_told_apart() -> None:
    assert text(1e-11) != text(2e-11) != text(0.0)


def test_significant_digits_are_those_stated() -> None:
    assert Canonicaliser(digits=3).text(1.2341) == Canonicaliser(digits=3).text(1.2339)
    assert Canonicaliser(digits=6).text(1.2341) != Canonicaliser(digits=6).text(1.2339)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (1.0, 1, True),
        ([2.0, {-0.0}], [2, {0}], True),
        (1e10, 10**10, True),
        (1e300, int(1e300), True),
        (0.9999999999999, 1, True),  # the same as 1.0 at ten digits
        (1.5, 1, False),
        (True, 1.0, False),
        (float("inf"), 1, False),
    ],
)
def test_whole_floats_are_integers_only_where_asked(one: object, other: object, alike: bool) -> None:
    assert (Canonicaliser(whole_floats=False).text(one) == Canonicaliser(whole_floats=False).text(other)) is alike
    assert text(one) != text(other)


@pytest.mark.parametrize("arguments", [[[1]], [([1],)], [1, (2, ({},))]])
def test_a_call_that_returns_none_is_told_by_what_it_left_also_inside_tuples(arguments: list[object]) -> None:
    assert Canonicaliser().result(None, arguments).startswith("None; arguments left as ")
    assert Canonicaliser().result(None, [1, ("a", (2,))]) == "None"


HASHABLE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.floats()), lambda inner: st.tuples(inner, inner), max_leaves=4
)


@given(st.lists(HASHABLE, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_a_set_or_dict_was_filled_does_not_show(items: list[Any], chance: random.Random) -> None:
    """NaN too, which is unequal to itself: each object counts once, whatever its place."""
    shuffled = chance.sample(items, len(items))
    assert text(set(items)) == text(set(shuffled)) or any(a == b and repr(a) != repr(b) for a in items for b in items)  # 1 and True
    keys = dict.fromkeys(map(repr, items), math.nan)
    assert text(keys) == text(dict.fromkeys(map(repr, shuffled), float("nan")))


def test_texts_do_not_depend_on_the_hash_seed() -> None:
    script = "import random; from rewards.outcomes.typed import Canonicaliser\nwords = [str(i) for i in range(50)]\n"
    script += "print(Canonicaliser(digest_over=10**6).text([set(words), frozenset(words), {w: {w, 'x'} for w in words}]))"
    found = [
        subprocess.run([sys.executable, "-c", script], env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]
    assert found[0].stdout == found[1].stdout and len(found[0].stdout) > 100


@given(VALUES)
def test_equal_text_exactly_when_python_and_types_agree(value: Any) -> None:
    assert text(value) == text(eval(repr(value), {"inf": math.inf, "nan": math.nan}))
    assert "\n" not in text(value)


@given(VALUES, VALUES)
def test_different_values_have_different_texts(one: Any, other: Any) -> None:
    if one != other:
        assert text(one) != text(other)


class Liar(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "'right'"

    def __hash__(self) -> int:
        return hash("right")


class FakeClass:
    __class__ = int  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __len__(self) -> int:
        raise RuntimeError

    def __reduce__(self) -> str:
        raise RuntimeError


class HiddenItems(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        return {}.items()


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "value",
    [Liar("wrong"), FakeClass(), HiddenItems(a=1), Point(1, 2), object(), len, type, lambda: 0, [Liar("x")], {Liar("x"): 1}],
    ids=range(10),
)
def test_objects_of_other_classes_have_no_text(value: object) -> None:
    with pytest.raises(Unserialisable):
        text(value)


@pytest.mark.parametrize("posed", [int, set, date], ids=str)
def test_no_method_of_a_metaclass_is_called_either(posed: type) -> None:
    called: list[str] = []

    class Meta(type):
        def __hash__(cls) -> int:
            called.append("__hash__")
            return hash(posed)

        def __eq__(cls, other: object) -> bool:
            called.append("__eq__")
            return True

    class Posing(metaclass=Meta):
        def __repr__(self) -> str:
            called.append("__repr__")
            return "1"

    for value in (Posing(), [Posing(), 1], (Posing(),), {"k": Posing()}):
        with pytest.raises(Unserialisable):
            text(value)
    Canonicaliser().result(None, [Posing()])
    assert not called


def test_cycles_and_depth_end() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(Unserialisable):
        text(cycle)


@pytest.mark.parametrize(
    "value", [(i for i in iter(int, 1)), "x" * 3_000_000, ["x" * 1000] * 5000, b"x" * 3_000_000, 1 << 20_000_000], ids=range(5)
)
def test_size_is_bounded(value: object) -> None:
    with pytest.raises(TooLarge):
        text(value)


def test_long_values_are_digested_and_still_told_apart() -> None:
    one, other = text(list(range(5000))), text([*range(4999), 0])
    assert len(one) < 200
    assert one != other


@pytest.mark.parametrize(
    "value", [[10**5000], "\ud800", deque([1, 2]), Decimal("1.50"), Fraction(1, 3), range(3), {1: 2}.items(), 2 + 3j, bytearray(b"a")]
)
def test_unusual_values_have_a_text(value: object) -> None:
    assert text(value).isprintable()


def test_arguments_are_recorded_when_nothing_is_returned() -> None:
    result = Canonicaliser().result
    assert result(None, [[3, 1]]) != result(None, [[1, 3]])
    assert result(None, [1]) == result(None, [2]) == "None"
    assert result(5, [[3, 1]]) == result(5, [[1, 3]])
