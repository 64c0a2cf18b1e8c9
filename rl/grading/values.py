"""Python values back from the sandbox's canonical texts, for graders that compare with a tolerance or run a benchmark's own tests.

A text comes from a hostile child, so it is read as data: literals and a fixed list of constructors, nothing else. Standard library only
and self-contained: `rl.benchmarks.replay` also sends this file into the sandbox, beside a benchmark's tests.
"""

from __future__ import annotations

import ast
import collections
import datetime
import decimal
import fractions
from typing import Any

LONGEST_RANGE = 1_000_000
LEFT_AS = "None; arguments left as "  # a call that returned None and may have worked in place


class Opaque:
    """A value without canonical form: it is not None, and it equals nothing but itself."""


class Undecodable(ValueError):
    """The text is no canonical text of a value."""


def _keys(items: list[Any]) -> Any:
    return dict.fromkeys(items).keys()


def _values(items: list[Any]) -> Any:
    return dict(enumerate(items)).values()


def _items(items: list[Any]) -> Any:
    return dict(items).items()


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if not -LONGEST_RANGE <= made.start <= LONGEST_RANGE or not -LONGEST_RANGE <= made.stop <= LONGEST_RANGE:
        raise ValueError("a range too long to compare")
    return made


_MAKERS: dict[str, Any] = {
    "set": set,
    "frozenset": frozenset,
    "deque": collections.deque,
    "Fraction": fractions.Fraction,
    "complex": complex,
    "bytearray": bytearray,
    "Decimal": decimal.Decimal,
    "range": _range,
    "iterator": iter,
    "dict_keys": _keys,
    "dict_values": _values,
    "dict_items": _items,
    "array": lambda *items, **notes: Opaque(),  # numpy's, which equals no list
    "datetime.date": datetime.date,
    "datetime.time": datetime.time,
    "datetime.datetime": datetime.datetime,
    "datetime.timedelta": datetime.timedelta,
    "datetime.timezone": datetime.timezone,
}
_NAMES: dict[str, Any] = {"nan": float("nan"), "inf": float("inf"), "datetime.timezone.utc": datetime.UTC}


def decode(text: str) -> Any:
    """The value that a canonical text stands for. Raises Undecodable.

    >>> decode("{'a': [1.5, inf], 'b': frozenset({2})}")
    {'a': [1.5, inf], 'b': frozenset({2})}
    """
    if text.startswith(LEFT_AS):
        return None
    try:
        return _build(ast.parse(text, mode="eval").body)
    except (ValueError, TypeError, ArithmeticError, SyntaxError, RecursionError, MemoryError) as error:
        raise Undecodable(str(error)[:200]) from None


def _build(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [_build(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_build(item) for item in node.elts)
    if isinstance(node, ast.Set):
        return {_build(item) for item in node.elts}
    if isinstance(node, ast.Dict):
        return {_build(k): _build(v) for k, v in zip(node.keys, node.values, strict=True) if k is not None}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _build(node.operand)
        if type(value) in (int, float):
            return -value
    if isinstance(node, ast.Name | ast.Attribute) and (name := ast.unparse(node)) in _NAMES:
        return _NAMES[name]
    if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in _MAKERS:
        return _MAKERS[name](*map(_build, node.args), **{k.arg: _build(k.value) for k in node.keywords if k.arg})
    raise ValueError("not a canonical text")
