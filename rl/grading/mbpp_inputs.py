"""How MBPP+'s JSON inputs become the tuples, sets and complex numbers that its functions take.

The table of evalplus 0.3.1, `evalplus/data/mbpp.py` (`mbpp_deserialize_inputs`), which is part of the data's format.
"""

from __future__ import annotations

from typing import Any

_ARGUMENTS_ARE_TUPLES = {2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809}
_LISTS_OF_TUPLES = {63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780}
_FIRST_IS_LIST_OF_TUPLES = {75, 413, 444, 753}
_SECOND_IS_TUPLE = {106, 750}
_FIRST_OF_TWO_IS_TUPLE = {250, 405, 446, 617, 720, 763, 808}
_TUPLES_OF_TUPLES = {259, 401, 445}
_ALL_TUPLES = {580, 615, 791}


def _deep_tuple(value: Any) -> Any:
    return tuple(map(_deep_tuple, value)) if isinstance(value, list) else value


def typed_inputs(task_id: str, inputs: list[Any]) -> list[Any]:
    """The argument lists of a task, typed.

    >>> typed_inputs("Mbpp/2", [[[3, 4], [5]]])
    [[(3, 4), (5,)]]
    """
    number = int(task_id.split("/")[-1])
    return [_typed(number, arguments) for arguments in inputs]


def _typed(number: int, a: Any) -> Any:
    if number in _ARGUMENTS_ARE_TUPLES:
        return [tuple(x) for x in a]
    if number in _LISTS_OF_TUPLES:
        return [[tuple(x) for x in xs] for xs in a]
    if number in _FIRST_IS_LIST_OF_TUPLES:
        return [[tuple(x) for x in a[0]], a[1]]
    if number in _SECOND_IS_TUPLE:
        return [a[0], tuple(a[1])]
    if number in _FIRST_OF_TWO_IS_TUPLE:
        return [tuple(a[0]), a[1]]
    if number in _TUPLES_OF_TUPLES:
        return [tuple(tuple(x) for x in xs) for xs in a]
    if number in _ALL_TUPLES:
        return _deep_tuple(a)
    if number == 115:
        return [[set(x) if isinstance(x, list) and x else {} for x in a[0]]]
    if number == 124:
        return (float(a[0]), complex(a[1]))
    if number == 252:
        return [complex(a[0])]
    if number == 278:
        return [tuple(tuple(x) if isinstance(x, list) else x for x in a[0])]
    if number == 307:
        return [tuple(a[0]), a[1], a[2]]
    if number == 722:
        return [{key: tuple(value) for key, value in a[0].items()}, *a[1:]]
    return a
