"""What a statement at module level binds, reads and changes, from its syntax tree alone.

Functions' own variables are left out: only names of the module count. What a function does when it is called is told apart from what
running the statement does at once.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from probing.reading.aliases import Aliases, Call, note_alias, note_makers, sources_of, with_aliases

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
        *("setattr", "delattr", "next"),
    )
)
SAYS = frozenset(["print", "pprint", "pp", "display", "input", "exit", "quit"])  # what is called to say or ask something
BY_NAME = frozenset(["globals", "exec", "eval", "vars", "locals", "__subclasses__", "modules"])
_CLASSES = frozenset(["cls", "mcs", "mcls", "metacls"])  # what methods call the class that they change
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass
class Facts:
    """Facts of one statement, or of one scope inside it while it is being read."""

    binds: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)  # at once or in a call
    changes: set[str] = field(default_factory=set)  # names whose object is changed at once
    calls: list[Call] = field(default_factory=list)  # what is called at once
    later_changes: set[str] = field(default_factory=set)  # names rebound or changed when a function of the statement is called
    later_calls: list[Call] = field(default_factory=list)
    changes_arguments: bool = False  # a function of the statement changes what it is called with
    hands_on: set[str] = field(default_factory=set)  # functions to which a function of the statement gives what it is called with
    changes_class: bool = False  # a method changes the class that it is called on
    runs_lambda: bool = False  # it gives a lambda to what it calls
    aliases: Aliases = field(default_factory=dict)
    makers: Aliases = field(default_factory=dict)  # names -> functions and classes that were called to make their objects
    methods: set[str] = field(default_factory=set)  # names bound to an attribute of an object: a method, if they are called
    stdin: bool = False  # it reads standard input, at once or in a call
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


def called(call: ast.Call) -> str:
    """The last name of what is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def _visit(node: ast.AST, scope: Facts, binding: Facts) -> None:
    """Add what the node does to its scope. binding: the scope that an assignment expression binds in."""
    if isinstance(node, ast.Name):
        (scope.reads if isinstance(node.ctx, ast.Load) else scope.binds).add(node.id)
        scope.by_name |= node.id in BY_NAME
        scope.stdin |= node.id == "stdin" and isinstance(node.ctx, ast.Load)
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
    if isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and called(node) in SAYS):
        inner = Facts()
        _special(node, inner, binding)
        for child in ast.iter_child_nodes(node):
            _visit(child, inner, binding)
        _close_at_once(inner, scope, shown=True)
        scope.binds |= inner.binds
        return
    _special(node, scope, binding)
    for child in ast.iter_child_nodes(node):
        _visit(child, scope, binding)


def _special(node: ast.AST, scope: Facts, binding: Facts) -> None:
    """What a node does beside what its children do."""
    if isinstance(node, ast.Attribute | ast.Subscript):
        scope.by_name |= isinstance(node, ast.Attribute) and node.attr in BY_NAME
        scope.stdin |= isinstance(node, ast.Attribute) and node.attr == "stdin"
        changing = isinstance(node, ast.Attribute) and node.attr in CHANGING  # called here, or given to what calls it: `map(xs.append, ys)`
        if (changing or not isinstance(node.ctx, ast.Load)) and (root := root_of(node)) is not None:
            scope.changes.add(root)
    elif isinstance(node, ast.Call):
        _call(node, scope)
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            _note(scope, target, node.value)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        _note(scope, node.target, node.value)
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        _note(scope, node.target, node.iter)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        _note(scope, node.optional_vars, node.context_expr)
    elif isinstance(node, ast.AugAssign):
        if isinstance(node.target, ast.Name):
            scope.reads.add(node.target.id)
            scope.changes.add(node.target.id)
    elif isinstance(node, ast.NamedExpr):
        binding.binds.add(node.target.id)
        _note(binding, node.target, node.value)
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


def _note(scope: Facts, target: ast.expr, value: ast.expr) -> None:
    """What the names of a target stand for once the value is bound to them."""
    note_alias(scope.aliases, target, value)
    note_makers(scope.makers, target, value)
    if any(isinstance(part, ast.Attribute) for part in (value.elts if isinstance(value, ast.Tuple) else [value])):
        scope.methods |= {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _call(node: ast.Call, scope: Facts) -> None:
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    names = frozenset(name for argument in arguments for name in sources_of(argument))
    function = node.func
    functions, objects = set[str](), set[str]()
    if isinstance(function, ast.Name):
        functions.add(function.id)
    elif isinstance(function, ast.Attribute):
        objects = sources_of(function.value) | ({root} if (root := root_of(function)) is not None else set())
    scope.calls.append(Call(frozenset(functions), frozenset(objects), names))
    scope.runs_lambda |= any(isinstance(argument, ast.Lambda) for argument in arguments)
    if called(node) in CHANGING_ARGUMENTS:
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
        if root is not None:
            names = frozenset((root,))
            scope.calls.append(Call(*((names, frozenset()) if isinstance(decorator, ast.Name) else (frozenset(), names)), frozenset()))


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
    _bases(node, scope)
    inner = Facts()
    for statement in node.body:
        _visit(statement, inner, inner)
    scope.reads |= inner.reads  # methods do not see the names of the class: what they read is the module's
    inner.reads = set()
    if inner.changes_class:
        scope.later_changes.add(node.name)
    _close_at_once(inner, scope)


def _bases(node: ast.ClassDef, scope: Facts) -> None:
    """A new class calls what its bases and its metaclass do about new classes. What changes it changes its bases; one of a metaclass may be
    what the metaclass changes.
    """
    bases = {root for base in node.bases if (root := root_of(base)) is not None}
    scope.aliases.setdefault(node.name, set()).update(bases)
    for keyword in node.keywords:
        if keyword.arg == "metaclass" and (root := root_of(keyword.value)) is not None:
            bases.add(root)
            scope.makers.setdefault(node.name, set()).add(root)
            scope.aliases.setdefault(root, set()).add(node.name)
    if bases:
        scope.calls.append(Call(frozenset(bases), frozenset(), frozenset()))


def _close_function(inner: Facts, parameters: set[str], scope: Facts) -> None:
    """What a function's body does happens when it is called."""
    own = inner.binds - inner.globals
    changed = with_aliases(inner.changes | inner.later_changes, inner.aliases)
    given = parameters - {"self", *_CLASSES}
    scope.reads |= (inner.reads | inner.globals) - own
    scope.later_changes |= (changed | (inner.binds & inner.globals)) - own
    scope.later_calls += [call.outside(own, inner.aliases) for call in (*inner.calls, *inner.later_calls)]
    scope.changes_arguments |= bool(changed & given)
    scope.changes_class |= bool(changed & parameters & _CLASSES)
    scope.hands_on |= {name for call in inner.calls if given & with_aliases(call.arguments, inner.aliases) for name in call.functions}
    scope.star |= inner.star
    scope.stdin |= inner.stdin
    scope.by_name |= inner.by_name


def _close_at_once(inner: Facts, scope: Facts, shown: bool = False) -> None:
    """What a comprehension, a class body or a handler does happens where it stands. shown: it is printed or asserted."""
    own = set[str]() if shown else inner.binds
    scope.reads |= inner.reads - own
    scope.changes |= with_aliases(inner.changes, inner.aliases) - own
    scope.calls += [call.outside(own, inner.aliases, shown) for call in inner.calls]
    scope.later_changes |= inner.later_changes - own
    scope.later_calls += [call.outside(own, inner.aliases, shown) for call in inner.later_calls]
    scope.changes_arguments |= inner.changes_arguments
    scope.hands_on |= inner.hands_on
    scope.runs_lambda |= inner.runs_lambda
    for names, outer in ((inner.aliases, scope.aliases), (inner.makers, scope.makers)):
        for name in names.keys() - own:
            outer.setdefault(name, set()).update(names[name] - own)
    scope.methods |= inner.methods - own
    scope.star |= inner.star
    scope.stdin |= inner.stdin
    scope.by_name |= inner.by_name
