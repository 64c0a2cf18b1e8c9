"""What a statement at module level binds, reads and changes, from its syntax tree alone.

Functions' own variables are left out: only names of the module count. What a function does when it is called is told apart from what
running the statement does at once.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from probing.reading.aliases import Aliases, note_alias, sources_of, with_aliases

# Methods of builtin containers that change them.
CHANGING = frozenset(
    (
        *("append", "add", "update", "extend", "insert", "pop", "remove", "sort", "reverse", "setdefault", "clear", "discard", "popitem"),
        *("appendleft", "extendleft", "popleft", "rotate", "subtract"),
        *("difference_update", "intersection_update", "symmetric_difference_update"),
    )
)
# Functions of Python's that change their argument.
CHANGING_ARGUMENTS = frozenset(
    (
        *("heapify", "heappush", "heappop", "heapreplace", "heappushpop", "shuffle", "insort", "insort_left", "insort_right"),
        *("setattr", "delattr"),
    )
)
BY_NAME = frozenset(["globals", "exec", "eval", "vars", "locals", "__subclasses__", "modules"])
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass
class Facts:
    """Facts of one statement, or of one scope inside it while it is being read."""

    binds: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)  # at once or in a call
    changes: set[str] = field(default_factory=set)  # names whose object is changed at once
    method_calls: set[str] = field(default_factory=set)  # names a method of whose object is called at once
    calls: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)  # functions called at once, with the names among the arguments
    later_changes: set[str] = field(default_factory=set)  # names rebound or changed when a function of the statement is called
    later_calls: set[str] = field(default_factory=set)
    later_passes: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)  # functions that it calls with names of the module
    changes_arguments: bool = False  # a function of the statement changes what it is called with
    hands_on: set[str] = field(default_factory=set)  # functions to which a function of the statement gives what it is called with
    aliases: Aliases = field(default_factory=dict)
    star: bool = False  # an import of everything
    by_name: bool = False  # it looks things up by their names
    globals: set[str] = field(default_factory=set)


def facts_of(statement: ast.stmt) -> Facts:
    """The facts of a statement at module level. Raises RecursionError for one that is nested too deep."""
    facts = Facts()
    _visit(statement, facts, facts)
    return facts


def root_of(node: ast.AST) -> str | None:
    """The name that an attribute, item or call chain starts with."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _visit(node: ast.AST, scope: Facts, binding: Facts) -> None:
    """Add what the node does to its scope. binding: the scope that an assignment expression binds in."""
    if isinstance(node, ast.Name):
        (scope.reads if isinstance(node.ctx, ast.Load) else scope.binds).add(node.id)
        scope.by_name |= node.id in BY_NAME
        return
    if isinstance(node, ast.Constant):
        return
    if isinstance(node, _FUNCTIONS):
        _function(node, scope)
        return
    if isinstance(node, ast.Lambda):
        _arguments(node.args, scope)
        inner = Facts(binds=_parameters(node.args))
        _visit(node.body, inner, inner)
        _close_function(inner, _parameters(node.args), scope)
        return
    if isinstance(node, ast.ClassDef):
        _class(node, scope)
        return
    if isinstance(node, _COMPREHENSIONS):
        inner = Facts()
        for child in ast.iter_child_nodes(node):
            _visit(child, inner, binding)
        _close_at_once(inner, scope)
        return
    if isinstance(node, ast.ExceptHandler) and node.name:
        _handler(node, scope)
        return
    _special(node, scope, binding)
    for child in ast.iter_child_nodes(node):
        _visit(child, scope, binding)


def _special(node: ast.AST, scope: Facts, binding: Facts) -> None:
    """What a node does beside what its children do."""
    if isinstance(node, ast.Attribute | ast.Subscript):
        scope.by_name |= isinstance(node, ast.Attribute) and node.attr in BY_NAME
        changing = isinstance(node, ast.Attribute) and node.attr in CHANGING  # called here, or given to what calls it: `map(xs.append, ys)`
        if (changing or not isinstance(node.ctx, ast.Load)) and (root := root_of(node)) is not None:
            scope.changes.add(root)
    elif isinstance(node, ast.Call):
        _call(node, scope)
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            note_alias(scope.aliases, target, node.value)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        note_alias(scope.aliases, node.target, node.value)
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        note_alias(scope.aliases, node.target, node.iter)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        note_alias(scope.aliases, node.optional_vars, node.context_expr)
    elif isinstance(node, ast.AugAssign):
        if isinstance(node.target, ast.Name):
            scope.reads.add(node.target.id)
            scope.changes.add(node.target.id)
    elif isinstance(node, ast.NamedExpr):
        binding.binds.add(node.target.id)
        note_alias(binding.aliases, node.target, node.value)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            scope.star |= alias.name == "*"
            scope.binds.add(alias.asname or alias.name.partition(".")[0])
    elif isinstance(node, ast.Global):
        scope.globals.update(node.names)
    elif isinstance(node, ast.Nonlocal):
        scope.reads.update(node.names)
    elif isinstance(node, ast.MatchAs | ast.MatchStar):
        if node.name:
            scope.binds.add(node.name)
    elif isinstance(node, ast.MatchMapping) and node.rest:
        scope.binds.add(node.rest)


def _handler(node: ast.ExceptHandler, scope: Facts) -> None:
    """What a handler does; the name of its exception is gone behind it."""
    inner = Facts()
    for child in ast.iter_child_nodes(node):
        _visit(child, inner, inner)
    scope.binds |= inner.binds - {node.name}
    scope.globals |= inner.globals
    inner.binds = {str(node.name)}
    _close_at_once(inner, scope)


def _call(node: ast.Call, scope: Facts) -> None:
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    names = tuple(sorted({name for argument in arguments for name in sources_of(argument)}))
    function = node.func
    if isinstance(function, ast.Name):
        scope.calls.append((function.id, names))
    elif isinstance(function, ast.Attribute):
        scope.method_calls |= sources_of(function.value) | ({root} if (root := root_of(function)) is not None else set())
    name = function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    if name in CHANGING_ARGUMENTS:
        scope.changes.update(names)


def _parameters(arguments: ast.arguments) -> set[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {a.arg for a in every if a is not None}


def _arguments(arguments: ast.arguments, scope: Facts) -> None:
    """Defaults and annotations, which are computed where the function is defined."""
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    for node in [*arguments.defaults, *arguments.kw_defaults, *(a.annotation for a in every if a is not None)]:
        if node is not None:
            _visit(node, scope, scope)


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, scope: Facts) -> None:
    for decorator in node.decorator_list:
        _visit(decorator, scope, scope)
        root = root_of(decorator)
        if isinstance(decorator, ast.Name):
            scope.calls.append((decorator.id, ()))
        elif root is not None:
            scope.method_calls.add(root)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Facts) -> None:
    scope.binds.add(node.name)
    _decorators(node, scope)
    _arguments(node.args, scope)
    if node.returns is not None:
        _visit(node.returns, scope, scope)
    parameters = _parameters(node.args)
    inner = Facts(binds=set(parameters))
    for statement in node.body:
        _visit(statement, inner, inner)
    _close_function(inner, parameters, scope)


def _class(node: ast.ClassDef, scope: Facts) -> None:
    scope.binds.add(node.name)
    _decorators(node, scope)
    for child in [*node.bases, *node.keywords]:
        _visit(child, scope, scope)
    inner = Facts()
    for statement in node.body:
        _visit(statement, inner, inner)
    scope.reads |= inner.reads  # methods do not see the names of the class: what they read is the module's
    inner.reads = set()
    _close_at_once(inner, scope)


def _close_function(inner: Facts, parameters: set[str], scope: Facts) -> None:
    """What a function's body does happens when it is called."""
    own = inner.binds - inner.globals
    changed = with_aliases(inner.changes | inner.later_changes, inner.aliases)
    given = parameters - {"self", "cls"}
    passed = [(name, with_aliases(names, inner.aliases)) for name, names in inner.calls if names]
    scope.reads |= (inner.reads | inner.globals) - own
    scope.later_changes |= (changed | (inner.binds & inner.globals)) - own
    scope.later_calls |= ({name for name, _ in inner.calls} | inner.later_calls) - own
    scope.later_passes += [(name, tuple(names - own)) for name, names in passed if names - own]
    scope.later_passes += [(name, tuple(set(names) - own)) for name, names in inner.later_passes if set(names) - own]
    scope.changes_arguments |= bool(changed & given)
    scope.hands_on |= {name for name, names in passed if names & given}
    scope.star |= inner.star
    scope.by_name |= inner.by_name


def _close_at_once(inner: Facts, scope: Facts) -> None:
    """What a comprehension, a class body or a handler does happens where it stands."""
    own = inner.binds
    scope.reads |= inner.reads - own
    scope.changes |= with_aliases(inner.changes, inner.aliases) - own
    scope.method_calls |= with_aliases(inner.method_calls, inner.aliases) - own
    scope.calls += [call for call in inner.calls if call[0] not in own]
    scope.later_changes |= inner.later_changes - own
    scope.later_calls |= inner.later_calls - own
    scope.later_passes += inner.later_passes
    scope.changes_arguments |= inner.changes_arguments
    scope.hands_on |= inner.hands_on
    for name in inner.aliases.keys() - own:
        scope.aliases.setdefault(name, set()).update(inner.aliases[name] - own)
    scope.star |= inner.star
    scope.by_name |= inner.by_name
