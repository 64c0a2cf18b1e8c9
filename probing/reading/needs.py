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
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from probing.reading.aliases import Aliases, Call, with_aliases
from probing.reading.facts import SAYS, Facts, called, facts_of, root_of
from probing.reading.forms import cannot_fail, is_main_guard, is_standard, is_stub, settings

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NEVER = (ast.Assert, ast.Return, ast.Raise, ast.Pass, ast.Global)
_READS_INPUT = frozenset(("input", "open"))
# Builtins that a star import of a module for numbers or arrays replaces.
_OFTEN_REPLACED = frozenset(["pow", "sum", "min", "max", "abs", "round", "all", "any", "open", "divmod"])
KNOWN = frozenset(dir(builtins)) | {"__file__", "__builtins__", "__annotations__", "__class__", "__path__", "__module__", "__qualname__"}


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
        self.classes = {s.name for s in self.body if isinstance(s, ast.ClassDef)}
        self.methods = {name for facts in self.facts for name in facts.methods}
        self.aliases: Aliases = {}
        self.makers: Aliases = {}
        for facts in self.facts:
            for known, found in ((self.aliases, facts.aliases), (self.makers, facts.makers)):
                for name, sources in found.items():
                    known.setdefault(name, set()).update(sources)
        self.change_arguments = self._argument_changers()
        self.runs = self._runs()
        self.asking = self._asking()
        self.settings = settings(self.body, self.binders) - self.asking

    def needed(self, entries: Iterable[str], tried: Collection[str] = (), harmless: bool = True) -> list[bool]:
        """bool[statements]: whether each is needed by one of the entries, or stays because it cannot fail (where `harmless` says so).

        tried: functions and classes whose calls at module level are demonstrations, whatever they change.
        """
        every = range(len(self.body))
        set_up = {p for p in self.settings if not any(call.functions.intersection(tried) for call in self.facts[p].calls)}
        entries = [*entries, *self._names_read(set_up)]
        reached = self._reach(entries, {})
        changers: defaultdict[str, list[int]] = defaultdict(list)
        changes = _Changes(self, reached, tried)
        for place in every:
            for name in changes.made_by(place):
                changers[name].append(place)
        kept = self._reach(entries, changers) | (set_up if harmless else set())
        if any(self.facts[place].by_name for place in reached):
            return [place in kept or self._kept_by_name(place, reached) for place in every]
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

    def _runs(self) -> dict[str, set[str]]:
        """Names, with the functions and classes that do something of which a call of the name, or of a method of its object, may run."""
        names: defaultdict[str, set[str]] = defaultdict(set)  # which may stand for an object, or were made by calling it
        for known in (self.aliases, self.makers):
            for name, sources in known.items():
                for source in sources:
                    names[source].add(name)
        found: defaultdict[str, set[str]] = defaultdict(set)
        for facts in self.facts:
            if facts.later_changes or facts.later_calls or not self.change_arguments.isdisjoint(facts.binds):
                for function in facts.binds:
                    for name in with_aliases([function], names):
                        found[name].add(function)
        return found

    def _asking(self) -> set[int]:
        """Statements that ask for input when they are run or called: themselves, or through what they read."""
        readers: defaultdict[str, list[int]] = defaultdict(list)
        for place, facts in enumerate(self.facts):
            for name in facts.reads - facts.binds:
                readers[name].append(place)
        calls = ((place, call) for place, facts in enumerate(self.facts) for call in (*facts.calls, *facts.later_calls))
        waiting = [place for place, call in calls if call.functions & _READS_INPUT]
        waiting += [place for place, facts in enumerate(self.facts) if facts.stdin]
        found: set[int] = set()
        while waiting:
            place = waiting.pop()
            if place not in found:
                found.add(place)
                waiting += [reader for name in self.facts[place].binds for reader in readers[name]]
        return found

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
        return any(name in call.functions for call in self.facts[place].calls)

    def _harmless(self, place: int, names: set[str]) -> bool:
        """Whether an unneeded statement stays: what can neither fail nor change a call."""
        statement = self.body[place]
        if isinstance(statement, ast.Expr):
            return place == 0 and isinstance(statement.value, ast.Constant)
        if isinstance(statement, ast.ImportFrom) and self.facts[place].star:
            unbound = names - self.binders.keys()
            return bool(unbound - KNOWN or unbound & _OFTEN_REPLACED)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            return is_standard(statement)
        alone = all(len(self.binders[name]) == 1 for name in self.facts[place].binds)
        return isinstance(statement, _FUNCTIONS) and alone and cannot_fail(statement)

    def _kept_by_name(self, place: int, reached: set[int]) -> bool:
        """Whether a statement stays that is not reached, in a program that looks names up by text."""
        statement, facts = self.body[place], self.facts[place]
        if isinstance(statement, (*_DEFINITIONS, ast.Import, ast.ImportFrom)):
            return True
        if isinstance(statement, _NEVER) or is_main_guard(statement):
            return False
        if isinstance(statement, ast.Expr):
            return self._harmless(place, set())
        functions = {name for call in facts.calls for name in call.functions}
        demonstrates = any(p in reached for name in functions for p in self.binders.get(name, ()))
        return not demonstrates and not functions & (_READS_INPUT | SAYS)


class _Changes:
    """What running a statement changes, in a program whose entries reach some statements without regard to changes.

    A call of what is tried is a demonstration. So is one of another function that is reached, if its result is only printed or asserted: it
    may find a table filled, but need not fill it. What asks for input cannot set up anything through a call.
    """

    def __init__(self, program: Statements, reached: set[int], tried: Collection[str]) -> None:
        self.program, self.reached = program, reached
        functions = {name for entry in tried for name in program.aliases.get(entry, ()) if name in program.defined}
        self.tried = functions - program.classes | set(tried)  # after `f = g`, calls of `g` are calls of `f`
        self._later: dict[str, set[str]] = {}
        self._bodies: dict[str, tuple[set[str], set[str]]] = {}

    def made_by(self, place: int) -> set[str]:
        """Names whose objects running the statement changes."""
        program, statement, facts = self.program, self.program.body[place], self.program.facts[place]
        if isinstance(statement, _NEVER) or is_main_guard(statement):
            return set()
        says = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and called(statement.value) in SAYS
        changed = set() if says else set(facts.changes)
        runs_lambda = facts.runs_lambda and not isinstance(statement, _DEFINITIONS)
        calls = [*facts.calls, *(facts.later_calls if runs_lambda else ())]
        demonstrated = {name for call in calls for name in call.functions & self.tried}
        if not says:
            changed.update(name for call in calls for name in call.objects & program.variables - demonstrated)
            changed |= facts.later_changes if runs_lambda else set()
        if place not in program.asking:
            for call in calls:
                changed |= self._by_call(call)
        stored = {root_of(target) for target in statement.targets} if isinstance(statement, ast.Assign) else set()
        changed -= demonstrated - stored  # `f(3).sort()` changes what the function returned
        if not isinstance(statement, ast.AugAssign):
            changed -= facts.binds & program.defined  # `with open(...) as f: f.read()` is about another f than the function
        return with_aliases(changed, program.aliases)

    def _by_call(self, call: Call) -> set[str]:
        """Names that a call changes by way of what it runs."""
        if call.functions & self.tried:
            return set()
        program, runs = self.program, self._run_by(call)
        changed = set(call.functions & program.methods)
        if runs & program.change_arguments:
            changed |= call.arguments
        return changed.union(*map(self._by_calling, runs))

    def _run_by(self, call: Call) -> set[str]:
        """Functions and classes, of those that do something, that a call may run."""
        program = self.program
        names = {function for name in call.names if name in program.runs for function in program.runs[name]} - self.tried
        if call.shown:
            names = {name for name in names if not any(place in self.reached for place in program.binders.get(name, ()))}
        return names

    def _by_calling(self, function: str) -> set[str]:
        """Names that a call of the function changes, through others that it calls too."""
        if function not in self._later:
            seen: set[str] = set()
            waiting = [function]
            while waiting:
                name = waiting.pop()
                if name not in seen:
                    seen.add(name)
                    waiting += self._inside(name)[1]
            self._later[function] = set[str]().union(*(self._inside(name)[0] for name in seen))
        return self._later[function]

    def _inside(self, function: str) -> tuple[set[str], set[str]]:
        """Names that the function itself changes when it is called, and the functions that it runs."""
        if function in self._bodies:
            return self._bodies[function]
        program = self.program
        changed, ran = set[str](), set[str]()
        for place in program.binders.get(function, ()):
            changed |= program.facts[place].later_changes
            for call in program.facts[place].later_calls:
                if not call.functions & self.tried:
                    runs = self._run_by(call)
                    changed |= call.functions & program.methods
                    changed |= call.arguments if runs & program.change_arguments else set()
                    changed.update(o for o in call.objects if program.makers.get(o, set()) & program.classes)
                    ran |= runs
        self._bodies[function] = changed, ran
        return changed, ran
