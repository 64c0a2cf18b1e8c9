"""Which run of an answer is its program where that reads standard input, and no entry tells: drafts before it and what is said of it aside.

Behind its program an answer may show parts of it, how input is read in general, or how the program is tried out. None of these is a later
version. They are told by what a corrected program never is: lines of the earlier one without what goes with them, a program that computes
nothing where the earlier one does, one that brings its own input.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from probing.reading.definitions import calls, defined_names
from probing.reading.excerpts import MOST, Version, lacks
from probing.reading.needs import KNOWN, Statements
from probing.reading.runs import CodeRun

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_READS = frozenset(("input", "stdin", "fileinput"))
# What a program calls that only hands on what it reads.
_READING = "input open read readline readlines split splitlines strip rstrip lstrip iter next enumerate"
_HANDLING = frozenset(f"{_READING} int float str list tuple map range append join format print write flush exit".split())
_PRINTS = frozenset(("print", "pprint", "write", "writelines", "stdout"))


def whole_program(runs: Sequence[CodeRun]) -> CodeRun | None:
    """The run that is the program of an answer without an entry: among those that read standard input, else those that leave no name
    unbound, else those that do something, the last that prints something by itself. One that only defines functions gives way to the run
    behind it that calls them. What is only said of a program does not count.
    """
    candidates = _versions([run for run in runs if _does_something(run)])
    reading = [run for run in candidates if reads_input(run)]
    bound = [run for run in candidates if not unbound(run)]
    group = next((group for group in (reading, bound, candidates) if group), [])
    found = max(reversed(group), key=lambda run: (prints(run), _acts(run), not run.cut), default=None)
    if found is None or _acts(found):
        return found
    names = set(defined_names(found))
    behind = candidates[candidates.index(found) + 1 :]
    return next((run for run in behind if _acts(run) and names & unbound(run)), found)


def _versions(candidates: Sequence[CodeRun]) -> list[CodeRun]:
    """The runs less what tries a program out, where another one reads input, and what only retells one in front of it."""
    own = [run for run in candidates if not brings_input(run)]
    runs = own if any(map(reads_input, own)) else candidates
    if len(runs) < 2:
        return list(runs)
    kept: list[CodeRun] = []
    programs: list[tuple[_Program, bool]] = []  # of those in front: what reads and prints, and whether running it does so
    try:
        bound = {name for run in runs for name in Statements(run.body, guarded=True).bound([True] * len(run.body))}
        for run in runs:
            version, acts = _Program(run.text, run.body), _acts(run)
            if not any(_retells(version, whole, bound) for whole, runs_itself in programs[-MOST:] if runs_itself or not acts):
                kept.append(run)
            if reads_input(run) and prints(run) and not run.cut:
                programs.append((version, acts))
    except RecursionError:  # nested too deep to be looked at
        return list(runs)
    return kept


@dataclass(frozen=True, eq=False)
class _Program(Version):
    """A run that may be a version of the program."""

    @cached_property
    def flat(self) -> list[str]:
        """Its lines without their indentation."""
        return [line.strip() for line in self.lines]

    @cached_property
    def computes(self) -> bool:
        return computes(self.body)


def _retells(part: _Program, whole: _Program, bound: set[str]) -> bool:
    """Whether a run is only said of the program: it leaves something out, is a piece of it, or shows how input is read."""
    if lacks(part, whole, bound):
        return True
    return _is_piece(part.flat, whole.flat) or (not part.computes and whole.computes)


def _is_piece(inner: list[str], lines: list[str]) -> bool:
    """Whether the lines follow one another in the other text, and it has more to it than imports and output."""
    if len(inner) >= len(lines):
        return False
    for start in range(len(lines) - len(inner) + 1):
        if lines[start : start + len(inner)] == inner:
            rest = lines[:start] + lines[start + len(inner) :]
            return not all(line.startswith(("print(", "import ", "from ")) for line in rest)
    return False


def computes(body: Sequence[ast.stmt]) -> bool:
    """Whether statements do more than read, take apart and print: `for line in sys.stdin: print(line.strip())` does not."""
    own = {node.name for s in body for node in ast.walk(s) if isinstance(node, _FUNCTIONS)}
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        match node:
            case ast.If(body=[ast.Break() | ast.Continue() | ast.Return(value=None) | ast.Pass()], orelse=[]):  # the end of the input
                continue
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                waiting += node.body
                continue
            case ast.BinOp(left=left, right=right) if not any(map(_is_text, (left, right))):
                return True
            case ast.Compare() | ast.BoolOp() | ast.AugAssign() | ast.UnaryOp() | ast.IfExp() | ast.Slice() | ast.Dict() | ast.Set():
                return True
            case ast.SetComp() | ast.DictComp() | ast.Lambda() | ast.ClassDef():
                return True
            case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)) if name not in _HANDLING and name not in own:
                return True
        waiting += ast.iter_child_nodes(node)
    return False


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def brings_input(run: CodeRun) -> bool:
    """Whether the run puts an input of its own in the place of standard input, as what tries a program out does."""
    for statement in run.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign):
                pairs = [pair for target in node.targets for pair in _pairs(target, node.value)]
                if any(_is_input(target) and not _reads_on(value) for target, value in pairs):
                    return True
            elif isinstance(node, ast.Call):
                words = {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
                if words & {"sys.stdin", "builtins.input"} or (name in ("setattr", "object") and words & {"stdin", "input"}):
                    return True
    return False


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """The targets of an assignment, each with the part of the value that it gets."""
    if not isinstance(target, ast.Tuple):
        return [(target, value)]
    if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(part, value) for part in target.elts]


def _is_input(target: ast.expr) -> bool:
    """`sys.stdin` or `builtins.input`."""
    match target:
        case ast.Attribute(value=ast.Name(id="sys"), attr="stdin") | ast.Attribute(value=ast.Name(id="builtins"), attr="input"):
            return True
    return False


def _reads_on(value: ast.expr) -> bool:
    """Whether what takes the place of standard input is made of it, or of a file."""
    nodes = list(ast.walk(value))
    names = {n.id for n in nodes if isinstance(n, ast.Name)} | {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    return not names.isdisjoint(("stdin", "__stdin__", "open", "fdopen"))


def unbound(run: CodeRun) -> set[str]:
    """Names that the run reads and nobody binds."""
    try:
        return Statements(run.body, guarded=True).missing([True] * len(run.body)) - KNOWN
    except RecursionError:
        return set()


def _does_something(run: CodeRun) -> bool:
    """Whether the run is more than words and values, as prose and printed output are."""
    return any(not isinstance(s, ast.Expr | ast.AnnAssign | ast.Pass) or calls(s) for s in run.body)


def _acts(run: CodeRun) -> bool:
    """Whether running it does more than bind names."""
    return any(not isinstance(s, _FUNCTIONS | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign) for s in run.body)


def prints(run: CodeRun) -> bool:
    """Whether the run holds anything that writes output."""
    nodes = [node for statement in run.body for node in ast.walk(statement)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)} | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return not _PRINTS.isdisjoint(names)


def reads_input(run: CodeRun) -> bool:
    """Whether the run holds anything that reads standard input."""
    for statement in run.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id in _READS:
                return True
            if isinstance(node, ast.Attribute) and (node.attr in _READS or (node.attr == "read" and _is_zero_call(node.value))):
                return True
            if isinstance(node, ast.Call) and _is_zero_call(node):
                return True
    return False


def _is_zero_call(node: ast.expr) -> bool:
    """`open(0)` or `os.read(0, ...)`."""
    if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
        return False
    name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
    return name in ("open", "read") and node.args[0].value == 0
