"""The statement of a problem as a person writes it: a text, where it shows one the function's signature, and its examples.

    Return the largest even number of a list, or None where there is none.

        def largest_even(xs: list[int]) -> int | None:

    largest_even([3, 8, 2]) == 8

With `--io stdin` the solution is a program, and examples are the statement's samples of input and output (`probing.parsing.stdin_texts`).

Read as examples are asserts, doctests, and calls with literal arguments that are followed by a value (`f(1) == 2`, `f(1) -> 2`,
`f(1)  # 2`). Nothing is executed.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probing import records
from probing.parsing.calls import LiteralCall, call_in, finite, value_after
from probing.parsing.proposals import Unreadable, declared, header_line, header_of, parse_signature, read_signature
from probing.parsing.stdin_texts import stdin_examples_in
from probing.parsing.typed_values import annotation_of
from rewards import user_files
from rewards.outcomes.literals import parse_assert
from rewards.outcomes.printed import normal_print
from rewards.text import read_fault
from rl.console import UserError
from rl.grading.values import decode

STDIN = "-"
GIVE = "give a UTF-8 text file, or - for standard input"
_CALLED = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*\(")
_BEFORE = re.compile(r"(?:(.*)[:,.])?[^\w()\[\]{}]*(?:print\()?")  # what may stand before a call whose value follows it
_LONGEST = 4_000  # characters of a line in which `call_in` looks
_NOT_ENTRIES = {*dir(builtins), *keyword.kwlist}


@dataclass(frozen=True)
class Example:
    """A call that a statement shows.

    >>> examples_in("assert f([1]) == 2", "f")
    (Example(input='[[1]]', value=2, known=True),)
    """

    input: str  # Python literal: the list of positional arguments, or a program's input text
    value: Any = None  # what the call returns, by the statement; what a program prints, in normal form
    known: bool = False  # whether the statement says it


@dataclass(frozen=True)
class Parameters:
    """What a header says of the arguments that a call of the function takes."""

    names: tuple[str, ...] = ()  # without the `self` of a method
    defaults: Mapping[str, Any] = field(default_factory=dict)  # the literal ones, by name

    @classmethod
    def of(cls, header: str) -> Parameters | None:
        """Those of a header; None where it cannot be read or takes any number of arguments."""
        function = declared(header)
        if function is None:
            return None
        names = [parameter.arg for parameter in function.args.args]
        defaults = {}
        for name, default in zip(reversed(names), reversed(function.args.defaults), strict=False):
            try:
                value = ast.literal_eval(default)
            except (ValueError, TypeError, RecursionError, MemoryError):
                continue
            if finite(value):
                defaults[name] = value
        return cls(tuple(names[1:] if names[:1] == ["self"] else names), defaults)

    def filled(self, arguments: list[Any]) -> list[Any]:
        """The arguments of a call, with the defaults of those that it leaves out, since inputs give all; as they are where one has none."""
        left_out = self.names[len(arguments) :]
        return arguments + [self.defaults[name] for name in left_out] if all(name in self.defaults for name in left_out) else arguments


@dataclass(frozen=True)
class Statement:
    """What a person wrote. `signature` is None where neither the option nor the text gives one."""

    text: str
    entry: str  # function to write; "" where nothing names it; probing.records.STDIN for a program
    signature: str | None  # one line, every argument with its type; "" for a program
    source: str | None  # where the signature is from: "--signature" or "the statement"; None without one
    examples: tuple[Example, ...] = ()
    argument: str = ""  # name of the first parameter, where a signature without types gives it: the model's begins with it
    n_arguments: int | None = None  # how many parameters that signature has; None without one

    @property
    def reads_stdin(self) -> bool:
        """Whether the solution is a program that reads standard input."""
        return self.entry == records.STDIN

    @property
    def shown_arguments(self) -> list[list[Any]]:
        """The arguments of the examples' calls that have as many as the signature without types, where there is one."""
        calls = [ast.literal_eval(example.input) for example in self.examples]
        return [call for call in calls if self.n_arguments in (None, len(call))]


def read_text(name: str) -> str:
    """The text of a file, or of standard input for `-`. Raises UserError when it cannot be read or is empty."""
    where = "standard input" if name == STDIN else name
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig") if name == STDIN else user_files.read_text(Path(name), remedy=GIVE)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the statement cannot be read: {read_fault(error)}", where, GIVE) from None
    if not text.strip():
        raise UserError("the statement is empty", where, "write what the function has to do")
    return text.strip()


def read_statement(text: str, signature: str | None = None) -> Statement:
    """Signature and examples of a statement. signature: the option's, which counts before the text's. Raises UserError."""
    if signature is not None:
        function = parse_signature(signature) or _read(signature, text)
        if function is None:
            said = f"this is no signature with typed arguments: {signature}"
            raise UserError(said, "--signature", "write 'def f(xs: list[int], k: int) -> int:', with types that have literals")
        source = "--signature"
    elif header_of(text) is not None:
        function, source = _read(text, text), "the statement"
    else:
        function, source = None, None
    header = header_of(text if signature is None else signature)
    parameters = Parameters.of(header) if header is not None else None
    if function is not None:
        return Statement(text, function.name, header_line(function), source, examples_in(text, function.name, parameters))
    named = re.search(r"def\s+(\w+)", header) if header is not None else None
    entry = named[1] if named is not None else entry_in(text)
    examples = examples_in(text, entry, parameters) if entry else ()
    if parameters is None:
        return Statement(text, entry, None, None, examples)
    return Statement(text, entry, None, None, examples, "".join(parameters.names[:1]), len(parameters.names))


def read_program_statement(text: str) -> Statement:
    """The statement of a program, with its samples as examples."""
    shown = (
        Example(repr(sample.input), None if sample.output is None else normal_print(sample.output), sample.output is not None)
        for sample in stdin_examples_in(text, statement=True)
    )
    return Statement(text, records.STDIN, "", "--io stdin", tuple(shown))


def _read(text: str, examples: str) -> ast.FunctionDef | None:
    try:
        return read_signature(text, examples)
    except Unreadable:
        return None


def entry_in(text: str) -> str:
    """The first function that a text calls with literal arguments and that Python does not have; "" where there is none.

    >>> entry_in("assert set(shared([1], [1])) == {1}"), entry_in("Print it with print(1).")
    ('shared', '')
    """
    for line in text.split("\n"):
        for name in dict.fromkeys(_CALLED.findall(line)):
            if name not in _NOT_ENTRIES and call_in(line, name) is not None:
                return str(name)
    return ""


def signature_of_examples(statement: Statement) -> str | None:
    """A signature with the types of the first of the shown calls' arguments; None without one, or without arguments."""
    given = next(iter(statement.shown_arguments), [])
    arguments = ", ".join(f"x{i}: {ast.unparse(annotation_of(value))}" for i, value in enumerate(given, 1))
    return f"def {statement.entry}({arguments}):" if given else None


def examples_in(text: str, entry: str, parameters: Parameters | None = None) -> tuple[Example, ...]:
    """The examples of a text, each input once: the first value that is said of it counts. parameters: of the function, for keywords and for
    arguments that a call leaves out.
    """
    found: dict[str, Example] = {}
    for example in _calls(text.split("\n"), entry, parameters or Parameters()):
        if example.known or example.input not in found:
            earlier = found.get(example.input)
            found[example.input] = example if earlier is None or not earlier.known else earlier
    return tuple(found.values())


def _calls(lines: list[str], entry: str, parameters: Parameters) -> Iterator[Example]:
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        call = call_in(line, entry, parameters.names)
        if call is None or not finite(call.arguments):
            continue
        text, before = repr(parameters.filled(call.arguments)), _before(line, call, entry, parameters.names)
        if before.endswith("def "):  # a header's `f()` or `f(k=2)` is no call
            continue
        if (place := line.find("assert ")) >= 0:
            claim = parse_assert(line[place:], entry)
            try:
                said = None if claim is None else parameters.filled(ast.literal_eval(claim[0]))
                yield Example(text) if claim is None else Example(repr(said), decode(claim[1].payload), True)
            except ValueError:  # a number that is not finite, or a value of which only the digest is known
                yield Example(text)
        elif not _leads_to_call(before):
            yield Example(text)
        elif ">>>" in before and not call.rest.strip():
            try:
                yield Example(text, ast.literal_eval(following.strip()), True)
            except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
                yield Example(text)
        else:
            value = value_after(call.rest)
            yield Example(text) if value is None else Example(text, value, True)


def _before(line: str, call: LiteralCall, entry: str, names: Sequence[str]) -> str:
    """What stands before the call that `call_in` finds in a line."""
    line = line[:_LONGEST].removesuffix(call.rest)
    starts = [start.start() for start in re.finditer(rf"(?<![\w.]){re.escape(entry)}\s*\(", line)]
    # from the end of the call: the name may stand in words before it, and in a text that is an argument, which ends no call
    ends = (line[:start] for start in reversed(starts) if (found := call_in(line[start:], entry, names)) and not found.rest)
    return next(ends, line)  # no call is found alone: the whole line leads to none


def _leads_to_call(before: str) -> bool:
    """Whether a value that follows the call is the call's own: not of an expression around it, nor of words that may deny it."""
    found = _BEFORE.fullmatch(before)
    return found is not None and (found[1] is None or found[1].count("(") <= found[1].count(")"))
