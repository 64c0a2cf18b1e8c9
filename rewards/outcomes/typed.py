"""Canonical outcomes: one text for one value, so that comparing behaviours is comparing strings (o(r, x) in docs/method.md).

Runs inside the sandboxed child on values that hostile code made, so it trusts nothing of theirs: it decides by `type(x) is T`, reads
contents through the base types' own C methods, and calls no method that the program could have defined. Standard library only; nothing of
ours is imported, and every builtin is bound here before any program runs.

The text is typed: True is not 1, 1 is not 1.0, [1] is not (1,). NaN equals NaN, -0.0 equals 0.0, and so does all that is nearer to it than
1e-12 (but at 17 digits); floats agree at `digits` significant digits, sets and dicts do not depend on order. Counter, OrderedDict and
defaultdict count as the dict they equal. Other classes, subclasses of builtin types among them, have no canonical form. Lazy builtin
iterators are drained up to a limit.

>>> Canonicaliser().text({"b": 0.1 + 0.2, "a": {3, 1}})
"{'a': {1, 3}, 'b': 0.3}"
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import hashlib
import itertools
import re
import types
from collections.abc import Callable, Iterable
from typing import Any

DIGEST_OVER = 1000  # characters of canonical text above which a digest stands for it
MAX_DEPTH = 60  # nesting levels
MAX_DRAIN = 20_000  # items taken from a lazy iterator
HEX_OVER_BITS = 8192  # integers above this are written in hexadecimal, which takes linear time

NEAR_ZERO = 1e-12  # what rounding leaves of zero, which differs between equal formulas
EXACT_DIGITS = 17  # at which floats are written as they are
# Types are looked up by their id: a program's class may have a metaclass with a __hash__ and an __eq__ of its own.
_SCALARS = frozenset(map(id, (int, str, bool, type(None))))  # repr() of these is typed, exact and cannot be overridden
_LAZY: frozenset[type] = frozenset(
    {
        types.GeneratorType,
        map,
        filter,
        zip,
        enumerate,
        reversed,
        type(iter([])),
        type(iter(())),
        type(iter("")),
        type(iter(set())),
        type(iter({})),
        type(iter({}.values())),
        type(iter({}.items())),
        type(iter(range(0))),
        type(reversed([])),
        type(reversed({})),
        itertools.chain,
        itertools.islice,
        itertools.accumulate,
        itertools.combinations,
        itertools.combinations_with_replacement,
        itertools.permutations,
        itertools.product,
        itertools.takewhile,
        itertools.dropwhile,
        itertools.starmap,
        itertools.zip_longest,
        itertools.count,
        itertools.cycle,
        itertools.repeat,
        itertools.pairwise,
        itertools.compress,
        itertools.filterfalse,
    }
)
_VIEWS = {type({}.keys()): "dict_keys", type({}.values()): "dict_values", type({}.items()): "dict_items"}
_DICTS: frozenset[type] = frozenset({dict, collections.Counter, collections.OrderedDict, collections.defaultdict})
MEMORY_ERRORS: set[type] = {MemoryError}  # exceptions that say that memory has run out
_PLAIN: frozenset[type] = frozenset({decimal.Decimal, datetime.date, datetime.time, datetime.datetime, datetime.timedelta, range})
_STR = id(str)
_ZONED = frozenset({datetime.time, datetime.datetime})
_MUTABLE = frozenset(map(id, (list, dict, set, bytearray, collections.deque)))
_type, _id, _len, _repr, _map, _sum, _list, _sorted, _set, _any = type, id, len, repr, map, sum, list, sorted, set, any
_int_repr, _bit_length, _float_format, _is_whole, _dict_items = int.__repr__, int.bit_length, float.__format__, float.is_integer, dict.items
_int, _float = int, float
_sha256 = hashlib.sha256
_find_address = re.compile("0x[0-9a-f]{6,16}(?![0-9a-f])", re.IGNORECASE).search


def shown_address(text: str) -> str:
    """The first thing in a canonical text that reads like an address in memory; empty where nothing does.

    >>> shown_address("'<reversed object at 0x7f3a5c01d2e0>'"), shown_address("'0x1f'")
    ('0x7f3a5c01d2e0', '')
    """
    found = _find_address(text)
    return found[0] if found else ""


def _holds_mutable(value: Any) -> bool:
    kind = _type(value)
    return _id(kind) in _MUTABLE or (kind is tuple and _any(_map(_holds_mutable, value)))


class Unserialisable(ValueError):
    """The value has no canonical form."""


class TooLarge(ValueError):
    """The canonical text passes the byte limit, or an iterator its item limit."""


class Canonicaliser:
    """Turns values into canonical text.

    digits: significant digits at which floats are compared. max_chars: limit on the text of one value. digest_over: characters above
    which a digest stands for the text; an address that the text shows stays beside it. whole_floats: whether `1.0` is told apart from `1`.
    """

    __slots__ = ("_format", "_left", "_near_zero", "digest_over", "max_chars", "whole_floats")

    def __init__(self, digits: int = 10, max_chars: int = 1 << 20, digest_over: int = DIGEST_OVER, whole_floats: bool = True) -> None:
        self._format = f".{digits}g"
        self._near_zero = digits < EXACT_DIGITS
        self.max_chars = max_chars
        self.digest_over = digest_over
        self.whole_floats = whole_floats
        self._left = 0

    def text(self, value: Any) -> str:
        """Canonical text of a value.

        Raises Unserialisable or TooLarge; whatever a drained generator raises passes through.
        """
        kind = _type(value)
        if kind is bool or value is None:
            return _repr(value)
        self._left = self.max_chars
        text = self._walk(value, 0)
        if _len(text) > self.max_chars:
            raise TooLarge(f"more than {self.max_chars} characters")
        if _len(text) <= self.digest_over:
            return text
        digest = f"{kind.__name__}#{_len(text)}:{_sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
        return f"{digest} {address}" if (address := shown_address(text)) else digest

    def result(self, value: Any, arguments: list[object]) -> str:
        """Canonical text of a call: its value, or, when it returned None, the state in which it left mutable arguments."""
        if value is not None:
            return self.text(value)
        if _any(_map(_holds_mutable, arguments)):
            return "None; arguments left as " + self.text(arguments)
        return "None"

    def _walk(self, value: Any, depth: int) -> str:
        kind = _type(value)
        if kind is int:
            return self._integer(value)
        if kind is str:
            self._spend(_len(value))
            return _repr(value)
        if kind is float:
            return self._float(value)
        if kind is list or kind is tuple:
            return self._sequence(value, kind is tuple, depth)
        if kind is bool or value is None:
            self._spend(4)
            return _repr(value)
        if depth > MAX_DEPTH:
            raise Unserialisable("nested too deep")
        writer = _WRITERS.get(_id(kind))
        if writer is None:
            raise Unserialisable("a value of a type without canonical form")
        return writer(self, value, depth)

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise TooLarge(f"more than {self.max_chars} characters")

    def _integer(self, value: int) -> str:
        bits = _bit_length(value)
        if bits <= HEX_OVER_BITS:
            self._spend(1 + bits // 4)
            return _int_repr(value)
        self._spend(bits // 4)
        return hex(value)

    def _float(self, value: float) -> str:
        self._spend(8)
        if self._near_zero and -NEAR_ZERO < value < NEAR_ZERO:
            value = 0.0
        text = _float_format(value, self._format)
        if text == "-0":
            text = "0"
        if not self.whole_floats and _is_whole(rounded := _float(text)):
            return self._integer(_int(rounded))
        return text if "." in text or "n" in text or "e" in text else text + ".0"

    def _sequence(self, value: Any, is_tuple: bool, depth: int) -> str:
        kinds = _set(_map(_id, _map(_type, value)))
        if kinds <= _SCALARS and _len(value) < 10_000:
            if _STR in kinds:
                self._spend(_sum([_len(v) for v in value if _type(v) is str]))
            try:
                text = _repr(value)  # one C call for the common flat case
            except ValueError:  # an integer too long for decimal digits: written one by one below
                text = ""
            if text:
                self._spend(_len(text))
                return text
        if depth > MAX_DEPTH:
            raise Unserialisable("nested too deep")
        self._spend(2 * _len(value))
        walk = self._walk
        body = ", ".join([walk(v, depth + 1) for v in value])
        if not is_tuple:
            return f"[{body}]"
        return f"({body},)" if _len(value) == 1 else f"({body})"

    def _members(self, value: Any, depth: int) -> str:
        return ", ".join(_sorted([self._walk(v, depth + 1) for v in value]))

    def _set_text(self, value: Any, depth: int) -> str:
        self._spend(2 + 2 * _len(value))
        return "{" + self._members(value, depth) + "}" if value else "set()"

    def _frozenset_text(self, value: Any, depth: int) -> str:
        self._spend(11 + 2 * _len(value))
        return "frozenset({" + self._members(value, depth) + "})"

    def _dict_text(self, value: Any, depth: int) -> str:
        self._spend(2 + 4 * _len(value))
        walk = self._walk
        return "{" + ", ".join(_sorted([f"{walk(k, depth + 1)}: {walk(v, depth + 1)}" for k, v in _dict_items(value)])) + "}"

    def _drained(self, items: Any, name: str, depth: int) -> str:
        taken = []
        for item in items:
            taken.append(item)
            if _len(taken) > MAX_DRAIN:
                raise TooLarge(f"an iterator of more than {MAX_DRAIN} items")
        return f"{name}({self._walk(taken, depth + 1)})"

    def _lazy_text(self, value: Any, depth: int) -> str:
        return self._drained(value, "iterator", depth)

    def _view_text(self, value: Any, depth: int) -> str:
        return self._drained(value, _VIEWS[_type(value)], depth)

    def _deque_text(self, value: Any, depth: int) -> str:
        return f"deque({self._walk(_list(value), depth + 1)})"

    def _bytes_text(self, value: Any, depth: int) -> str:
        self._spend(_len(value))
        return _repr(value)

    def _complex_text(self, value: Any, depth: int) -> str:
        return f"complex({self._float(value.real)}, {self._float(value.imag)})"

    def _fraction_text(self, value: Any, depth: int) -> str:
        parts = _NUMERATOR(value), _DENOMINATOR(value)
        if _type(parts[0]) is not int or _type(parts[1]) is not int:
            raise Unserialisable("a malformed Fraction")
        return f"Fraction({self._integer(parts[0])}, {self._integer(parts[1])})"

    def _plain_text(self, value: Any, depth: int) -> str:
        if _type(value) in _ZONED and value.tzinfo is not None and _type(value.tzinfo) is not datetime.timezone:
            raise Unserialisable("a time zone of a type without canonical form")
        try:
            text = _repr(value)
        except ValueError as error:  # a range whose ends have too many digits
            raise TooLarge("an integer with too many digits") from error
        self._spend(_len(text))
        return text


_NUMERATOR: Any = vars(fractions.Fraction)["_numerator"].__get__
_DENOMINATOR: Any = vars(fractions.Fraction)["_denominator"].__get__
Writer = Callable[[Canonicaliser, Any, int], str]
_WRITERS: dict[int, Writer] = {}  # by the id of the type
_known: list[type] = []  # which so stay alive, and keep their ids


def register(kinds: Iterable[type], writer: Writer) -> None:
    """From now on values of exactly these types have the text that the writer gives them: writer(canonicaliser, value, depth)."""
    for kind in kinds:
        _known.append(kind)
        _WRITERS[id(kind)] = writer


register([set], Canonicaliser._set_text)
register([frozenset], Canonicaliser._frozenset_text)
register([bytes, bytearray], Canonicaliser._bytes_text)
register([complex], Canonicaliser._complex_text)
register([collections.deque], Canonicaliser._deque_text)
register([fractions.Fraction], Canonicaliser._fraction_text)
register(_DICTS, Canonicaliser._dict_text)
register(_LAZY, Canonicaliser._lazy_text)
register(_VIEWS, Canonicaliser._view_text)
register(_PLAIN, Canonicaliser._plain_text)
