"""Programs whose outcome hangs on hash order, the clock or chance do not vote.

Only a program that could be such a one is run a second time, in a sandbox with another hash seed, another clock and other random numbers;
where the two runs differ its outcome is NONDETERMINISTIC. Whether it could is read from its text: sets (which are iterated in hash order),
hashes and addresses (classes of its own show theirs), and any module but those listed here as pure; and whether its inputs hold sets.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice

from rewards.consensus import Recheck
from rewards.records import Execution, Kind, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.pool import both

CHUNK = 1024  # programs whose first runs are waited for before their second ones
_PURE = """
__future__ abc array bisect cmath collections copy dataclasses decimal enum fractions functools heapq itertools json math numbers
operator re statistics string textwrap typing unicodedata
"""
_SUSPECT = "set frozenset hash id object eval exec compile getattr globals locals vars dir __import__"
PURE_MODULES, SUSPECT_NAMES = frozenset(_PURE.split()), frozenset(_SUSPECT.split())
SUSPECT_ATTRIBUTES = ("difference", "intersection", "symmetric_difference", "union", "__hash__", "__subclasses__", "__dict__")
VIEWS = ("keys", "items")
SET_OPERATORS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Sub)


def may_vary(code: str) -> bool:
    """Whether two runs of the program could differ; False for what does not compile.

    >>> may_vary("def f(xs): return list(set(xs))"), may_vary("def f(d): return sorted(d.items())")
    (True, False)
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(_suspicious(node) for node in ast.walk(tree))


def _suspicious(node: ast.AST) -> bool:
    match node:
        case ast.Set() | ast.SetComp() | ast.ClassDef():
            return True
        case ast.Name(id=name):
            return name in SUSPECT_NAMES
        case ast.Import(names=names):
            return any(alias.name.split(".")[0] not in PURE_MODULES for alias in names)
        case ast.ImportFrom(module=module):
            return (module or "").split(".")[0] not in PURE_MODULES
        case ast.Attribute(attr=name):
            return name in SUSPECT_ATTRIBUTES
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, SET_OPERATORS):  # d.keys() & e.keys() is a set
            return any(isinstance(side, ast.Call) and _is_view(side.func) for side in (left, right))
        case _:
            return False


@lru_cache(maxsize=4096)
def holds_set(text: str) -> bool:
    """Whether a literal holds a set, whose order a program may look at.

    >>> holds_set("[{'a', 'b'}]"), holds_set("[{'a': 1}, '{x}']")
    (True, False)
    """
    if "{" not in text and "set(" not in text:
        return False
    try:
        return any(isinstance(node, ast.Set | ast.Call) for node in ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _is_view(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr in VIEWS


class Steady:
    """A sandbox whose executions hold only what a second run confirms. The second sandbox is opened when it is first needed: `close` it."""

    def __init__(self, sandbox: Sandbox, recheck: Recheck, open_second: Callable[[SandboxConfig], Sandbox] = Sandbox) -> None:
        self.sandbox, self.recheck, self.open_second = sandbox, recheck, open_second
        self.counts = sandbox.counts  # "run_twice" and "varying" programs are counted beside what the sandbox counts
        self._second: Sandbox | None = None

    def close(self) -> None:
        """End the second sandbox."""
        if self._second is not None:
            self._second.close()
            self._second = None

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]:
        """Executions in input order."""
        source = iter(programs)
        while chunk := list(islice(source, CHUNK)):
            executions = list(self.sandbox.run(chunk))
            again = [i for i, execution in enumerate(executions) if self._is_due(chunk[i], execution)]
            if again:
                self.counts["run_twice"] += len(again)
                for i, second in zip(again, self._other().run([chunk[i] for i in again]), strict=True):
                    merged = both(executions[i], second)
                    self.counts["varying"] += any(outcome.kind is Kind.NONDETERMINISTIC for outcome in merged.outcomes)
                    executions[i] = merged
            yield from executions

    def _is_due(self, program: Program, execution: Execution) -> bool:
        """A program without a value has no vote, whatever a second run says."""
        if self.recheck == "never" or all(outcome.kind is not Kind.VALUE for outcome in execution.outcomes):
            return False
        return self.recheck == "always" or may_vary(program.code) or any(map(holds_set, program.inputs))

    def _other(self) -> Sandbox:
        if self._second is None:
            config = self.sandbox.config
            workers = max(1, config.workers // 2)  # few programs come here
            other = {"hash_seeds": config.hash_seeds[::-1], "workers": workers, "check_determinism": False}
            self._second = self.open_second(config.model_copy(update=other))
            self._second.__enter__()
        return self._second
