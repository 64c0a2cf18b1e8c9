"""`ucoder sandbox run FILE --entry NAME --inputs FILE.json`: one JSON line an input, for a person to debug with.

FILE: a Python file, or a model's answer that holds a program. It is read as the loop reads answers (`probing.reading`); where that changes
the program, a line on stderr says so.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import sys
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from probing.reading import read_program
from probing.reading.definitions import binds
from rewards.outcomes.literals import literal
from rewards.records import Program
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.packages import make_offer
from rewards.sandbox.pool import Sandbox
from rewards.text import argument_text, shorten


def read_text(path: Path, source: bool = False) -> str:
    """A text file without its byte order mark, or ValueError with a sentence for the user.

    source: it is read as Python reads its files, in the encoding that its first lines name.
    """
    encoding = "utf-8"
    try:
        data = path.read_bytes()
        if source:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0].removesuffix("-sig")
        return data.decode(encoding).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not {encoding.upper()} (byte {error.start})") from error
    except SyntaxError as error:  # what the first lines name is no encoding, or not theirs
        raise ValueError(f"{path} is not UTF-8, and names no other encoding that it is in: {error.msg}") from error


def read_file(path: Path, entry: str) -> tuple[str, str | None]:
    """The program of a file, and what is worth saying about how it was read. A file in which no program is found is the program itself."""
    text = read_text(path, source=True).removeprefix("\ufeff")
    code = read_program(text, entry)
    if code is None:
        return text, None
    if (there := other_definitions(code, entry)) is not None:
        return code, there
    if code.strip() == text.strip():
        return text, None
    if (adopted := f"\ndef {entry}(*args, **kwargs):") in code and adopted not in text:
        return code, f"{entry} is a method of a class: a function of that name makes an object and calls it"
    return code, f"running what {entry} needs of {path.name}; the rest of its module level is left out"


def other_definitions(code: str, entry: str) -> str | None:
    """What a module defines, where nothing of it has the entry's name; None where something has, or where nothing is defined.

    >>> other_definitions("class Solution:\\n    def strip(self): ...\\n", "strip_zeros")
    'strip_zeros is not defined; defined are: class Solution with strip'
    """
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if any(binds(statement, entry) for statement in body):
        return None
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [s.name for s in body if isinstance(s, functions)]
    for owner in (s for s in body if isinstance(s, ast.ClassDef)):
        methods = [m.name for m in owner.body if isinstance(m, functions)]
        needs = " (which cannot be made without arguments)" if entry in methods else ""
        found.append(f"class {owner.name}{needs} with {', '.join(methods)}" if methods else f"class {owner.name}")
    return f"{entry} is not defined; defined are: {', '.join(found)}" if found else None


def read_inputs(path: Path) -> tuple[str, ...]:
    """Inputs as Python literals: the file is a JSON list of argument lists, or of strings that hold such literals."""
    text = read_text(path)
    try:
        items = json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{path} holds an integer of more digits than Python reads") from error
    if not isinstance(items, list) or not all(isinstance(item, list | str) for item in items):
        raise ValueError(f"{path} must hold a JSON list of argument lists, for example [[[1, 2], 3], [[], 0]]")
    if not items:
        raise ValueError(f"{path} holds no inputs")
    try:
        return tuple(item if isinstance(item, str) else literal(item) for item in items)
    except ValueError as error:
        raise ValueError(f"{path}: {error}, so that no program can be called with it") from error


def add_package_options(parser: argparse.ArgumentParser) -> None:
    """The options that offer packages to programs."""
    parser.add_argument("--packages", default="", metavar="NAMES", help="installed packages that programs may import, commas between them")
    parser.add_argument(
        "--environment", type=Path, metavar="DIR", help="virtual environment that runs programs and offers the packages (ucoder's own)"
    )


def package_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of `SandboxConfig` that those options ask for. Raises PackagesError (a ValueError) where they cannot be had."""
    names = tuple(name.strip() for name in arguments.packages.split(",") if name.strip())
    make_offer(names, arguments.environment)
    return {"packages": names, "environment": arguments.environment}


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(prog="ucoder sandbox", description="Run a program in the sandbox.")
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one function on several inputs and print one JSON line for each")
    run.add_argument("file", type=Path, help="Python source file")
    run.add_argument("--entry", type=argument_text, required=True, help="name of the function to call")
    run.add_argument("--inputs", type=Path, required=True, help="JSON file: a list of argument lists")
    run.add_argument(
        "--isolation", choices=("auto", "bwrap", "nobwrap"), default="auto", help="bubblewrap where it works, always, or never"
    )
    run.add_argument("--seconds-per-input", type=float, default=1.0, help="limit for one call")
    run.add_argument("--seconds-per-program", type=float, help="limit for all calls (ten seconds, or that for one call)")
    run.add_argument("--memory-mb", type=int, default=512, help="address space for the program")
    add_package_options(run)
    run.add_argument("--check-determinism", action="store_true", help="run again under a second hash seed and compare")
    run.add_argument("--strict", action="store_true", help="close the fast lane")
    run.add_argument("--unsafe", action="store_true", help="run even where neither namespaces nor seccomp work")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 when the program was run (whatever came of it), 2 for bad input, 1 when the sandbox cannot work here."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    try:
        code, said = read_file(arguments.file, arguments.entry)
        program = Program(code, arguments.entry, read_inputs(arguments.inputs))
        config = SandboxConfig(
            workers=1,
            seconds_per_input=arguments.seconds_per_input,
            seconds_per_program=arguments.seconds_per_program or max(10.0, arguments.seconds_per_input),
            memory_mb=arguments.memory_mb,
            isolation=arguments.isolation,
            check_determinism=arguments.check_determinism,
            fast_lane=not arguments.strict,
            unsafe=arguments.unsafe,
            **package_settings(arguments),
        )
        if not arguments.entry.isidentifier():
            raise ValueError(f"--entry {arguments.entry!r} is not the name of a function")
    except ValidationError as error:
        print("ucoder sandbox: " + "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()), file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"ucoder sandbox: {error}", file=sys.stderr)
        return 2
    try:
        with Sandbox(config) as sandbox:
            print(sandbox.describe(), file=sys.stderr)
            if said is not None:
                print(said, file=sys.stderr)
            [execution] = sandbox.run([program])
    except ValueError as error:
        print(f"ucoder sandbox: {error}", file=sys.stderr)
        return 2
    except SandboxError as error:
        print(f"ucoder sandbox: {error}", file=sys.stderr)
        return 2 if arguments.isolation == "bwrap" else 1
    for text, outcome in zip(program.inputs, execution.outcomes, strict=True):
        print(json.dumps({"input": shorten(text, 200), "kind": outcome.kind.value, "outcome": outcome.payload}))
    return 0
