"""Canonical outcomes of numpy's values, registered where programs are offered numpy (runs in the zygote, like `rewards.outcomes.typed`).

A numpy scalar counts as the Python value that it holds: `np.float64(2.0)` as `2.0`, `np.int64(3)` as `3`, `np.bool_(True)` as `True`. An
array has a form of its own, which no list has: `array([[1, 2], [3, 4]])`. Its numbers are written like any others: their width does not
count (int32, int64), their kind does (1 is not 1.0); an empty one tells its shape. Dates for which Python has no value keep their unit:
`datetime64[ns](0)`. Subclasses of arrays (masked ones, matrices) have no canonical form.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from rewards.outcomes import typed as outcomes
from rewards.outcomes.typed import Canonicaliser, Unserialisable

_type, _isinstance, _str = type, isinstance, str


def register_numpy(numpy: ModuleType) -> None:
    """Teach the canonicaliser numpy's types. All that is needed of numpy is bound now, before a program could change it."""
    array = numpy.ndarray
    to_item, to_list = numpy.generic.item, array.tolist
    size_of, shape_of, kind_of = vars(array)["size"].__get__, vars(array)["shape"].__get__, vars(array)["dtype"].__get__
    name_of, letter_of = vars(numpy.dtype)["name"].__get__, vars(numpy.dtype)["kind"].__get__
    scalar_kind = vars(numpy.generic)["dtype"].__get__
    wide = {numpy.longdouble: numpy.longdouble.__float__, numpy.clongdouble: numpy.clongdouble.__complex__}
    dates = frozenset({numpy.datetime64, numpy.timedelta64})

    def scalar_text(self: Canonicaliser, value: Any, depth: int) -> str:
        kind = _type(value)
        held = wide[kind](value) if kind in wide else to_item(value)
        if kind in dates and (held is None or _type(held) is int):
            return f"{name_of(scalar_kind(value))}({'NaT' if held is None else self._walk(held, depth + 1)})"
        if _type(held) is kind:
            raise Unserialisable("a value of a type without canonical form")
        return self._walk(held, depth + 1)

    def array_text(self: Canonicaliser, value: Any, depth: int) -> str:
        size, dtype = size_of(value), kind_of(value)
        self._spend(7 + 2 * size)  # before it is unfolded: a view may repeat one number a trillion times
        notes = f", shape={_str(shape_of(value))}" if size == 0 else ""
        if letter_of(dtype) in "mM":
            notes += f", dtype={name_of(dtype)}"
        return f"array({self._walk(to_list(value), depth + 1)}{notes})"

    scalars = {kind for kind in vars(numpy).values() if _isinstance(kind, _type) and issubclass(kind, numpy.generic)}
    outcomes.register(scalars, scalar_text)
    outcomes.register([array], array_text)
    try:
        numpy.empty(1 << 60, numpy.int8)
    except MemoryError as error:  # of a class of numpy's own
        outcomes.MEMORY_ERRORS.add(_type(error))
