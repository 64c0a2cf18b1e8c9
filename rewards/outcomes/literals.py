"""What texts written by a model mean: inputs as literals, asserts as an input with an expected output. Nothing is executed."""

from __future__ import annotations

import ast
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from rewards.outcomes.claims import Claim
from rewards.outcomes.printed import normal_print
from rewards.outcomes.typed import Canonicaliser, TooLarge, Unserialisable
from rewards.records import Kind, Outcome


def canonical_outcome(value: object, canonical: Canonicaliser | None = None) -> Outcome:
    """A value of ours in the form in which the sandbox reports a program's.

    canonical: the sandbox's (`SandboxConfig.canonicaliser`); None: that of the default settings, here and below.
    """
    try:
        return Outcome(Kind.VALUE, (canonical or Canonicaliser()).text(value))
    except TooLarge as error:
        return Outcome(Kind.TOO_LARGE, str(error))
    except Unserialisable as error:
        return Outcome(Kind.UNSERIALISABLE, str(error))


def parse_input(text: str) -> str | None:
    """The text if it is a Python literal of a list of positional arguments, else None.

    >>> parse_input(" [1, [2]]"), parse_input("3"), parse_input("[x]")
    ('[1, [2]]', None, None)
    """
    try:
        arguments = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return text.strip() if isinstance(arguments, list) else None


def literal(value: object) -> str:
    """A Python literal of a value made of JSON's kinds and tuples, infinities included. Raises ValueError for NaN, which has none.

    >>> literal([1, (float("inf"),), {"a": None}])
    "[1, (1e999, ), {'a': None}]"
    """
    text = repr(value)
    if "inf" not in text and "nan" not in text:
        return text
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError("NaN has no literal")
        return repr(value) if math.isfinite(value) else "1e999" if value > 0 else "-1e999"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(literal(v) + ", " for v in value) + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    return text


def input_literal(value: object) -> str | None:
    """One input as a Python literal; None for what is no list of positional arguments.

    value: the list itself, or a text that holds it as a Python literal or as JSON.

    >>> input_literal([1, "a"]), input_literal("[None, (1, 2)]"), input_literal("[null, true]"), input_literal("x")
    ("[1, 'a']", '[None, (1, 2)]', '[None, True]', None)
    """
    try:
        if isinstance(value, list):
            return parse_input(literal(value))
        if not isinstance(value, str):
            return None
        if (found := parse_input(value)) is not None:
            return found
        read = json.loads(value)
        return parse_input(literal(read)) if isinstance(read, list) else None
    except (ValueError, RecursionError):
        return None


def input_literals(value: object) -> tuple[str, ...] | None:
    """All inputs of a problem as Python literals; None where any is no list of positional arguments, or where there is none.

    value: a list of what `input_literal` takes, or a text that holds that list as a Python literal or as JSON.

    >>> input_literals([[1], "[2]"]), input_literals("[[true], [false]]"), input_literals("[]")
    (('[1]', '[2]'), ('[True]', '[False]'), None)
    """
    if isinstance(value, str):
        text = input_literal(value)
        value = [] if text is None else ast.literal_eval(text)
    if not isinstance(value, list | tuple) or not value:
        return None
    literals = [input_literal(row) for row in value]
    known = tuple(text for text in literals if text is not None)
    return known if len(known) == len(literals) else None


def input_texts(value: object) -> tuple[str, ...] | None:
    """All inputs of a program that reads standard input, as Python literals; None where any is no text, or where there is none.

    value: a list of texts, each the whole of what standard input holds, or a text that holds that list as JSON or as a Python literal.

    >>> input_texts(["3\\n1 2 3\\n"]), input_texts('["7", ""]'), input_texts("7"), input_texts([7])
    (("'3\\\\n1 2 3\\\\n'",), ("'7'", "''"), None, None)
    """
    if isinstance(value, str):
        text = input_literal(value)
        value = [] if text is None else ast.literal_eval(text)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(text, str) for text in value):
        return None
    return tuple(repr(text) for text in value)


def argument_outcomes(inputs: Sequence[str], canonical: Canonicaliser | None = None) -> list[list[Outcome]]:
    """For each input (a Python literal: the list of positional arguments) what echoing would give: each argument, and for programs that
    work in place, all arguments left alone. For a program, whose input is a literal of a text: that text in normal form. An input that is
    no such literal has no arguments.

    >>> [o.payload for o in argument_outcomes(["[[3, 1]]"])[0]]
    ['[3, 1]', 'None; arguments left as [[3, 1]]']
    """
    canonical = canonical or Canonicaliser()
    rows: list[list[Outcome]] = []
    for text in inputs:
        try:
            arguments = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            arguments = None
        if not isinstance(arguments, list):
            rows.append([canonical_outcome(normal_print(arguments), canonical)] if isinstance(arguments, str) else [])
            continue
        row = [canonical_outcome(argument, canonical) for argument in arguments]
        left_alone = canonical_outcome(arguments, canonical)
        if left_alone.kind is Kind.VALUE:
            row.append(Outcome(Kind.VALUE, canonical.result(None, arguments)))
        rows.append(row)
    return rows


def parse_assert(text: str, entry: str | None, canonical: Canonicaliser | None = None) -> tuple[str, Claim] | None:
    """An assert about `entry` (None: whatever it calls) as (input literal, claim); None when it cannot be read unrun.

    Read are `assert f(args) == value`, `assert f(args) is value`, `assert f(args)`, `assert not f(args)`, with literal args and value.

    >>> parse_assert("assert f([1], 2) == 3", "f")
    ('[[1], 2]', Claim(kind=<Kind.VALUE: 'value'>, payload='3', relation='=='))
    """
    try:
        body = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        return None
    claim = call = body[0].test
    expected: ast.expr = ast.Constant(True)
    relation: Literal["==", "is", "bool"] = "bool"
    if isinstance(claim, ast.UnaryOp) and isinstance(claim.op, ast.Not):
        call, expected = claim.operand, ast.Constant(False)
    elif isinstance(claim, ast.Compare) and len(claim.ops) == 1 and isinstance(claim.ops[0], ast.Eq | ast.Is):
        call, expected, relation = claim.left, claim.comparators[0], "is" if isinstance(claim.ops[0], ast.Is) else "=="
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != (entry or call.func.id) or call.keywords:
        return None
    try:
        arguments = [ast.literal_eval(argument) for argument in call.args]
        outcome = canonical_outcome(ast.literal_eval(expected), canonical)
        given = parse_input(repr(arguments)) or parse_input(literal(arguments))  # infinity's repr is no literal
    except (ValueError, TypeError, MemoryError, RecursionError):
        return None
    return (given, Claim(outcome.kind, outcome.payload, relation)) if given is not None and outcome.kind is Kind.VALUE else None


def claimed_outputs(asserts: Sequence[str], inputs: Sequence[str], canonical: Canonicaliser | None = None) -> list[Outcome | None]:
    """For each input the output that most of the asserts about it claim, the first of equals; None where none does.

    >>> [o and o.payload for o in claimed_outputs(["assert f(1) == 2", "assert f(1) == 3", "assert f(1) == 3"], ["[1]", "[2]"])]
    ['3', None]
    """
    claims: defaultdict[str, Counter[Claim]] = defaultdict(Counter)
    for text in asserts:
        if (claim := parse_assert(text, None, canonical)) is not None:
            claims[claim[0]][claim[1]] += 1
    return [claims[text].most_common(1)[0][0] if text in claims else None for text in inputs]
