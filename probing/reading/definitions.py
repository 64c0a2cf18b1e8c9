"""Which run of an answer is its program: the last that defines the entry, drafts before it, excerpts and summaries after it aside.

For an answer without an entry: `probing.reading.programs`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import IntEnum

from probing.reading.assembly import first_line, statement_text
from probing.reading.excerpts import Version, last_version, returns_always
from probing.reading.forms import is_main_guard, is_stub
from probing.reading.runs import CodeRun

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_IMPORTS = ast.Import | ast.ImportFrom


class Definition(IntEnum):
    """How a run defines the entry; the higher, the better."""

    NO = 0
    STUB = 1  # by its signature alone, or by an import of it
    CUT = 2  # it stops in the middle
    WHOLE = 3


def definition(run: CodeRun, entry: str) -> Definition:
    """How the run defines the entry at module level."""
    best = Definition.NO
    for place, statement in enumerate(run.body):
        if not is_main_guard(statement) and binds(statement, entry):
            cut = run.cut and place == len(run.body) - 1
            weak = is_stub(statement) or isinstance(statement, ast.Import | ast.ImportFrom)
            best = max(best, Definition.STUB if weak else Definition.CUT if cut else Definition.WHOLE)
    return best


def defining_run(runs: Sequence[CodeRun], entry: str, bound: Callable[[], set[str] | None] = set) -> CodeRun | None:
    """The last of the runs that define the entry best; None where none does. An excerpt of a whole definition in front of it does not
    count, and a cut definition behind a whole one is left out of its run.

    bound: gives the names that the answer and the prompt bind, None where that cannot be told; asked where several runs are whole.
    """
    ranked = [(definition(run, entry), run) for run in runs]
    best = max((rank for rank, _ in ranked), default=Definition.NO)
    if best is Definition.NO:
        return None
    found = [run for rank, run in ranked if rank is best]
    run = found[-1]
    if best is Definition.WHOLE and len(found) > 1:
        run = found[last_version([_version(run, entry) for run in found], bound())]
    if best is Definition.WHOLE and run.cut and binds(run.body[-1], entry):
        return without_last(run)
    return run


def _version(run: CodeRun, entry: str) -> Version:
    """The last whole definition of the entry in a run that has one."""
    body = run.body[:-1] if run.cut else run.body
    binders = [s for s in body if not is_main_guard(s) and binds(s, entry) and not is_stub(s) and not isinstance(s, _IMPORTS)]
    last = next((s for s in reversed(binders) if isinstance(s, _FUNCTIONS | ast.ClassDef)), binders[-1])
    return Version(statement_text(run.text, last), [last])


def breaks_off(run: CodeRun, answer: str, finished: bool) -> bool:
    """Whether the last statement of the run is the start of one that was cut off.

    finished: whether the answer came to its end. Where it did not, a statement in which it ends is cut off unless its last line is whole
    and nothing can follow in it: a function that has returned.
    """
    if run.cut or finished:
        return run.cut
    last, end = run.body[-1], answer.rstrip()
    line = end.rpartition("\n")[2].strip()
    own = run.text.split("\n")[(last.end_lineno or 0) - 1].strip()
    if line not in (own, statement_text(run.text, last).rstrip().rpartition("\n")[2].strip()):
        return False
    return (line == own and "\n" not in answer[len(end) :]) or not returns_always(last)


def without_last(run: CodeRun) -> CodeRun:
    """The run without its last statement."""
    text = "\n".join(run.text.split("\n")[: first_line(run.body[-1])])
    return replace(run, text=text, body=run.body[:-1], cut=False)


def class_with(run: CodeRun, entry: str) -> str | None:
    """The last class of the run that has a method of that name and can be made without arguments."""
    for statement in reversed(run.body):
        if isinstance(statement, ast.ClassDef):
            methods = {s.name: s for s in statement.body if isinstance(s, _FUNCTIONS)}
            bound = [s for s in statement.body if binds(s, entry)]
            if bound and not is_stub(bound[-1]) and _made_without_arguments(methods.get("__init__")):
                return statement.name
    return None


def adopting_run(runs: Sequence[CodeRun], entry: str, bound: Callable[[], set[str] | None]) -> tuple[CodeRun, str] | None:
    """The last of the runs that have a class with such a method, and that class; as for `defining_run`, an excerpt does not count."""
    whole = [without_cut_class(run, entry) for run in runs]
    found = [(run, owner) for run in whole if (owner := class_with(run, entry)) is not None]
    if len(found) < 2:
        return found[0] if found else None
    return found[last_version([_method(run, owner, entry) for run, owner in found], bound())]


def _method(run: CodeRun, owner: str, entry: str) -> Version:
    made = next(s for s in reversed(run.body) if isinstance(s, ast.ClassDef) and s.name == owner)
    method = next(s for s in reversed(made.body) if binds(s, entry))
    return Version(statement_text(run.text, method), [method])


def without_cut_class(run: CodeRun, entry: str) -> CodeRun:
    """The run without the class that it ends in and that was cut off, where another one in front of it has the method too."""
    if not run.cut or not isinstance(run.body[-1], ast.ClassDef) or not run.body[:-1]:
        return run
    whole = without_last(run)
    return run if class_with(whole, entry) is None else whole


def _made_without_arguments(init: ast.FunctionDef | ast.AsyncFunctionDef | None) -> bool:
    if init is None:
        return True
    positional = len(init.args.posonlyargs) + len(init.args.args) - len(init.args.defaults)
    return positional <= 1 and all(default is not None for default in init.args.kw_defaults)


def defined_names(run: CodeRun) -> list[str]:
    return [s.name for s in run.body if isinstance(s, _FUNCTIONS | ast.ClassDef)]


def ends_in_head(run: CodeRun, entry: str) -> bool:
    """Whether the run ends in the head of the entry: its signature, with a docstring or not."""
    last = run.body[-1]
    return is_stub(last) and isinstance(last, _FUNCTIONS) and last.name == entry


def written_lines(run: CodeRun, entry: str, must_return: bool) -> int:
    """Lines of the run's first function of that name, 0 where its body says nothing, or returns nothing and has to."""
    function = next((s for s in run.body if isinstance(s, _FUNCTIONS) and s.name == entry), None)
    if function is None or not any(not isinstance(s, ast.Expr | ast.Pass) or calls(s) for s in function.body):
        return 0
    if must_return and not any(map(_returns, function.body)):
        return 0
    return (function.end_lineno or 0) - function.lineno


def _returns(statement: ast.stmt) -> bool:
    """Whether a statement of a function's body returns or yields something."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, _FUNCTIONS | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return False


def binds(statement: ast.stmt, entry: str) -> bool:
    """Whether a statement at module level, or one inside it that is run with it, binds the name."""
    if isinstance(statement, _FUNCTIONS | ast.ClassDef):
        return statement.name == entry
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return any((alias.asname or alias.name.partition(".")[0]) == entry for alias in statement.names)
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target] if statement.value else []
        names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        demonstrates = isinstance(statement.value, ast.Call) and getattr(statement.value.func, "id", None) == entry
        return entry in names and not demonstrates
    if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
        return any(binds(s, entry) for s in _inner(statement))
    return False


def _inner(statement: ast.If | ast.Try | ast.With | ast.For | ast.While) -> list[ast.stmt]:
    inner = [*statement.body, *getattr(statement, "orelse", []), *getattr(statement, "finalbody", [])]
    return inner + [s for handler in getattr(statement, "handlers", []) for s in handler.body]


def calls(statement: ast.stmt) -> bool:
    return any(isinstance(node, ast.Call) for node in ast.walk(statement))
