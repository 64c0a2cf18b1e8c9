"""`ucoder sandbox run FILE --entry NAME --inputs FILE.json`: one JSON line an input, for a person to debug with.

FILE: a Python file, or a model's answer that holds a program. It is read as the loop reads answers (`probing.reading`); where that changes
the program, a line on stderr says so.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from probing.reading import read_program
from probing.reading.definitions import binds
from rewards.records import Program
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.packages import PackagesError, make_offer
from rewards.sandbox.sandbox import Sandbox
from rewards.text import argument_text, shorten
from rewards.user_error import COMMAND_LINE, Options, UserError, bad_value
from rewards.user_files import read_inputs, read_text


def read_file(path: Path, entry: str) -> tuple[str, str | None]:
    """The program of a file, and what is worth saying about how it was read. A file in which no program is found is the program itself.

    Raises UserError for a file that cannot be read or is empty.
    """
    text = read_text(path, source=True)
    if not text.strip():
        raise UserError("the file is empty", str(path), "give a Python file, or a model's answer that holds a program")
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


def add_package_options(parser: argparse.ArgumentParser) -> None:
    """The options that offer packages to programs."""
    parser.add_argument("--packages", default="", metavar="NAMES", help="installed packages that programs may import, commas between them")
    parser.add_argument(
        "--environment", type=Path, metavar="DIR", help="virtual environment that runs programs and offers the packages (ucoder's own)"
    )


def package_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of `SandboxConfig` that those options ask for. Raises UserError where they cannot be had."""
    names = tuple(name.strip() for name in arguments.packages.split(",") if name.strip())
    try:
        make_offer(names, arguments.environment)
    except PackagesError as error:
        raise UserError(str(error), f"{COMMAND_LINE}, --packages", "install it there, or name another --environment") from None
    return {"packages": names, "environment": arguments.environment}


def check_entry(entry: str) -> None:
    """Raises UserError for what cannot be the name of a function."""
    if not entry.isidentifier():
        raise UserError(f"{entry!r} is no name of a function", f"{COMMAND_LINE}, --entry", "give the name without parentheses")


@contextmanager
def sandbox_errors() -> Iterator[None]:
    """Turns what the sandbox raises in the block, where it cannot work on this machine, into UserError."""
    try:
        yield
    except SandboxError as error:
        raise UserError(str(error), "the sandbox on this machine", "docs/security.md says what it needs") from None


def parser() -> Options:
    """The command's options."""
    top = Options(prog="ucoder sandbox", description="Run a program in the sandbox.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="run one function on several inputs and print one JSON line for each")
    run.add_argument("file", type=Path, metavar="FILE", help="a Python file, or a model's answer that holds a program")
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


def config_from(arguments: argparse.Namespace) -> SandboxConfig:
    """The sandbox that the options ask for. Raises UserError, naming the option."""
    seconds = arguments.seconds_per_input
    whole = arguments.seconds_per_program
    try:
        return SandboxConfig(
            workers=1,
            seconds_per_input=seconds,
            seconds_per_program=max(10.0, seconds) if whole is None else whole,
            memory_mb=arguments.memory_mb,
            isolation=arguments.isolation,
            check_determinism=arguments.check_determinism,
            fast_lane=not arguments.strict,
            unsafe=arguments.unsafe,
            **package_settings(arguments),
        )
    except ValidationError as error:
        options = {field: f"--{field.replace('_', '-')}" for field in SandboxConfig.model_fields}
        raise bad_value(error, "ucoder sandbox run", options) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Print one JSON line for each input; returns 0 when the program was run, whatever came of it. Raises UserError."""
    arguments = parser().parse_args(argv)
    check_entry(arguments.entry)
    config = config_from(arguments)
    code, said = read_file(arguments.file, arguments.entry)
    program = Program(code, arguments.entry, tuple(read_inputs(arguments.inputs)))
    with sandbox_errors(), Sandbox(config) as sandbox:
        [execution] = sandbox.run([program])
        print(sandbox.describe(), file=sys.stderr)
    if said is not None:
        print(said, file=sys.stderr)
    for text, outcome in zip(program.inputs, execution.outcomes, strict=True):
        print(json.dumps({"input": shorten(text, 200), "kind": outcome.kind.value, "outcome": outcome.payload}))
    return 0
