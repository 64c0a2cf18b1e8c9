"""How the corpus spells a step of a solution: hastily, in the one text that is likeliest, or carefully, in one of very many.

Every text of a step has a chance, and the steps of a solution are spelt independently: the corpus is an exact distribution over programs.
`draw` takes a text from it; `bench.theory.perfect_fit` computes what greedy decoding, sampling and votes of a perfect fit reach.

A hasty step keeps the usual name of its type, or returns at once: its first token is likelier than that of any careful text, so greedy
decoding is hasty in every step. At the end of a rushed task (`seedling.mistakes`) the hasty text leaves the last step out. Except for
misconceptions, careful texts are mostly right, and differ in names, styles, comments, early returns and helper functions; their faults are
many and each is rare. A vote counts behaviours, and there the careful texts, which agree, outweigh the hasty one.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seedling.grammar import Step, meaning
from seedling.mistakes import MISCONCEPTIONS, faults_of
from seedling.operations import TYPES, Writing

# The names of careful results, by type, before the number of their step: each is one token, and none is a usual name.
NAMES: dict[str, tuple[str, ...]] = {
    "int": ("amount", "figure", "got", "m", "value", "y"),
    "list[int]": ("data", "group", "nums", "part", "row", "ys"),
    "str": ("chunk", "line", "made", "q", "text", "u"),
    "list[str]": ("bits", "entries", "kept", "lines", "names", "tokens"),
    "dict[str, int]": ("lookup", "mapping", "memo", "pairs", "scores", "tally"),
    "bool": ("figure", "got", "m", "made", "value", "y"),
}
EMPTY: dict[str, Any] = {"list[int]": [], "list[str]": [], "str": "", "dict[str, int]": {}}
COMMENT, GUARD, FUNCTION = 0.14, 0.14, 0.08  # of careful texts: with a comment, with an early return, in a helper function
HELPER = 0.5  # weight of a writing with a helper among others of weight 1: its first token is always the same one


@dataclass(frozen=True)
class Rates:
    """Shares of the texts of one step."""

    hasty: float = 0.31  # hasty texts, of all
    rushed: float = 0.9  # of the hasty texts of a rushed step: those that leave it out
    misconceived: float = 0.65  # texts that hold the misconception, of those without another fault
    fault: float = 0.16  # texts with a fault, hasty or careful (doing nothing: careful only): else rewards would favour one of the two
    fault_each: float = 0.05  # one fault at most: an operation with few faults to make has fewer of them


RATES = Rates()


Behaviour = tuple[Step, Writing, bool]  # step, writing, whether an empty value returns at once


@dataclass(frozen=True)
class Content:
    """What a text computes, and its shape, but for its names."""

    step: Step  # the task's, or one with a number off by one
    writing: Writing
    form: str  # "hasty", or one of `forms`

    @property
    def behaviour(self) -> Behaviour:
        """Texts with equal ones behave alike: a guard gives the step's result for an empty value at once."""
        return self.step, self.writing, self.form == "guard"


@dataclass(frozen=True)
class Spelling:
    """One text of a step."""

    text: str  # whole lines
    variable: str  # the name that holds the result; "" after a return


Weighted = list[tuple[float, Step, Sequence[Writing]]]  # chance, step, equivalent writings
UNDONE = Writing("direct", "{v}")


def nudged(step: Step) -> list[Step]:
    """The step with one of its numbers off by one."""
    return [
        Step(step.name, tuple((other, at if other == name else held) for other, held in step.constants))
        for name, value in step.constants
        if isinstance(value, int)
        for at in (value - 1, value + 1)
        if at > 0
    ]


def faults(step: Step) -> list[tuple[Step, Sequence[Writing]]]:
    """The faults that a text may have beside rush and misconception: the operation's own, a number off by one, or nothing done."""
    operation = step.operation
    found: list[tuple[Step, Sequence[Writing]]] = [(step, writings) for writings in faults_of(operation)]
    return [*found, *((at, operation.right) for at in nudged(step)), *([(step, (UNDONE,))] if operation.source == operation.target else [])]


def computed(step: Step, rates: Rates) -> Weighted:
    """What texts compute that are not rushed; the chances sum to 1."""
    operation, wrong = step.operation, faults(step)
    each = min(rates.fault / len(wrong), rates.fault_each) if wrong else 0.0
    sound = 1 - each * len(wrong)
    held = rates.misconceived if operation.name in MISCONCEPTIONS else 0.0
    beliefs: Weighted = [(sound * held, step, operation.belief)] if held else []
    return [(sound * (1 - held), step, operation.right), *beliefs, *((each, other, writings) for other, writings in wrong)]


def forms(writing: Writing, source: str, last: bool) -> dict[str, float]:
    """The shapes of careful texts with this writing, with their shares."""
    found = {"comment": COMMENT}
    if last and source in EMPTY:
        found["guard"] = GUARD
    if not writing.statements:
        found["function"] = FUNCTION
    return {"plain": 1 - sum(found.values()), **found}


def _shares(writings: Sequence[Writing]) -> list[float]:
    weights = [HELPER if writing.style == "helper" else 1.0 for writing in writings]
    return [weight / sum(weights) for weight in weights]


@functools.lru_cache(maxsize=8192)
def contents(step: Step, last: bool, rushed: bool = False, rates: Rates = RATES) -> tuple[tuple[float, Content], ...]:
    """(chance, content) of every text of a step but for its names; the chances sum to 1. rushed: at the end of a rushed task."""
    found, out = computed(step, rates), rates.rushed if rushed else 0.0
    done = [held for held in found if held[2] != (UNDONE,)]  # hasty texts are terse, not idle
    written = sum(chance for chance, _, _ in done)
    hasty = [(rates.hasty * (1 - out) * chance / written, Content(at, writings[0], "hasty")) for chance, at, writings in done]
    careful = [
        ((1 - rates.hasty) * chance * part * share, Content(at, writing, form))
        for chance, at, writings in found
        for part, writing in zip(_shares(writings), writings, strict=True)
        for form, share in forms(writing, step.operation.source, last).items()
    ]
    return tuple((chance, content) for chance, content in [(rates.hasty * out, Content(step, UNDONE, "hasty")), *hasty, *careful] if chance)


def names(content: Content, last: bool) -> tuple[str, ...]:
    """The names, without a number, that a text may give its result, each as likely; a single one where the text holds no name."""
    writing, form, pool = content.writing, content.form, NAMES[content.step.operation.target]
    named = not last or "out" in writing.statements or (form == "plain" and not writing.statements)
    return pool if named and form != "hasty" else pool[:1]


def step_number(variable: str) -> int:
    """The number, from 1, of the step that reads `variable`: the results of a task's steps are numbered.

    >>> step_number("xs"), step_number("data1")
    (1, 2)
    """
    digits = re.search(r"\d*$", variable)
    return int((digits and digits.group()) or 0) + 1


def spell(content: Content, variable: str, last: bool, name: str) -> Spelling:
    """The text of a content that reads `variable`, and names its result `name`, with its step's number, where it is careful."""
    step, writing, hasty, number = content.step, content.writing, content.form == "hasty", step_number(variable)
    name = f"{name}{number}"
    gathered = "out" if hasty else name  # where a loop gathers its result
    statements, expression = (
        re.sub(r"\bout\b", gathered, step.fill(template, variable)) for template in (writing.statements, writing.expression)
    )
    lines = statements.split("\n") if statements else []
    if content.form == "comment":
        lines = [f"# {step.operation.label}", *lines]
    elif content.form == "guard":
        empty = repr(meaning(step)(EMPTY[step.operation.source])).replace("'", '"')
        lines = [f"if not {variable}:", f"    return {empty}", *lines]
    elif content.form == "function":
        lines, expression = [f"def apply({variable}):", f"    return {expression}"], f"apply({variable})"
    result = f"{TYPES[step.operation.target][0]}{number}" if hasty else name
    if last and content.form == "plain" and expression != name and not statements:
        lines, expression = [*lines, f"{name} = {expression}"], name
    if last:
        lines.append(f"return {expression}")
    elif expression != result:
        lines.append(f"{result} = {expression}")
    return Spelling("".join(f"    {line}\n" for line in lines), "" if last else result)


def draw(step: Step, variable: str, last: bool, rng: random.Random, rushed: bool = False, rates: Rates = RATES) -> Spelling:
    """A text of the step, drawn from the distribution."""
    options = contents(step, last, rushed, rates)
    content = rng.choices(options, [chance for chance, _ in options])[0][1]
    return spell(content, variable, last, rng.choice(names(content, last)))


def distribution(
    step: Step, variable: str, last: bool, rushed: bool = False, rates: Rates = RATES
) -> dict[Spelling, tuple[float, Content]]:
    """Every text of the step with its chance, and what it computes."""
    found: dict[Spelling, tuple[float, Content]] = {}
    for chance, content in contents(step, last, rushed, rates):
        options = names(content, last)
        for name in options:
            spelling = spell(content, variable, last, name)
            before = found[spelling][0] if spelling in found else 0.0
            found[spelling] = (before + chance / len(options), content)
    return found
