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
import importlib
import opcode
import random
import types
from collections.abc import Callable
from typing import Any

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
SPECIAL = frozenset({"__init__", "__name__", "__module__", "__qualname__", "__future__", "__annotations__", "__doc__"})
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
_NEVER = frozenset({"format", "format_map", "mro", "fget", "fset", "fdel", "getter", "setter", "deleter", "modules"})
_ALLOWED_SUFFIX = ("send", "throw", "close")  # a generator's own, harmless methods
_REFUSED_INSTRUCTIONS = ("MATCH_CLASS", "IMPORT_STAR", "BEFORE_ASYNC_WITH", "GET_AITER", "GET_AWAITABLE")
_STAR_INTRINSIC = 2  # argument of CALL_INTRINSIC_1 that stands for `import *` from Python 3.12 on
_ASYNC_FLAGS = 0x80 | 0x200  # CO_COROUTINE, CO_ASYNC_GENERATOR

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
    return frozenset(safe), frozenset(machinery - safe)


SAFE_NAMES, MACHINERY_NAMES = _known_names()
_opcodes = opcode.opmap
_REFUSED = frozenset(_opcodes[name] for name in _REFUSED_INSTRUCTIONS if name in _opcodes)
_STORES = frozenset({_opcodes["STORE_ATTR"], _opcodes["DELETE_ATTR"]})
_IMPORT, _INTRINSIC = _opcodes["IMPORT_NAME"], _opcodes.get("CALL_INTRINSIC_1")
_safe, _machinery, _type = SAFE_NAMES, MACHINERY_NAMES, type


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
        instructions |= found
        pending += [const for const in item.co_consts if _type(const) is _CodeType]
    unknown = names - _safe
    if unknown & _machinery or instructions & _REFUSED:
        return False
    imports = _IMPORT in instructions
    if imports and instructions & _STORES:
        return False  # an attribute of something shared might be set
    return not any(name.startswith("__") or (imports and name.startswith("_") and name != "_") for name in unknown)


class Escape:
    """Remembers that a tame program reached for something outside its world."""

    __slots__ = ("happened",)

    def __init__(self) -> None:
        self.happened = False


class World:
    """Builtins and module facades for the tame programs of one child."""

    def __init__(self) -> None:
        self.escape = Escape()
        self.uses_random = False
        self._facades: dict[str, types.ModuleType] = {}
        self._builtins = {name: getattr(builtins, name) for name in BUILTINS.split()} | _exceptions
        self._builtins["compile"] = self._escaping("compile")  # `re.compile` has the same name, so the check lets it pass
        self._builtins["__build_class__"] = builtins.__build_class__
        self._builtins["__import__"] = self._importer()

    def namespace(self) -> dict[str, Any]:
        """Globals of a new program."""
        self.escape.happened = False
        if self.uses_random:
            random.seed(0)
            self.uses_random = False
        return {"__name__": "program", "__builtins__": self._builtins.copy()}

    def _escaping(self, name: str) -> Callable[..., Any]:
        escape = self.escape

        def unlisted(*arguments: Any, **options: Any) -> Any:
            escape.happened = True
            raise NameError(name)

        return unlisted

    def _importer(self) -> Callable[..., types.ModuleType]:
        escape, facades = self.escape, self._facades

        def import_listed(
            name: str, global_names: Any = None, local_names: Any = None, wanted: Any = (), level: int = 0
        ) -> types.ModuleType:
            if name not in _members or level:
                escape.happened = True
                raise ImportError(name)
            if name == "random":
                self.uses_random = True
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
            setattr(facade, member, getattr(real, member))
        facade.__getattr__ = missing  # type: ignore[method-assign]
        return facade
