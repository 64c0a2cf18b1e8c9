"""Which statements of a program its entry needs: those that bind, build or change what it reaches. The others decide nothing.

As in evalplus's sanitizer, asserts, prints, demonstrations, `input()` and the main guard are left out, and imports, definitions and the
assignments that the entry reaches are kept. Beyond it, statements are kept that change what the entry reads: a loop that fills a table, a
call of a function that does, an augmented assignment, a `try` around an import. What can neither fail nor change a call stays too: imports
of the standard library and plain functions. A program that looks names up by text (`globals`, `eval`) keeps everything but demonstrations
and what reads input.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence

from probing.reading.aliases import Aliases, with_aliases
from probing.reading.facts import Facts, facts_of, root_of

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NEVER = (ast.Assert, ast.Return, ast.Raise, ast.Pass, ast.Global)
# Settings of the interpreter that a function may count on without a name of its own for them.
_SETTINGS = frozenset(["setrecursionlimit", "set_int_max_str_digits", "stack_size", "seed", "getcontext", "setcontext"])
_SAYS = frozenset(["print", "pprint", "pp", "display", "input", "exit", "quit"])  # what is called to say or ask something
_READS_INPUT = frozenset(("input", "open"))
# Builtins that a star import of a module for numbers or arrays replaces.
_OFTEN_REPLACED = frozenset(["pow", "sum", "min", "max", "abs", "round", "all", "any", "open", "divmod"])
KNOWN = frozenset(dir(builtins)) | {"__file__", "__builtins__", "__annotations__", "__class__", "__path__", "__module__", "__qualname__"}


def is_main_guard(statement: ast.stmt) -> bool:
    """Whether the statement is `if __name__ == ...`, either way round."""
    if not isinstance(statement, ast.If) or not isinstance(statement.test, ast.Compare) or len(statement.test.ops) != 1:
        return False
    sides = (statement.test.left, statement.test.comparators[0])
    names = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return names and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


def is_stub(statement: ast.stmt) -> bool:
    """Whether the statement is a function that says nothing but what it is called: a docstring, `pass`, `...`, a bare `return` or
    NotImplementedError.
    """
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda):
        return isinstance(statement.value.body, ast.Constant) and statement.value.body.value is ...
    return isinstance(statement, _FUNCTIONS) and all(map(_says_nothing, statement.body))


def is_open_import(statement: ast.stmt) -> bool:
    """Whether the statement imports names of the standard library that it does not spell out, or changes how annotations are read."""
    opens = isinstance(statement, ast.ImportFrom) and (statement.module == "__future__" or any(a.name == "*" for a in statement.names))
    return opens and _is_standard(statement)


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return statement.exc is not None and "NotImplemented" in ast.dump(statement.exc)
    if isinstance(statement, ast.Return):
        return statement.value is None
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


class Statements:
    """The statements of a text, with the facts of each. Raises RecursionError for one that is nested too deep to be looked at.

    guarded: whether what stands behind a main guard is run.
    """

    def __init__(self, body: Sequence[ast.stmt], guarded: bool = False) -> None:
        self.body = list(body)
        self.facts = [Facts() if is_main_guard(s) and not guarded else facts_of(s) for s in self.body]
        self.binders: defaultdict[str, list[int]] = defaultdict(list)
        for place, facts in enumerate(self.facts):
            for name in facts.binds:
                self.binders[name].append(place)
        imports = {p for p, s in enumerate(self.body) if isinstance(s, ast.Import | ast.ImportFrom)}
        self.variables = {name for name, places in self.binders.items() if not imports.issuperset(places)}
        self.defined = {s.name for s in self.body if isinstance(s, _DEFINITIONS)}
        self.aliases: Aliases = {}
        for facts in self.facts:
            for name, sources in facts.aliases.items():
                self.aliases.setdefault(name, set()).update(sources)
        self.change_arguments = self._argument_changers()

    def needed(self, entries: Iterable[str], harmless: bool = True) -> list[bool]:
        """bool[statements]: whether each is needed by one of the entries, or stays because it cannot fail (where `harmless` says so)."""
        every = range(len(self.body))
        entries = [*entries, *self._settings()]
        reached = self._reach(entries, {})
        if any(self.facts[place].by_name for place in reached):
            return [place in reached or self._kept_by_name(place, reached) for place in every]
        changers: defaultdict[str, list[int]] = defaultdict(list)
        for place in every:
            for name in self._changed_by(place, reached):
                changers[name].append(place)
        kept = self._reach(entries, changers)
        names = self._names_read(kept)
        if names - self.binders.keys() - KNOWN:  # bound by text, if at all
            by_text = {p for p in every if self.facts[p].by_name and not isinstance(self.body[p], (*_NEVER, *_DEFINITIONS))}
            kept |= by_text | self._reach([*entries, *self._names_read(by_text)], changers)
        return [place in kept or (harmless and self._harmless(place, names)) for place in every]

    def stubs(self, entries: Sequence[str]) -> set[str]:
        """Names that stubs bind, and nothing else, and that the entries need; none without entries."""
        read = self._names_read(self._reach(entries, {})) - set(entries)
        return {name for name in read if (places := self.binders.get(name)) and all(is_stub(self.body[p]) for p in places)}

    def leave_out(self, name: str) -> None:
        """Leave out what binds the name: it is bound elsewhere."""
        self.binders.pop(name)

    def bound(self, kept: Sequence[bool]) -> set[str]:
        """Names that the kept statements bind."""
        return {name for facts, keep in zip(self.facts, kept, strict=True) if keep for name in facts.binds}

    def missing(self, kept: Sequence[bool]) -> set[str]:
        """Names that the kept statements read and nobody binds."""
        return self._names_read(place for place, keep in enumerate(kept) if keep) - self.bound(kept) - KNOWN

    def _names_read(self, places: Iterable[int]) -> set[str]:
        return {name for place in places for name in self.facts[place].reads}

    def _argument_changers(self) -> set[str]:
        """Functions a call of which may change what they are called with, themselves or through others that they give it to."""
        givers: defaultdict[str, set[str]] = defaultdict(set)  # function -> those that give it what they are called with
        waiting: list[str] = []
        for facts in self.facts:
            for name in facts.hands_on:
                givers[name] |= facts.binds
            waiting += facts.binds if facts.changes_arguments else ()
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += givers[name]
        return found

    def _settings(self) -> set[str]:
        """What the statements read that set up the interpreter by way of the standard library."""
        return {name for place, s in enumerate(self.body) if self._is_setting(s) for name in self.facts[place].reads}

    def _is_setting(self, statement: ast.stmt) -> bool:
        value = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute):
            value = statement.targets[0].value
        if not isinstance(value, ast.Call) or _called(value) not in _SETTINGS:
            return False
        places = self.binders.get(root_of(value) or "", ())
        return bool(places) and all(_is_standard(self.body[p]) for p in places)

    def _reach(self, entries: Sequence[str], changers: dict[str, list[int]]) -> set[int]:
        """Statements that bind, or change, what the entries reach."""
        kept: set[int] = set()
        seen: set[str] = set()
        waiting = list(entries)
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for place in [*self._binders_of(name), *changers.get(name, ())]:
                if place not in kept:
                    kept.add(place)
                    waiting += self.facts[place].reads
        return kept

    def _binders_of(self, name: str) -> list[int]:
        """Statements that bind a name: not those that name the result of a demonstration after the function that gave it, and no stub or
        import of a function that is written out elsewhere.
        """
        places = [place for place in self.binders.get(name, ()) if not isinstance(self.body[place], (*_NEVER, ast.Delete))]
        if name in self.defined:
            places = [p for p in places if isinstance(self.body[p], _DEFINITIONS) or not self._demonstrates(p, name)]
            whole = [p for p in places if not is_stub(self.body[p])]
            if any(isinstance(self.body[p], _DEFINITIONS) for p in whole):
                whole = [p for p in whole if not isinstance(self.body[p], ast.Import | ast.ImportFrom)]
            places = whole or places
        return places

    def _demonstrates(self, place: int, name: str) -> bool:
        statement = self.body[place]
        if isinstance(statement, ast.For | ast.While | ast.With):
            return True
        return any(function == name for function, _ in self.facts[place].calls)

    def _changed_by(self, place: int, reached: set[int]) -> set[str]:
        """Names whose objects running the statement changes, calls of what the entry itself calls left aside."""
        statement, facts = self.body[place], self.facts[place]
        if isinstance(statement, _NEVER) or is_main_guard(statement):
            return set()
        says = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and _called(statement.value) in _SAYS
        changed = set() if says else facts.changes | (facts.method_calls & self.variables)
        for function, arguments in facts.calls:
            if not any(p in reached for p in self.binders.get(function, ())):
                changed |= self._later_changes(function)
                if function in self.change_arguments:
                    changed.update(arguments)
        if not isinstance(statement, ast.AugAssign):
            changed -= facts.binds & self.defined  # `with open(...) as f: f.read()` is about another f than the function
        return with_aliases(changed, self.aliases)

    def _later_changes(self, function: str) -> set[str]:
        """Names that a call of the function changes, through others that it calls too."""
        changed: set[str] = set()
        seen: set[str] = set()
        waiting = [function]
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for place in self.binders.get(name, ()):
                changed |= self.facts[place].later_changes
                changed.update(*(names for called, names in self.facts[place].later_passes if called in self.change_arguments))
                waiting += self.facts[place].later_calls
        return changed

    def _harmless(self, place: int, names: set[str]) -> bool:
        """Whether an unneeded statement stays: what can neither fail nor change a call, and settings of the interpreter."""
        statement = self.body[place]
        if isinstance(statement, ast.Expr):
            return self._is_setting(statement) or (place == 0 and isinstance(statement.value, ast.Constant))
        if isinstance(statement, ast.ImportFrom) and self.facts[place].star:
            unbound = names - self.binders.keys()
            return bool(unbound - KNOWN or unbound & _OFTEN_REPLACED)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            return _is_standard(statement)
        alone = all(len(self.binders[name]) == 1 for name in self.facts[place].binds)
        return isinstance(statement, _FUNCTIONS) and alone and _cannot_fail(statement)

    def _kept_by_name(self, place: int, reached: set[int]) -> bool:
        """Whether a statement stays that is not reached, in a program that looks names up by text."""
        statement, facts = self.body[place], self.facts[place]
        if isinstance(statement, (*_DEFINITIONS, ast.Import, ast.ImportFrom)):
            return True
        if isinstance(statement, _NEVER) or is_main_guard(statement):
            return False
        if isinstance(statement, ast.Expr):
            return self._harmless(place, set())
        called = {function for function, _ in facts.calls}
        demonstrates = any(p in reached for name in called for p in self.binders.get(name, ()))
        return not demonstrates and not called & (_READS_INPUT | _SAYS)


def _called(call: ast.Call) -> str:
    """The last name of what is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def _is_standard(statement: ast.stmt) -> bool:
    """Whether the statement imports from the standard library alone."""
    if isinstance(statement, ast.ImportFrom):
        return statement.level == 0 and (statement.module or "").partition(".")[0] in sys.stdlib_module_names
    return isinstance(statement, ast.Import) and all(a.name.partition(".")[0] in sys.stdlib_module_names for a in statement.names)


def _cannot_fail(statement: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether defining the function does nothing but that."""
    arguments = statement.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    annotations = [statement.returns, *(a.annotation for a in every if a is not None)]
    defaults = [d for d in [*arguments.defaults, *arguments.kw_defaults] if d is not None]
    plain = all(isinstance(d, ast.Constant) for d in defaults)
    return plain and not statement.decorator_list and all(a is None or isinstance(a, ast.Constant) for a in annotations)
