"""Inside the child: run the programs of one unit and write their outcomes as frames.

Standard library only, imported by the zygote before it forks. Every name it needs later is bound at import: a program that patches
builtins, marshal, json or time changes nothing here. A hostile program in its own child could still forge frames about itself, and gains
nothing: no expected output is here, so a forged value is only another way to return it.
"""

from __future__ import annotations

import ast
import io
import json
import marshal
import os
import sys
import time
import types
from collections.abc import Callable, Iterable
from typing import Any

from rewards.outcomes.typed import MEMORY_ERRORS, Canonicaliser, TooLarge, Unserialisable
from rewards.sandbox.inside import clock, confine, tame, wire

LONGEST_NAME = 100  # characters of an exception's or a module's name
FLUSH_SECONDS = 0.002  # finished outcomes wait at most so long for their frame

_loads, _dumps, _exit, _clock, _type = marshal.loads, marshal.dumps, os._exit, time.perf_counter, type
_compile, _exec, _eval_literal, _parse_json, _str = compile, exec, ast.literal_eval, json.loads, str
_class_name = vars(type)["__name__"].__get__  # a metaclass cannot lie to the descriptor
_missing_module = vars(ImportError)["name"].__get__
_untrace, _standard = sys.settrace, frozenset(sys.stdlib_module_names)
_LANE_DEPENDENT = frozenset({NameError, MemoryError})
_start_chance, _has_room = clock.chance.start, confine.has_room


class OutputLimit(BaseException):
    """The program printed more than it may."""


class Sink(io.TextIOBase):
    """Counts and drops what the program prints; raises past the limit, and remembers that it did."""

    def __init__(self, limit: int) -> None:
        self.limit, self.count = limit, 0
        self.buffer = ByteSink(self)

    def take(self, amount: int) -> int:
        self.count += amount
        if self.count > self.limit:
            raise OutputLimit
        return amount

    def write(self, text: str) -> int:
        return self.take(len(text))

    def writable(self) -> bool:
        return True


class ByteSink(io.RawIOBase):
    """The binary face of a Sink."""

    def __init__(self, sink: Sink) -> None:
        self._take = sink.take

    def write(self, data: Any) -> int:
        return self._take(len(data))

    def writable(self) -> bool:
        return True


def parse_arguments(text: str) -> bytes | None:
    """Marshalled argument list of one input text, or None when it is no literal list. Plain JSON texts take the fast C parser."""
    try:
        if "\\" in text or "'" in text or "(" in text or "e" in text or "u" in text or "N" in text:
            arguments = _eval_literal(text)
        else:  # no escapes and no true, false, null, NaN: JSON and Python read the rest alike
            try:
                arguments = _parse_json(text)
            except ValueError:
                arguments = _eval_literal(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return _dumps(list(arguments)) if _type(arguments) in (list, tuple) else None


def refuse(reason: str) -> str:
    return wire.REFUSED + reason


def is_one_of(kind: type, kinds: Iterable[type]) -> bool:
    """Told by identity: the metaclass of an exception may be the program's."""
    return any(kind is one for one in kinds)


def failure(error: BaseException, offered: frozenset[str]) -> str:
    """Outcome text of an exception that left a call. offered: top-level names of the packages that programs may import."""
    kind = _type(error)
    if kind is ModuleNotFoundError and (name := _missing_module(error)) and _type(name) is _str:
        top = name.partition(".")[0]
        if top.isidentifier() and len(top) <= LONGEST_NAME and top not in _standard and top not in offered:
            return wire.NOT_OFFERED + top
    if is_one_of(kind, MEMORY_ERRORS):
        return wire.MEMORY
    if kind is TooLarge:
        return wire.TOO_LARGE + _str(error)
    if kind is Unserialisable:
        return wire.UNSERIALISABLE + _str(error)
    if kind is OutputLimit:
        return wire.TOO_LARGE + "printed output"
    return wire.EXCEPTION + _class_name(kind)[:LONGEST_NAME].replace("\n", " ")


class Runner:
    """Runs the programs of one unit, one after the other. Made in the zygote, for all its children; each gets one unit.

    settings: the zygote's limits.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.canonical = Canonicaliser(settings["digits"], settings["output_bytes"], settings["digest_over"], settings["whole_floats"])
        self.sink = Sink(settings["output_bytes"])
        self.stdin = io.StringIO("")
        self.memory_bytes = settings["memory_bytes"]
        self.offered = frozenset(settings["offered"])
        self.tame_world = tame.World()
        self.suites: dict[int, list[bytes | None]] = {}

    def run(self, request: dict[str, Any], area: memoryview, progress: memoryview, strict: bool) -> None:
        """Run a unit. request: unmarshalled; area: result frames; progress: two u32 words."""
        self.request, self.progress = request, progress
        self.world = None if strict else self.tame_world
        self.frames = wire.FrameWriter(area, request["key"])
        self.ballast = [[object(), 0.5 + n, *map(bytes, range(0, 512, 16))] for n in range(request["ballast"])]  # shifts all addresses
        sys.stdout = sys.stderr = self.sink
        sys.stdin = self.stdin
        self.run_all()

    def arguments(self, suite: int) -> list[bytes | None]:
        """Inputs of a suite, parsed once, before any program that uses it."""
        if suite not in self.suites:
            self.suites[suite] = [parse_arguments(text) for text in self.request["suites"][suite]]
        return self.suites[suite]

    def run_all(self) -> None:
        """Run each program with its frames; ends the process when the result area is full."""
        for index, (code, entry, suite, todo) in enumerate(self.request["programs"]):
            started = _clock()
            self.progress[1] = wire.LOADING
            self.progress[0] = index
            blobs = self.arguments(suite)
            self.sink.count = 0
            function, verdict = self.load(code, entry)
            if function is not None:
                self.call_all(index, function, blobs, range(len(blobs)) if todo is None else todo)
            if self.world is not None and self.world.escape.happened:
                self.write(wire.STRICT, index, b"")
            elif function is None:
                self.write(wire.WHOLE, index, verdict.encode("utf-8", "backslashreplace"))
            else:
                self.write(wire.DONE, index, wire.SECONDS.pack(_clock() - started))
            self.namespace.clear()
            if self.world is not None and not _has_room(self.memory_bytes):
                _exit(wire.EXIT_FULL)  # this program left too little for the next one

    def write(self, kind: int, index: int, payload: bytes) -> None:
        if not self.frames.write(kind, index, payload):
            _exit(wire.EXIT_FULL)

    def load(self, code: str, entry: str) -> tuple[Callable[..., Any] | None, str]:
        """The entry function, or None and the outcome that stands for every input."""
        self.namespace = self.fresh_namespace()
        try:
            compiled = _compile(code, "<program>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
            self.failed(error)
            return None, refuse("does not compile: " + _class_name(_type(error)))
        if self.world is not None and not tame.is_tame(compiled):
            self.world.escape.happened = True
            return None, ""
        try:
            _exec(compiled, self.namespace)
            _untrace(None)
        except BaseException as error:  # whatever the program raises is its outcome
            return None, self.failed(error)
        function = self.namespace.get(entry)
        if function is None:
            return None, refuse("has no function of that name")
        if not callable(function):
            return None, refuse("the entry is not callable")
        return function, ""

    def fresh_namespace(self) -> dict[str, Any]:
        """Globals of the next program: a module of its own in the strict lane, the tame world in the fast one."""
        _start_chance()
        if self.world is not None:
            return self.world.namespace()
        module = types.ModuleType("program")
        sys.modules["program"] = module
        module.__dict__["__builtins__"] = __builtins__
        return module.__dict__

    def failed(self, error: BaseException) -> str:
        """Outcome text of an exception. What may come of sharing a child is not judged in one: names that are missing there, and memory."""
        if self.world is not None and is_one_of(_type(error), _LANE_DEPENDENT):
            self.world.escape.happened = True
        return failure(error, self.offered)

    def call_all(self, index: int, function: Callable[..., Any], blobs: list[bytes | None], todo: Any) -> None:
        """Call on each input and write the outcomes."""
        progress, call, finished = self.progress, self.call, []
        first, flushed = 0, _clock()
        for position, which in enumerate(todo):
            progress[1] = which
            finished.append(call(function, blobs[which]))
            now = _clock()
            if now - flushed > FLUSH_SECONDS:
                self.flush(index, first, finished)
                first, flushed, finished = position + 1, now, []
        if finished:
            self.flush(index, first, finished)

    def flush(self, index: int, first: int, finished: list[str]) -> None:
        self.write(wire.RESULTS, index, wire.FIRST.pack(first) + "\n".join(finished).encode("utf-8", "backslashreplace"))

    def call(self, function: Callable[..., Any], blob: bytes | None) -> str:
        """Outcome text of one call."""
        if blob is None:
            return refuse("the input is not a literal list of arguments")
        sink = self.sink
        sink.count = 0
        try:
            arguments = _loads(blob)
            value = function(*arguments)
            _untrace(None)
            text = wire.VALUE + self.canonical.result(value, arguments)
        except BaseException as error:  # whatever the program raises is its outcome
            _untrace(None)
            text = self.failed(error)
        return wire.TOO_LARGE + "printed output" if sink.count > sink.limit else text
