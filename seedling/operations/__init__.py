"""The operations that tasks are composed of: one table a domain, one row an operation.

`OPERATIONS[type]` lists the operations that take a value of that type. Five domains: integers and digits, lists of
integers, strings, lists of words, dictionaries.
"""

from seedling.operations import dictionaries, integers, lists, strings, words
from seedling.operations.base import TYPES, Operation, Writing

OPERATIONS: dict[str, tuple[Operation, ...]] = {
    "int": integers.OPERATIONS,
    "list[int]": lists.OPERATIONS,
    "str": strings.OPERATIONS,
    "list[str]": words.OPERATIONS,
    "dict[str, int]": dictionaries.OPERATIONS,
}
BY_NAME: dict[str, Operation] = {op.name: op for ops in OPERATIONS.values() for op in ops}
assert len(BY_NAME) == sum(len(ops) for ops in OPERATIONS.values()), "operation names must be unique"

__all__ = ["BY_NAME", "OPERATIONS", "TYPES", "Operation", "Writing"]
