"""Programs whose outcome depends on hash order, the clock, chance or the order of calls do not vote.

Only a program that could be such a one is run a second time:

- in a sandbox with another hash seed, another clock and other random numbers; where the two runs differ its outcome is NONDETERMINISTIC.
  Whether it could is read from its text: sets (which are iterated in hash order), hashes and addresses (classes of its own show theirs),
  and any module but those listed here as pure; from its inputs, whether they hold sets; and from its outcomes, whether they show what may
  be an address: programs that one zygote forked have theirs in common;
- with its inputs in another order, if it could keep state from call to call (`rewards.programs.state`). Where an outcome differs, none of
  its values says what the program does with that input alone: all of them become NONDETERMINISTIC. A cache that changes no result stays.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import islice

from rewards.outcomes.typed import Canonicaliser, shown_address
from rewards.programs.state import may_keep_state
from rewards.records import Execution, Kind, Outcome, Program
from rewards.rules.consensus import Recheck
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.jobs import both, differ

CHUNK = 1024  # programs whose first runs are waited for before their second ones
_PURE = """
__future__ abc array bisect cmath collections copy dataclasses decimal enum fractions functools heapq itertools json math numbers
operator re statistics string textwrap typing unicodedata
"""
_SUSPECT = "set frozenset hash id object eval exec compile getattr globals locals vars dir __import__"
PURE_MODULES, SUSPECT_NAMES = frozenset(_PURE.split()), frozenset(_SUSPECT.split())
SUSPECT_ATTRIBUTES = ("difference", "intersection", "symmetric_difference", "union", "__hash__", "__subclasses__", "__dict__")
ORDER_OF_CALLS = Outcome(Kind.NONDETERMINISTIC, "depends on the order of calls")
TOO_DEEP = Outcome(Kind.EXCEPTION, "RecursionError")
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
    nodes = list(ast.walk(tree))
    views = any(isinstance(node, ast.Attribute) and _is_view(node) for node in nodes)
    return any(_suspicious(node) or (views and _may_join_views(node)) for node in nodes)


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


def _may_join_views(node: ast.AST) -> bool:
    """Whether two variables, which may hold views of dictionaries, are joined as sets; `-` of other terms is a number's."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, SET_OPERATORS)):
        return False
    sides = (node.left, node.right)
    if isinstance(node.op, ast.Sub):
        return all(isinstance(side, ast.Name) for side in sides)
    return not any(isinstance(side, ast.Constant) for side in sides)


def second_order(n: int) -> list[int]:
    """The places of n inputs in the second order: backwards, so that each pair is swapped. Of an odd number the last comes twice, so that
    each input is moved by an odd number of calls too, which shows a program that switches between two states.

    >>> second_order(4), second_order(3)
    ([3, 2, 1, 0], [2, 2, 1, 0])
    """
    backwards = list(range(n))[::-1]
    return backwards[: n % 2] + backwards


def without_state(execution: Execution, reordered: Execution) -> Execution:
    """What holds of an execution on n inputs, given another of the same program on them in `second_order`: all of it where they agree, no
    value where they differ; missing where the second was lost. A timeout, or a death by memory, is the machine's load and no difference;
    nor is a recursion too deep, which a program that remembers results meets only where the deepest call comes first.
    """
    if reordered.missing:
        lost = next(outcome for outcome in reordered.outcomes if outcome.kind is Kind.INFRASTRUCTURE)
        return replace(execution, outcomes=(lost,) * len(execution.outcomes))
    firsts = [execution.outcomes[j] for j in second_order(len(execution.outcomes))]
    pairs = [pair for pair in zip(firsts, reordered.outcomes, strict=True) if Kind.VALUE in (pair[0].kind, pair[1].kind)]
    told = [pair for pair in pairs if pair[0].kind is not Kind.NONDETERMINISTIC and TOO_DEEP not in pair]
    if not differ([first for first, _ in told], [second for _, second in told]):
        return execution
    return replace(execution, outcomes=tuple(ORDER_OF_CALLS if o.kind is Kind.VALUE else o for o in execution.outcomes))


class Steady:
    """A sandbox whose executions hold only what a second run confirms. The second sandbox is opened when it is first needed: `close` it."""

    def __init__(self, sandbox: Sandbox, recheck: Recheck, open_second: Callable[[SandboxConfig], Sandbox] = Sandbox) -> None:
        self.sandbox, self.recheck, self.open_second = sandbox, recheck, open_second
        # Counted beside what the sandbox counts: programs "run_twice", and "varying" then; "reordered", and "order_dependent" then.
        self.counts = sandbox.counts
        self._second: Sandbox | None = None

    @property
    def canonical(self) -> Canonicaliser:
        """The sandbox's."""
        return self.sandbox.canonical

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
            self._repeat(chunk, executions)
            self._reorder(chunk, executions)
            yield from executions

    def _repeat(self, programs: list[Program], executions: list[Execution]) -> None:
        """Run those that could vary under another hash seed, clock and chance, and merge what comes of it into their executions."""
        due = [i for i, execution in enumerate(executions) if self._votes(execution) and self._could_vary(programs[i], execution)]
        self.counts["run_twice"] += len(due)
        for i, second in zip(due, self._other().run([programs[i] for i in due]) if due else (), strict=True):
            executions[i] = both(executions[i], second)
            self.counts["varying"] += any(outcome.kind is Kind.NONDETERMINISTIC for outcome in executions[i].outcomes)

    def _reorder(self, programs: list[Program], executions: list[Execution]) -> None:
        """Run those that could keep state on their inputs in the second order, and merge what comes of it into their executions."""
        due = [i for i, execution in enumerate(executions) if self._votes(execution) and self._could_keep_state(programs[i])]
        self.counts["reordered"] += len(due)
        again = [replace(programs[i], inputs=tuple(programs[i].inputs[j] for j in second_order(len(programs[i].inputs)))) for i in due]
        outcomes = {kind.value: self.counts[kind.value] for kind in Kind}
        for i, second in zip(due, self.sandbox.run(again) if due else (), strict=True):
            executions[i] = without_state(executions[i], second)
            self.counts["order_dependent"] += ORDER_OF_CALLS in executions[i].outcomes
        self.counts.update({kind: before - self.counts[kind] for kind, before in outcomes.items()})  # each is counted once

    def _votes(self, execution: Execution) -> bool:
        """A program without a value, or one that was lost, has no vote, whatever a second run says."""
        return self.recheck != "never" and not execution.missing and any(outcome.kind is Kind.VALUE for outcome in execution.outcomes)

    def _could_vary(self, program: Program, execution: Execution) -> bool:
        return (
            self.recheck == "always"
            or may_vary(program.code)
            or any(map(holds_set, program.inputs))
            or any(outcome.kind is Kind.VALUE and shown_address(outcome.payload) for outcome in execution.outcomes)
        )

    def _could_keep_state(self, program: Program) -> bool:
        return len(program.inputs) > 1 and (self.recheck == "always" or may_keep_state(program.code, program.entry))

    def _other(self) -> Sandbox:
        if self._second is None:
            config = self.sandbox.config
            workers = max(1, config.workers // 2)  # few programs come here
            other = {"hash_seeds": config.hash_seeds[::-1], "workers": workers, "check_determinism": False}
            self._second = self.open_second(config.model_copy(update=other))
            self._second.__enter__()
        return self._second
