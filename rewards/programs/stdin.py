"""Programs that read standard input and print, as functions of a text: a judge's process in a module of its own.

`as_function` gives a program whose `ENTRY` takes the input and returns what is printed; `NORMAL_ENTRY` returns the normal form of that
(`rewards.outcomes.printed`). Each call runs the code afresh as `__main__`, so that `global`, code behind the main guard and a reversed
guard mean what they mean in a file. Standard input and output are streams with a `buffer` and a descriptor: `sys.stdout.buffer`,
`open(0)`, `os.read(0, n)`, `os.write(1, b)` and `sys.stdin.fileno()` work, also through wrappers that are flushed at exit. So do
`sys.__stdin__`, `os.fstat(0).st_size`, `os._exit`, `import __main__` and `__file__`. Modules are shared by all calls, as in the public
harness: what a program changes in one of them stays. Texts only; the result runs in the sandbox, which makes it itself of a `Program` whose
entry is `STDIN` (`runnable`).
"""

from __future__ import annotations

import ast
import inspect
import sys

from rewards.outcomes import printed
from rewards.records import Program

ENTRY, NORMAL_ENTRY = "run_on_text", "behaviour_on_text"
COMPARING = inspect.getsource(printed)
EXITS = "from sys import exit\nquit = exit"  # what Python's `site` gives to every script
DRIVER = '''
import atexit as _atexit
import builtins as _builtins
import io as _io
import os as _os
import sys as _sys

_comparing = {}
exec(_COMPARING, _comparing)
_code = compile(_SOURCE, "<program>", "exec", dont_inherit=True)
_names = {"__name__": "__main__"}
exec(_IMPORTS, _names)


class _Stream(_io.BytesIO):
    """What lies behind one of the descriptors 0 and 1; closing it changes nothing."""

    def __init__(self, descriptor, data=b""):
        super().__init__(data)
        self.descriptor, self.name, self.mode = descriptor, descriptor, "rb" if descriptor == 0 else "wb"

    def fileno(self):
        return self.descriptor

    def close(self):
        pass


def _text_of(stream):
    newline = "\\n" if stream.descriptor else None
    text = _io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline=newline, write_through=True)
    text.mode = "w" if stream.descriptor else "r"
    return text


def run_on_text(text):
    given = _Stream(0, text.encode("utf-8", "surrogateescape"))
    printed = _Stream(1)
    by_name = {0: given, 1: printed, "/dev/stdin": given, "/dev/stdout": printed}
    real_open, real_read, real_write, real_fstat = _builtins.open, _os.read, _os.write, _os.fstat
    at_exit = []

    def open(file, mode="r", *arguments, **options):
        name = _os.fspath(file) if isinstance(file, _os.PathLike) else file
        stream = by_name.get(name) if isinstance(name, (int, str)) else None
        if stream is None:
            return real_open(file, mode, *arguments, **options)
        return stream if "b" in mode else _text_of(stream)

    def read(descriptor, length):
        return given.read(length) if descriptor == 0 else real_read(descriptor, length)

    def write(descriptor, data):
        return printed.write(data) if descriptor == 1 else real_write(descriptor, data)

    def fstat(descriptor):
        found = real_fstat(descriptor)
        return _os.stat_result((*found[:6], len(given.getbuffer()), *found[7:])) if descriptor == 0 else found

    def leave(status=0):
        raise SystemExit(status)

    def register(function, *arguments, **options):
        at_exit.append((function, arguments, options))
        return function

    standard_input, standard_output = _text_of(given), _text_of(printed)
    module = type(_sys)("__main__")
    module.__dict__.update(_names, __file__="main.py", open=open)
    replaced = [
        *((_sys, name, standard_input) for name in ("stdin", "__stdin__")),
        *((_sys, name, standard_output) for name in ("stdout", "__stdout__")),
        *((_builtins, "open", open), (_io, "open", open), (_os, "read", read), (_os, "write", write), (_os, "fstat", fstat)),
        *((_os, "_exit", leave), (_atexit, "register", register)),
    ]
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    main = _sys.modules.get("__main__")
    for owner, name, value in replaced:
        setattr(owner, name, value)
    _sys.modules["__main__"] = module
    try:
        try:
            exec(_code, module.__dict__)
        except SystemExit:
            pass
        if "threading" in _sys.modules:
            threading = _sys.modules["threading"]
            for thread in threading.enumerate():
                if thread is not threading.current_thread() and not thread.daemon:
                    thread.join()
        while at_exit:
            function, arguments, options = at_exit.pop()
            function(*arguments, **options)
        if hasattr(_sys.stdout, "flush"):
            _sys.stdout.flush()
    finally:
        for owner, name, value in kept:
            setattr(owner, name, value)
        _sys.modules.pop("__main__", None)
        if main is not None:
            _sys.modules["__main__"] = main
        if "fileinput" in _sys.modules:
            _sys.modules["fileinput"]._state = None
    return printed.getvalue().decode("utf-8", "replace")


def behaviour_on_text(text):
    return _comparing["normal_print"](run_on_text(text))
'''


def as_function(code: str, imports: str) -> str:
    """The program whose `ENTRY` runs the code on a text. imports: statements in front of the code, in its own names.

    Code that does not parse is given as it is: the sandbox says so. A `return` at module level ends the program.
    """
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
    source = _as_body(body) if any(map(_returns, body)) else code
    return f"_SOURCE = {source!r}\n_IMPORTS = {imports!r}\n_COMPARING = {COMPARING!r}\n{DRIVER}"


def runnable(program: Program) -> Program:
    """A program whose entry is `STDIN` as the sandbox runs it: a function of its input text.

    Its outcomes are what it prints, in normal form. No import is put in front of it; `exit` and `quit` are there, as in any script.
    """
    return Program(as_function(program.code, EXITS), NORMAL_ENTRY, tuple(f"[{text}]" for text in program.inputs))


def _returns(node: ast.AST) -> bool:
    """Whether a statement at module level holds a `return` that belongs to no function."""
    if isinstance(node, ast.Return):
        return True
    inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | ast.expr)
    return not inside and any(map(_returns, ast.iter_child_nodes(node)))


def _as_body(body: list[ast.stmt]) -> str:
    """The statements as the body of a function that is called; imports stay outside."""
    imports = [ast.unparse(s) for s in body if isinstance(s, ast.Import | ast.ImportFrom)]
    rest: list[ast.stmt] = [s for s in body if not isinstance(s, ast.Import | ast.ImportFrom)] or [ast.Pass()]
    empty = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    wrapped = ast.FunctionDef(name="wrapped_function", args=empty, body=rest, decorator_list=[], lineno=1, col_offset=0)
    if sys.version_info >= (3, 12):
        wrapped.type_params = []
    return "\n".join([*imports, ast.unparse(ast.fix_missing_locations(wrapped)), "wrapped_function()"])
