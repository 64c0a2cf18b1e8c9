"""The pretraining corpus: the five skills of stages 1 to 5, in the very prompts that the loop uses.

Solutions are right in many spellings, and wrong in the ways of `seedling.spellings`: the seedling plays a pretrained but unreliable code
model, whose vote is better than its greedy decoding. Held-out compositions (those of `seedling-bench`) never occur, by skeleton and by
behaviour.

    python -m seedling.show_corpus --count 5   # print a few documents
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from probing.prompts.templates import render
from seedling.grammar import Task, behaviour, is_trivial, sample_task, state
from seedling.inputs import random_inputs
from seedling.mistakes import is_rushed
from seedling.operations import TYPES
from seedling.spellings import RATES, Rates, draw

SKILL_WEIGHTS = {"solve": 0.66, "invent": 0.16, "tests": 0.08, "interface": 0.05, "rate": 0.05}
POLISH_WEIGHTS = {"solve": 0.28, "invent": 0.04, "tests": 0.14, "interface": 0.24, "rate": 0.30}  # of the short second phase
TOKENIZER_DOCUMENTS = 4000  # documents that the vocabulary is trained on; the model sees others after them
EVEN_SOLUTIONS = 0.5  # share of solutions whose operations are drawn alike: rare ones would hardly be learnt otherwise
LENGTHS = (0.12, 0.33, 0.42, 0.13)  # of chains of 1, 2, 3, 4 steps: longer ones are where a small model loses count of the steps
DIGEST_DOCUMENTS = 300  # documents that tell one corpus from another
RATING_NOISE = 0.08  # share of ratings drawn as if for the other kind of statement


@dataclass(frozen=True)
class HeldOut:
    """What pretraining must not see: skeletons and behaviours of the bench."""

    skeletons: frozenset[tuple[str, ...]]
    behaviours: frozenset[tuple[str, ...]]

    @classmethod
    def of(cls, tasks: Iterable[Task]) -> Self:
        found = list(tasks)
        return cls(frozenset(task.skeleton for task in found), frozenset(behaviour(task) for task in found))

    @property
    def digest(self) -> str:
        """First 16 digits of a SHA-256 over both."""
        return hashlib.sha256(repr((sorted(self.skeletons), sorted(self.behaviours))).encode()).hexdigest()[:16]

    def covers(self, task: Task, signature: tuple[str, ...]) -> bool:
        return task.skeleton in self.skeletons or signature in self.behaviours


@dataclass(frozen=True)
class Document:
    """One training example; the loss is on the answer alone."""

    skill: str
    prompt: str  # the user's turn
    answer: str  # the assistant's turn


def fence(code: str) -> str:
    return f"```python\n{code}\n```"


def interface_of(task: Task) -> str:
    return f'{task.signature}\n    """{task.title}."""'


def write_solution(task: Task, rng: random.Random, rates: Rates = RATES) -> str:
    """A solution whose steps are spelt independently, hastily or carefully, with the faults that these have."""
    variable, text = TYPES[task.source][0], task.signature + "\n"
    for place, step in enumerate(task.steps):
        last = place == len(task.steps) - 1
        spelling = draw(step, variable, last, rng, last and is_rushed(task), rates)
        variable, text = spelling.variable, text + spelling.text
    return text.rstrip("\n")


def _solve(task: Task, rng: random.Random) -> Document:
    prompt = render("solve", description=state(task, rng), interface=interface_of(task))
    return Document("solve", prompt, fence(write_solution(task, rng)))


def _invent(task: Task, rng: random.Random) -> Document:
    value = rng.choice(random_inputs(task.source, 4, rng.randrange(1000)))
    fields = {
        "Title": task.title,
        "Problem": state(task, rng),
        "Signature": task.signature,
        "Example": f"{task.entry}({value}) == {task.apply(ast.literal_eval(value))!r}",
    }
    answer = "\n".join(f"### {name}\n{text}" for name, text in fields.items()) + "\n### End"
    return Document("invent", render("invent", topic=TYPES[task.source][2]), answer)


def _interface(task: Task, rng: random.Random) -> Document:
    return Document("interface", render("interface", description=state(task, rng), entry=task.entry), fence(interface_of(task)))


def _tests(task: Task, rng: random.Random) -> Document:
    values = random_inputs(task.source, 5, rng.randrange(100_000))
    prompt = render("tests", description=state(task, rng), interface=interface_of(task))
    return Document("tests", prompt, fence("\n".join(f"{task.entry}({value})" for value in values)))


def corrupt(statement: str, rng: random.Random) -> str:
    """A statement made unclear or incomplete: shuffled words, cut off, constants lost, or a clause in the wrong place."""
    words = statement.split(" ")
    kind = rng.choice(("shuffle", "cut", "blank", "astray"))
    if kind == "shuffle":
        middle = words[2:]
        rng.shuffle(middle)
        return " ".join(words[:2] + middle)
    if kind == "cut":
        return " ".join(words[: max(4, len(words) * rng.randint(4, 7) // 10)])
    if kind == "blank":
        gone = set(rng.sample(range(len(words)), max(3, len(words) // 4)))
        return " ".join(word for i, word in enumerate(words) if i not in gone)
    other = state(sample_task(rng), rng).split(" ")
    half = len(words) // 2
    return " ".join(words[:half] + other[len(other) // 2 + 2 :] + words[half:])


def _rate(task: Task, rng: random.Random) -> Document:
    statement = state(task, rng)
    intact = rng.random() < 0.5
    if not intact:
        statement = corrupt(statement, rng)
    high = intact != (rng.random() < RATING_NOISE)
    scores = [rng.randint(7, 9) if high else rng.randint(0, 4) for _ in range(3)]
    answer = "\n".join(f"{name}: {score}" for name, score in zip(("Clarity", "Completeness", "Quality"), scores, strict=True))
    return Document("rate", render("rate", description=statement), answer)


WRITERS: dict[str, Callable[[Task, random.Random], Document]] = {
    "solve": _solve,
    "invent": _invent,
    "tests": _tests,
    "interface": _interface,
    "rate": _rate,
}


def _task(skill: str, rng: random.Random, held_out: HeldOut) -> tuple[Task, tuple[str, ...]]:
    """(a task for a document of the skill, its behaviour), neither trivial nor held out."""
    while True:
        even = skill == "solve" and rng.random() < EVEN_SOLUTIONS
        task = sample_task(rng, even=even, lengths=LENGTHS)
        signature = behaviour(task)
        if not is_trivial(signature) and not held_out.covers(task, signature):
            return task, signature


def drawn(seed: int, held_out: HeldOut, weights: Mapping[str, float]) -> Iterator[tuple[Task, tuple[str, ...], Document]]:
    """An endless stream of (task, its behaviour, a document on it); the tasks are neither trivial nor held out."""
    rng = random.Random(seed)
    while True:
        skill = rng.choices(list(weights), weights=list(weights.values()))[0]
        task, signature = _task(skill, rng, held_out)
        yield task, signature, WRITERS[skill](task, rng)


def documents(seed: int, held_out: HeldOut, weights: Mapping[str, float] = SKILL_WEIGHTS) -> Iterator[Document]:
    """The documents alone; `weights`: shares of the skills."""
    return (document for _, _, document in drawn(seed, held_out, weights))


def corpus_digest(seed: int, held_out: HeldOut) -> str:
    """First 16 digits of a SHA-256 over the first documents: of another grammar, spelling or prompt they are others."""
    first = itertools.islice(documents(seed, held_out), DIGEST_DOCUMENTS)
    return hashlib.sha256("\0".join(part for d in first for part in (d.prompt, d.answer)).encode()).hexdigest()[:16]
