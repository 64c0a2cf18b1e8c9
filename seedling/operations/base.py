"""What an operation is, and the families (`direct`, `keep`, `each`) that write one in several coding styles.

A template may name `{v}` (the variable it reads) and the constants `{k}`, `{j}`, `{c}`. An operation's first writing is
its meaning: the reference semantics are that expression, evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# type -> (usual variable name, noun phrase in statements, topic)
TYPES: dict[str, tuple[str, str, str]] = {
    "int": ("n", "an integer", "integers and digits"),
    "list[int]": ("xs", "a list of integers", "lists of integers"),
    "str": ("s", "a string", "strings"),
    "list[str]": ("words", "a list of words", "lists of words"),
    "dict[str, int]": ("d", "a dictionary from names to integers", "dictionaries"),
    "bool": ("ok", "a truth value", ""),
}
Values = Sequence[int] | Sequence[str]  # the allowed values of one constant
LETTERS = tuple("aeinorst")


@dataclass(frozen=True)
class Writing:
    """One way to write an operation: optional statements, then an expression for the result."""

    style: str  # "comprehension", "loop", "builtin", "helper" or "direct"
    expression: str
    statements: str = ""  # lines that run before the expression


@dataclass(frozen=True)
class Operation:
    """A typed step of a task.

    `right` are equivalent writings (the first one is the reference), `wrong` are realistic faults, each in one or more
    equivalent writings, and `belief`, where there is one, is a plausible wrong reading: a misconception where
    `seedling.mistakes` lists it, else one more fault. Shares are in `seedling.spellings`.
    """

    name: str
    source: str  # type it reads
    target: str  # type it gives
    label: str  # words for titles and names
    phrases: tuple[str, ...]  # imperative clauses, unique within the source type
    right: tuple[Writing, ...]
    wrong: tuple[tuple[Writing, ...], ...] = ()
    belief: tuple[Writing, ...] = ()
    constants: dict[str, Values] = field(default_factory=dict)  # name -> allowed values


def direct(
    name: str,
    source: str,
    target: str,
    label: str,
    phrases: Iterable[str],
    right: Iterable[str | Writing],
    wrong: Iterable[str] = (),
    belief: str | None = None,
    **constants: Values,
) -> Operation:
    """An operation on the whole value, written as given."""

    def written(items: Iterable[str | Writing]) -> tuple[Writing, ...]:
        return tuple(item if isinstance(item, Writing) else Writing("direct", item) for item in items)

    faults = tuple((fault,) for fault in written(wrong))
    return Operation(name, source, target, label, tuple(phrases), written(right), faults, written([belief] if belief else []), constants)


def loop(statements: str, expression: str = "out") -> Writing:
    """A writing with an explicit loop; lines are separated by newlines in `statements`."""
    return Writing("loop", expression, statements)


def _kept(item: str, test: str) -> tuple[Writing, ...]:
    return (
        Writing("comprehension", f"[{item} for {item} in {{v}} if {test}]"),
        Writing("loop", "out", f"out = []\nfor {item} in {{v}}:\n    if {test}:\n        out.append({item})"),
        Writing("builtin", f"list(filter(lambda {item}: {test}, {{v}}))"),
        Writing("helper", f"[{item} for {item} in {{v}} if keep({item})]", f"def keep({item}):\n    return {test}"),
    )


def keep(
    name: str,
    source: str,
    item: str,
    label: str,
    phrases: Iterable[str],
    test: str,
    wrong: Iterable[str] = (),
    belief: str | None = None,
    **constants: Values,
) -> Operation:
    """A filter over the items of a list, in four styles."""
    faults = tuple(_kept(item, t) for t in wrong)
    beliefs = _kept(item, belief) if belief else ()
    return Operation(name, source, source, label, tuple(phrases), _kept(item, test), faults, beliefs, constants)


def _mapped(item: str, result: str) -> tuple[Writing, ...]:
    return (
        Writing("comprehension", f"[{result} for {item} in {{v}}]"),
        Writing("loop", "out", f"out = []\nfor {item} in {{v}}:\n    out.append({result})"),
        Writing("builtin", f"list(map(lambda {item}: {result}, {{v}}))"),
        Writing("helper", f"[change({item}) for {item} in {{v}}]", f"def change({item}):\n    return {result}"),
    )


def each(
    name: str,
    source: str,
    target: str,
    item: str,
    label: str,
    phrases: Iterable[str],
    result: str,
    wrong: Iterable[str] = (),
    **constants: Values,
) -> Operation:
    """A map over the items of a list, in four styles."""
    faults = tuple(_mapped(item, r) for r in wrong)
    return Operation(name, source, target, label, tuple(phrases), _mapped(item, result), faults, constants=constants)
