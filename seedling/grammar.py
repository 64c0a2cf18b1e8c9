"""Compositional grammar of Python tasks: a task is a typed chain of one to four operations.

A task has a meaning (`apply`), many statements (`state`), a title, a signature and a reference solution; a statement can
be parsed back to its task (`parse`), so that a reference exists even for problems that a model invents. What this is
not: a benchmark (`seedling.bench` builds that) or a writer of training text (`seedling.corpus`).

    python -m seedling.grammar --count 150000     # how many behaviourally distinct tasks does a sample hold?
"""

from __future__ import annotations

import argparse
import ast
import builtins
import functools
import itertools
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seedling.inputs import probe_inputs
from seedling.operations import BY_NAME, OPERATIONS, TYPES, Operation, Writing

LENGTH_WEIGHTS = (0.22, 0.45, 0.27, 0.06)  # chance of a chain of 1, 2, 3, 4 operations
COMMON = 3  # operations a type before the frequency halves: as in real code, few are common and many are rare
BELIEF_WEIGHT = 0.3  # operations with a belief are drawn less often than others of their rank


@dataclass(frozen=True)
class Frame:
    """What surrounds the numbered clauses of a statement."""

    opening: str
    mark: str  # before each clause
    between: str
    closing: str

    def text(self, source: str, clauses: Sequence[str]) -> str:
        """The statement of a task on values of type `source`."""
        variable, noun, _ = TYPES[source]
        marked = [self.mark.format(i=i) + clause for i, clause in enumerate(clauses, 1)]
        return self.opening.format(noun=noun, var=variable) + self.between.join(marked) + self.closing

    def clauses(self, source: str, statement: str) -> list[str] | None:
        """The clauses of a statement, or None where it is not of this frame and type."""
        variable, noun, _ = TYPES[source]
        start = self.opening.format(noun=noun, var=variable) + self.mark.format(i=1)
        if not (statement.startswith(start) and statement.endswith(self.closing)):
            return None
        found: list[str] = []
        rest = statement[len(start) : len(statement) - len(self.closing)]
        while True:
            clause, more, rest = rest.partition(self.between + self.mark.format(i=len(found) + 2))
            found.append(clause)
            if not more:
                return found


# Steps are numbered: a model this small loses count of clauses that only follow each other.
FRAMES = (
    Frame("Given {noun} {var}: ", "{i}. ", "; ", ". Return the result."),
    Frame("Take {noun} {var}. ", "Step {i}: ", ". ", ". Give back what you get."),
    Frame("You have {noun} {var}: ", "({i}) ", ", ", "."),
)


@dataclass(frozen=True)
class Step:
    """One operation with its constants filled in."""

    name: str
    constants: tuple[tuple[str, int | str], ...] = ()

    @property
    def operation(self) -> Operation:
        return BY_NAME[self.name]

    def fill(self, template: str, variable: str = "v") -> str:
        return template.format(v=variable, **dict(self.constants))


@dataclass(frozen=True)
class Task:
    """A typed chain of steps.

    >>> task = parse("Given a list of integers xs: 1. keep the even numbers; 2. take the sum. Return the result.")
    >>> task.apply([1, 2, 4])
    6
    """

    source: str  # input type, a key of `TYPES`
    steps: tuple[Step, ...]

    @property
    def target(self) -> str:
        return self.steps[-1].operation.target

    @property
    def skeleton(self) -> tuple[str, ...]:
        """Names of the operations, without their constants."""
        return tuple(step.name for step in self.steps)

    @property
    def has_belief(self) -> bool:
        """Whether one of the steps has a belief, which may be a misconception (`seedling.mistakes`)."""
        return any(step.operation.belief for step in self.steps)

    @property
    def title(self) -> str:
        return ", ".join(step.operation.label for step in self.steps).capitalize()

    @property
    def entry(self) -> str:
        name = self.steps[-1].operation.label.replace(" ", "_")
        return f"get_{name}" if hasattr(builtins, name) else name  # a function must not hide a builtin that it calls

    @property
    def signature(self) -> str:
        return f"def {self.entry}({TYPES[self.source][0]}: {self.source}) -> {self.target}:"

    @property
    def reference(self) -> str:
        """The reference solution: every step in its first writing."""
        return write_program(self, [step.operation.right[0] for step in self.steps])

    def apply(self, value: Any) -> Any:
        """Result of the task on one input. Raises what the reference raises."""
        for step in self.steps:
            value = meaning(step)(value)
        return value


def write_program(task: Task, writings: list[Writing]) -> str:
    """A whole program: one writing a step, each result under its type's usual name."""
    variable = TYPES[task.source][0]
    lines = [task.signature]
    for i, (step, writing) in enumerate(zip(task.steps, writings, strict=True)):
        if writing.statements:
            lines += ["    " + line for line in step.fill(writing.statements, variable).split("\n")]
        expression = step.fill(writing.expression, variable)
        if i == len(task.steps) - 1:
            lines.append(f"    return {expression}")
        else:
            variable = TYPES[step.operation.target][0]
            lines.append(f"    {variable} = {expression}")
    return "\n".join(lines)


@functools.cache
def meaning(step: Step) -> Callable[[Any], Any]:
    """The reference semantics of one step, compiled once."""
    writing = step.operation.right[0]
    body = [f"    {line}" for line in step.fill(writing.statements).split("\n")] if writing.statements else []
    source = "\n".join(["def run(v):", *body, f"    return {step.fill(writing.expression)}"])
    scope: dict[str, Any] = {}
    exec(compile(source, f"<{step.name}>", "exec"), scope)  # our own tables, never model output
    return scope["run"]


@functools.cache
def _frequencies(source: str, last: bool, even: bool) -> tuple[list[Operation], list[float]]:
    """The operations on `source` and how often each is drawn (unnormalised); truth values end a chain, so they only come last."""
    ranked = list(OPERATIONS[source])
    random.Random(source).shuffle(ranked)
    allowed = [(i, op) for i, op in enumerate(ranked) if last or op.target != "bool"]
    weights = [1.0 if even else (BELIEF_WEIGHT if op.belief else 1.0) / (1 + i / COMMON) for i, op in allowed]
    return [op for _, op in allowed], list(itertools.accumulate(weights))


def sample_step(rng: random.Random, source: str, last: bool, even: bool = False) -> Step:
    """A random operation on `source`, constants filled in. even: all operations alike, else some are common and some rare."""
    pool, cumulative = _frequencies(source, last, even)
    operation = rng.choices(pool, cum_weights=cumulative)[0]
    return Step(operation.name, tuple((name, values[rng.randrange(len(values))]) for name, values in sorted(operation.constants.items())))


def sample_task(rng: random.Random, source: str | None = None, even: bool = False, lengths: Sequence[float] = LENGTH_WEIGHTS) -> Task:
    """A random task, of the given input type or of any. even: see `sample_step`. lengths: chances of one, two, ... steps."""
    source = source or rng.choice(list(OPERATIONS))
    length = rng.choices(range(1, len(lengths) + 1), weights=lengths)[0]
    steps: list[Step] = []
    kind = source
    for i in range(length):
        step = sample_step(rng, kind, last=i == length - 1, even=even)
        steps.append(step)
        kind = step.operation.target
    return Task(source, tuple(steps))


def state(task: Task, rng: random.Random) -> str:
    """One of the task's statements in English."""
    frame = rng.choice(FRAMES)
    return frame.text(task.source, [step.fill(rng.choice(step.operation.phrases)) for step in task.steps])


@functools.cache
def _phrase_patterns(source: str) -> list[tuple[re.Pattern[str], Operation]]:
    patterns = []
    for operation in OPERATIONS[source]:
        for phrase in operation.phrases:
            pattern = re.escape(phrase)
            for name in operation.constants:
                pattern = pattern.replace(re.escape("{" + name + "}"), f"(?P<{name}>.+?)", 1)
            patterns.append((re.compile(pattern), operation))
    return patterns


def _parse_clause(clause: str, source: str) -> Step | None:
    for pattern, operation in _phrase_patterns(source):
        match = pattern.fullmatch(clause)
        if match is None:
            continue
        constants = []
        for name, values in sorted(operation.constants.items()):
            raw = match.group(name)
            value: int | str = raw
            if isinstance(values[0], int):
                if not re.fullmatch(r"-?\d{1,4}", raw):
                    break
                value = int(raw)
            elif not re.fullmatch(r"[^\"\\{}]{1,3}", raw):
                break
            constants.append((name, value))
        else:
            return Step(operation.name, tuple(constants))
    return None


def _parse_clauses(clauses: Sequence[str], source: str) -> tuple[Step, ...] | None:
    """The steps that clauses describe, each on the type that the one before it gives."""
    steps: list[Step] = []
    for clause in clauses:
        step = _parse_clause(clause, source) if source in OPERATIONS else None
        if step is None:
            return None
        steps.append(step)
        source = step.operation.target
    return tuple(steps)


def parse(statement: str) -> Task | None:
    """The task that a statement describes, or None when it is not a sentence of the grammar.

    Constants outside the sampled ranges are allowed: a model may invent them.
    """
    for frame in FRAMES:
        for source in OPERATIONS:
            clauses = frame.clauses(source, statement)
            steps = _parse_clauses(clauses, source) if clauses else None
            if steps:
                return Task(source, steps)
    return None


def reference_for(statement: str) -> tuple[str, str] | None:
    """(reference program, entry) of a statement, or None. This is the `oracle` that audits and oracle runs call."""
    task = parse(statement.strip())
    return (task.reference, task.entry) if task else None


def behaviour(task: Task) -> tuple[str, ...]:
    """What the task does on the fixed probe inputs of its type: equal tuples mean equal behaviour there."""
    results = [task.source]
    for text in probe_inputs(task.source):
        try:
            results.append(repr(task.apply(ast.literal_eval(text))))
        except (ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError) as error:
            results.append(f"!{type(error).__name__}")
    return tuple(results)


def is_trivial(signature: tuple[str, ...]) -> bool:
    """A behaviour hardly worth asking for: one result on more than 85 % of the inputs, or an error anywhere."""
    results = signature[1:]
    most = max(results.count(r) for r in set(results))
    return most > 0.85 * len(results) or any(r.startswith("!") for r in results)


def main() -> None:
    parser = argparse.ArgumentParser(description="Count behaviourally distinct, non-trivial tasks in a random sample.")
    parser.add_argument("--count", type=int, default=400_000, help="tasks to sample (default 400,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", action="store_true", help="draw some operations often and some rarely, as most of the corpus does")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    seen = set()
    for _ in range(arguments.count):
        signature = behaviour(sample_task(rng, even=not arguments.corpus))
        if not is_trivial(signature):
            seen.add(hash(signature))
    print(f"{len(seen)} distinct behaviours among {arguments.count} sampled tasks (seed {arguments.seed})")


if __name__ == "__main__":
    main()
