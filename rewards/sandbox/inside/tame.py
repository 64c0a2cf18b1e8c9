"""Which programs may share a child, and the world that they see there (child side, standard library only).

The check reads the compiled syntax tree (code objects: what was checked is what runs): every instruction, and every name that a global, an
attribute or an import may have. A tame program has only listed builtins and listed members of listed pure modules, no special methods of
its own beyond `__init__`, and no name of the interpreter's machinery (frames, code, tracebacks, generators' insides), so it holds no path
to another program: what it can reach is what it made, immutable objects, and functions without state. It then runs with only those
builtins, and with module facades that hold only those members; a reach beyond marks it as escaped: the strict lane judges it, afresh.

The reasoning, and what it does not cover (processor caches, timing), is in docs/security.md.
"""

from __future__ import annotations

import builtins
import copy
import importlib
import opcode
import random
import re
import types
import typing
from collections.abc import Callable
from typing import Any

from rewards.sandbox.inside import clock

BUILTINS = """
abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod enumerate filter float frozenset hash hex int
isinstance issubclass iter len list map max min next object oct ord pow print property range repr reversed round set slice sorted
staticmethod str sum super tuple type zip True False None NotImplemented Ellipsis
"""
MODULES = {
    "__future__": "annotations division generator_stop",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "cmath": "sqrt exp log phase polar rect pi e isclose",
    "collections": "Counter OrderedDict defaultdict deque ChainMap",
    "copy": "copy deepcopy",
    "datetime": "date datetime timedelta time",
    "decimal": "Decimal ROUND_HALF_UP ROUND_HALF_EVEN ROUND_DOWN ROUND_UP ROUND_FLOOR ROUND_CEILING InvalidOperation",
    "fractions": "Fraction",
    "functools": "reduce partial cmp_to_key lru_cache cache",
    "hashlib": "md5 sha1 sha256 sha512 blake2b",
    "heapq": "heappush heappop heapify heappushpop heapreplace nlargest nsmallest merge",
    "itertools": """accumulate chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse groupby islice
        pairwise permutations product repeat starmap takewhile tee zip_longest""",
    "json": "dumps loads JSONDecodeError",
    "math": " ".join(n for n in dir(importlib.import_module("math")) if n[0] != "_"),
    "operator": """add and_ contains concat countOf eq floordiv ge getitem gt inv invert itemgetter le lshift lt matmul mod mul ne neg not_
        or_ pos pow rshift sub truediv xor""",
    "random": "choice choices randint random randrange sample shuffle seed uniform gauss",
    "re": """compile escape findall finditer fullmatch match search split sub subn error I IGNORECASE M MULTILINE S DOTALL X VERBOSE A
        ASCII U UNICODE Pattern Match""",
    "statistics": "mean median mode stdev variance pstdev pvariance fmean median_low median_high multimode StatisticsError",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits printable punctuation whitespace capwords",
    "typing": """Any Callable Collection DefaultDict Deque Dict FrozenSet Generator Generic Hashable Iterable Iterator List Literal Mapping
        MutableMapping MutableSequence Optional Sequence Set Sized Tuple Type TypeVar Union""",
}
SPECIAL = frozenset({"__init__", "__name__", "__module__", "__qualname__", "__future__", "__annotations__", "__doc__", "__classcell__"})
_DATA_TYPES: tuple[Any, ...] = (str, bytes, bytearray, int, float, complex, bool, list, tuple, dict, set, frozenset, range, slice, property)
_MACHINERY: tuple[Any, ...] = (
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.FrameType,
    types.CodeType,
    types.TracebackType,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.ModuleType,
    types.CellType,
    types.MappingProxyType,
    types.GenericAlias,
    memoryview,
    type,
)
_NEVER = frozenset({"format", "format_map", "mro", "fget", "fset", "fdel", "getter", "setter", "deleter", "modules", "close"})
_ALLOWED_SUFFIX = ("send", "throw")  # a generator's own, harmless methods; `close` is what an abandoned `yield from` calls
_REFUSED_INSTRUCTIONS = ("MATCH_CLASS", "IMPORT_STAR", "BEFORE_ASYNC_WITH", "GET_AITER", "GET_AWAITABLE")
_STAR_INTRINSIC = 2  # argument of CALL_INTRINSIC_1 that stands for `import *` from Python 3.12 on
_ASYNC_FLAGS, _GENERATOR_FLAG = 0x80 | 0x200, 0x20  # CO_COROUTINE, CO_ASYNC_GENERATOR; CO_GENERATOR
_DELICATE = frozenset({"type", "compile", "__init__", "__annotations__"})  # what is done with these names decides

_CodeType = types.CodeType
_exceptions = {name: item for name, item in vars(builtins).items() if isinstance(item, type) and issubclass(item, BaseException)}
_members = {name: tuple(members.split()) for name, members in MODULES.items()}


def _public(items: Any) -> set[str]:
    return {name for item in items for name in dir(item) if not name.startswith("_")}


def _known_names() -> tuple[frozenset[str], frozenset[str]]:
    """(names that are safe whatever they are found on, names of machinery and unlisted builtins)."""
    exported = [getattr(importlib.import_module(module), name) for module, names in _members.items() for name in names]
    classes = [item for item in exported if isinstance(item, type)]
    safe = _public([*_DATA_TYPES, *_exceptions.values(), *classes]) | set(BUILTINS.split()) | set(_exceptions) | SPECIAL
    safe |= {name for names in _members.values() for name in names} | set(_members) | set(_ALLOWED_SUFFIX)
    safe -= _NEVER
    machinery = {name for item in _MACHINERY for name in dir(item)} | set(dir(builtins)) | _NEVER
    machinery |= {name for item in exported for name in dir(type(item))}  # metaclasses: ABCMeta.register changes a shared class
    return frozenset(safe), frozenset(machinery - safe)


SAFE_NAMES, MACHINERY_NAMES = _known_names()
_opcodes = opcode.opmap
_REFUSED = frozenset(_opcodes[name] for name in _REFUSED_INSTRUCTIONS if name in _opcodes)
_STORES = frozenset({_opcodes["STORE_ATTR"], _opcodes["DELETE_ATTR"]})
_IMPORT, _INTRINSIC, _HANDLER = _opcodes["IMPORT_NAME"], _opcodes.get("CALL_INTRINSIC_1"), _opcodes["PUSH_EXC_INFO"]
_EXTENDED, _CACHE, _PUSH_NULL = _opcodes["EXTENDED_ARG"], _opcodes["CACHE"], _opcodes["PUSH_NULL"]
_LOAD_GLOBAL, _LOAD_NAME = _opcodes["LOAD_GLOBAL"], _opcodes["LOAD_NAME"]
_NAME_SHIFT = dict.fromkeys(opcode.hasname, 0) | {_LOAD_GLOBAL: 1}  # bits of the argument below the name's index
_NAME_SHIFT |= {_opcodes["LOAD_ATTR"]: 1, _opcodes["LOAD_SUPER_ATTR"]: 2} if "LOAD_SUPER_ATTR" in _opcodes else {}
_ATTRIBUTES = frozenset(_opcodes[name] for name in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR") if name in _opcodes)
_BINDINGS = frozenset(op for op in opcode.hasname if opcode.opname[op].split("_")[0] in ("STORE", "DELETE", "IMPORT"))
_safe, _machinery, _type, _deepcopy = SAFE_NAMES, MACHINERY_NAMES, type, copy.deepcopy


def is_tame(code: types.CodeType) -> bool:
    """True when the compiled program is in the listed subset.

    >>> is_tame(compile("import math\\ndef f(x): return math.sqrt(x)", "p", "exec"))
    True
    >>> is_tame(compile("def f(x): return (i for i in x).gi_frame", "p", "exec"))
    False
    """
    pending: list[types.CodeType] = [code]
    names: set[str] = set()
    instructions: set[int] = set()
    for item in pending:
        if item.co_flags & _ASYNC_FLAGS:
            return False
        names.update(item.co_names)
        body = item.co_code
        found = set(body[::2])
        if _INTRINSIC in found and bytes((_INTRINSIC, _STAR_INTRINSIC)) in body:
            return False
        if item.co_flags & _GENERATOR_FLAG and _HANDLER in found:
            return False  # its handlers may run when it is thrown away, in another program's time
        instructions |= found
        pending += [const for const in item.co_consts if _type(const) is _CodeType]
    unknown = names - _safe
    if unknown & _machinery or instructions & _REFUSED:
        return False
    imports = _IMPORT in instructions
    if imports and instructions & _STORES:
        return False  # an attribute of something shared might be set
    if any(name.startswith("__") or (imports and name.startswith("_") and name != "_") for name in unknown):
        return False
    return names.isdisjoint(_DELICATE) or not any(_misuses(item, imports) for item in pending)


def _reset_typing() -> None:
    """Empty typing's caches: List[True] would be what another program knows as List[1]."""
    for clear in typing._cleanups:  # type: ignore[attr-defined]
        clear()


_RESETS: dict[str, Callable[[], None]] = {
    "random": lambda: random.seed(clock.chance.seed),
    "re": re.purge,  # a pattern that was compiled with flags 2 answers for flags 2.0
    "typing": _reset_typing,
}


def _misuses(code: types.CodeType, imports: bool) -> bool:
    """True when a delicate name is more than what World can stand for.

    `type` may only be called (World refuses to make classes and to hand out metaclasses), `compile` only be an attribute (of re), and no
    attribute `__annotations__` be read (those of shared functions are dicts that can be written to). Nor, where anything shared is in
    reach, `__init__`: it would initialise a shared object anew.
    """
    names = code.co_names
    if _DELICATE.isdisjoint(names):
        return False
    body, extended, previous = code.co_code, 0, _CACHE
    for offset in range(0, len(body), 2):
        operation, argument = body[offset], body[offset + 1] | extended
        if operation == _EXTENDED:
            extended = argument << 8
            continue
        extended = 0
        if operation == _CACHE:
            continue
        shift = _NAME_SHIFT.get(operation)
        if shift is not None and operation not in _BINDINGS and (name := names[argument >> shift]) in _DELICATE:
            if operation in _ATTRIBUTES:
                if name == "__annotations__" or (imports and name == "__init__"):
                    return True
            elif name == "compile":
                return True
            elif name == "type":
                called = argument & 1 if operation == _LOAD_GLOBAL else operation == _LOAD_NAME and previous == _PUSH_NULL
                if not called:
                    return True
        previous = operation
    return False


class Escape:
    """Remembers that a tame program reached for something outside its world."""

    __slots__ = ("happened",)

    def __init__(self) -> None:
        self.happened = False


class World:
    """Builtins and module facades for the tame programs of one child."""

    def __init__(self) -> None:
        self.escape = Escape()
        self._used: set[str] = set()  # modules that keep something between calls, and that were imported since they were last reset
        self._facades: dict[str, types.ModuleType] = {}
        self._builtins = {name: getattr(builtins, name) for name in BUILTINS.split()} | _exceptions
        self._builtins["type"] = self._type  # bound methods: no attribute of theirs can be set
        self._builtins["__build_class__"] = builtins.__build_class__
        self._builtins["__import__"] = self._importer()

    def namespace(self) -> dict[str, Any]:
        """Globals of a new program."""
        self.escape.happened = False
        while self._used:
            _RESETS[self._used.pop()]()
        return {"__name__": "program", "__builtins__": self._builtins.copy()}

    def _type(self, *arguments: Any, **options: Any) -> type:
        """The class of a value; no metaclass and no new class, which could have special methods."""
        if len(arguments) != 1 or options or issubclass(kind := _type(arguments[0]), _type):
            self.escape.happened = True
            raise TypeError("type")
        return kind

    def _deepcopy(self, value: Any, memo: Any = None) -> Any:
        """copy.deepcopy without a memo of the program's own, which would be handed a list that all callers share."""
        if memo is not None:
            self.escape.happened = True
            raise TypeError("memo")
        return _deepcopy(value)

    def _importer(self) -> Callable[..., types.ModuleType]:
        escape, facades, used = self.escape, self._facades, self._used

        def import_listed(
            name: str, global_names: Any = None, local_names: Any = None, wanted: Any = (), level: int = 0
        ) -> types.ModuleType:
            if name not in _members or level:
                escape.happened = True
                raise ImportError(name)
            if name in _RESETS:
                used.add(name)
            if name not in facades:
                facades[name] = self._facade(name)
            return facades[name]

        return import_listed

    def _facade(self, name: str) -> types.ModuleType:
        escape, real, facade = self.escape, importlib.import_module(name), types.ModuleType(name)

        def missing(attribute: str) -> Any:
            escape.happened = True
            raise AttributeError(attribute)

        for member in _members[name]:
            setattr(facade, member, self._deepcopy if member == "deepcopy" else getattr(real, member))
        facade.__doc__, facade.__spec__ = real.__doc__, real.__spec__
        facade.__getattr__ = missing  # type: ignore[method-assign]
        return facade
