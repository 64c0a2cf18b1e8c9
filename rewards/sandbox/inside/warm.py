"""What a zygote does before it forks, so that a fork costs little: common modules imported, common pages touched, free blocks taken."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import pkgutil
import sys
from typing import Any

from rewards.sandbox.inside import child, wire

PRELOAD = """
abc array bisect cmath collections collections.abc contextlib copy dataclasses datetime decimal enum fractions functools hashlib heapq io
itertools json keyword math numbers operator os random re statistics string struct time types typing weakref
"""  # what many programs import: each module costs every fork the copying of its pages' entries
MORE = """
base64 calendar secrets textwrap threading traceback unicodedata uuid zlib
argparse codecs configparser csv difflib encodings.idna encodings.latin_1 fnmatch glob graphlib gzip ipaddress linecache locale logging
pathlib pickle platform queue resource sched select selectors shlex shutil socket stat subprocess tempfile timeit _strptime ast ctypes
"""
WARM_UPS = 5  # after eight calls a function's instructions are replaced by quicker ones: here, not in each child
FILL_MOST = 5000  # blocks of one size
WARM_UP = """
from typing import Any, Dict, List, Optional, Set, Tuple, Union
import re, math, collections
def typed(a: List[int], b: List[str], c: List[float], d: Dict[str, int], e: Optional[int], f: Optional[str], g: Tuple[int, int]) -> bool:
    assert len(a) == len(b), "typed"
def also(a: List[Any], b: Union[int, float, str], c: Set[int], d: Dict[str, List[int]], e: Optional[List[int]]) -> List[Tuple[int, str]]:
    return [(i, s) for i, s in enumerate(sorted(map(str, a), reverse=True)) if s.isdigit() and not s.startswith("0")]
class Box:
    def __init__(self, items): self.items = list(items)
    def total(self): return sum(self.items)
def entry(xs, k=2):
    seen, out = {}, []
    for i, x in enumerate(xs):
        try:
            seen[x] = seen.get(x, 0) + int(f"{i}") / k
            out.append(sorted(seen.items(), key=lambda p: (-p[1], p[0]))[0])
        except ZeroDivisionError as error:
            raise ValueError(str(error))
    try:
        typed([1], [], [], {}, None, None, (1, 2))
    except AssertionError:
        also(xs, 1, set(xs), {}, None)
    text = ",".join(str(x) for x in xs).upper().split(",")
    return [re.sub(r"\\d+", "n", t) for t in text], {k: v for k, v in seen.items()}, Box(xs).total(), math.sqrt(4), collections.Counter(xs)
"""


def preload(more: bool) -> None:
    """Import what many programs import. more: also what they import rarely, where the library cannot be reached from inside."""
    for name in (PRELOAD + MORE if more else PRELOAD).split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def remember_library() -> None:
    """List the folders of the search path once and for all: a program may not list the library's, which would name the packages beside."""
    for folder in sys.path:
        finder: Any = pkgutil.get_importer(folder)
        if isinstance(finder, importlib.machinery.FileFinder):
            finder.find_spec("this")  # so that it lists its folder
            finder._fill_cache = _keep  # type: ignore[attr-defined]


def _keep() -> None:
    """In the place of what would list a folder anew."""


def touch_common_pages() -> None:
    """Touch what every program touches, so that children share those pages instead of copying them."""
    settings = {"offered": (), "digits": 10, "whole_floats": True, "output_bytes": 1 << 16, "digest_over": 1000, "memory_bytes": 1 << 20}
    request = {
        "key": bytes(wire.KEY_BYTES),
        "ballast": 0,
        "programs": [(WARM_UP, "entry", 0, None)] * 2,
        "suites": [["[[1, 2, 3, 2], 3]", "[[1.5, 'a'], 0]"]],
    }
    streams = sys.stdin, sys.stdout, sys.stderr
    for strict in (True, False) * WARM_UPS:
        child.Runner(settings).run(request, memoryview(bytearray(1 << 16)), memoryview(bytearray(8)).cast("I"), strict)
    sys.stdin, sys.stdout, sys.stderr = streams


def fill_pools() -> list[bytes]:
    """Blocks that take up what is free among live objects, to be kept forever: new objects of children then share few fresh pages.

    Python's allocator hands out blocks of each size, a multiple of 16 bytes up to 512, from pools of a page; a fresh pool begins with its
    header of 48 bytes.
    """
    kept: list[bytes] = []
    for size in range(48, 513, 16):
        last = 0
        for _ in range(FILL_MOST):
            kept.append(bytes(size - sys.getsizeof(b"")))
            address = id(kept[-1])
            if last % 4096 == 48 and address - last == size:
                break
            last = address
    return kept
