"""Stages 3 to 5 of the loop for statements that people wrote: a signature, an interface, test inputs, candidates.

The prompts, parsers and samplers are those of `probing.stages`. Where a stage gives nothing that can be used, the caller is told: a
problem keeps its bare signature where no interface could be read, and has no suite where no input could.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from probing.parsing.proposals import Unreadable, header_line, parse_signature, read_signature
from probing.prompt import Question
from probing.prompts.asking import Ask, answers_to
from probing.prompts.templates import PromptSetError
from probing.records import Candidate, Problem, TestSuite, short_hash
from probing.samplers.base import Progress, Sampler, SamplingParams
from probing.stages.config import ProblemsConfig, SolutionsConfig, SuitesConfig
from probing.stages.problems import Funnel, write_interfaces
from probing.stages.solutions import sample_solutions
from probing.stages.suites import callable_with, extend_suite, write_suites
from rl.console import warn
from rl.solve.statement import Statement, signature_of_examples

SIGNATURES = 8  # sampled where the greedy one cannot be used
SIGNATURE_TEMPERATURE = 0.8
SIGNATURE_TOKENS = 96
FROM_MODEL, FROM_EXAMPLES = "the model", "the examples"  # where a signature is from
STAGES = 8  # seeds of one solving, a stage each

# name, how many, of what -> advance(count)
Bar = Callable[[str, int, str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class WrittenProblem:
    """A problem as it is asked, with what is to be said of it."""

    statement: Statement
    problem: Problem
    signature_from: str  # "--signature", "the statement", FROM_MODEL or FROM_EXAMPLES

    @property
    def has_interface(self) -> bool:
        """Whether the model's interface could be read; else the signature stands alone."""
        return self.problem.interface is not None

    @property
    def shown_inputs(self) -> list[str]:
        """The inputs of the statement's examples that have as many arguments as the signature; their types are the statement's affair."""
        if self.problem.reads_stdin:
            return [example.input for example in self.statement.examples]
        function = parse_signature(self.problem.signature)
        arguments = 0 if function is None else len(function.args.args)
        return [example.input for example in self.statement.examples if len(ast.literal_eval(example.input)) == arguments]


def write_problems(sampler: Sampler, ask: Ask, statements: Sequence[Statement], seed: int, bar: Bar) -> list[WrittenProblem | None]:
    """Stage 3 for each statement; None for one without a signature where none could be written."""
    lacking = [s for s in statements if s.signature is None]
    found = dict(zip(map(id, lacking), write_signatures(sampler, ask, lacking, seed * STAGES, bar), strict=True))
    written: list[WrittenProblem | None] = []
    for statement in statements:
        pair = (statement.signature, statement.source) if statement.signature is not None else found[id(statement)]
        if pair is None or pair[0] is None or pair[1] is None:
            written.append(None)
            continue
        problem = _problem(statement, pair[0])
        written.append(WrittenProblem(statement, problem, pair[1]))
    known = [w.problem for w in written if w is not None and not w.problem.reads_stdin]
    if not known:
        return written
    with bar("interface", len(known), "problems") as advance:
        done = write_interfaces(sampler, ask, known, ProblemsConfig(), seed * STAGES + 1, Funnel(), advance)
    interfaces = {problem.id: problem for problem in done}
    return [w and replace(w, problem=interfaces.get(w.problem.id, w.problem)) for w in written]


def _problem(statement: Statement, signature: str) -> Problem:
    if statement.reads_stdin:
        return Problem(f"solve-{short_hash(statement.text)}", "program", statement.text, statement.entry, "", "", "")
    entry = signature.removeprefix("def ").split("(")[0].strip()
    return Problem(
        id=f"solve-{short_hash(statement.text + signature)}",
        title=entry,
        description=statement.text,
        entry=entry,
        signature=signature,
        example=statement.text,  # where stage 4 looks for a call to begin with
        topic="",
    )


def write_signatures(sampler: Sampler, ask: Ask, statements: Sequence[Statement], seed: int, bar: Bar) -> list[tuple[str, str] | None]:
    """(signature, source) of each statement: the model's first that can be used, greedy before sampled; then the examples' types."""
    found: dict[int, tuple[str, str]] = {}
    for n, temperature in ((1, 0.0), (SIGNATURES, SIGNATURE_TEMPERATURE)):
        open_ = [i for i in range(len(statements)) if i not in found]
        if not open_:
            break
        try:
            questions = [_signature_question(ask, statements[i]) for i in open_]
        except PromptSetError:
            warn("the prompt set has no signature.jinja, so the model is not asked for signatures: types come from examples alone")
            break
        params = SamplingParams(temperature, 1.0, SIGNATURE_TOKENS)
        with bar("signature", n * len(open_), "answers") as advance:
            groups = answers_to(sampler, questions, n, params, seed, advance)
        for i, group in zip(open_, groups, strict=True):
            usable = (line for answer in group if (line := usable_signature(answer.text, statements[i])) is not None)
            if (line := next(usable, None)) is not None:
                found[i] = line, FROM_MODEL
    for i, statement in enumerate(statements):
        if i not in found and (line := signature_of_examples(statement)) is not None:
            found[i] = line, FROM_EXAMPLES
    return [found.get(i) for i in range(len(statements))]


def _signature_question(ask: Ask, statement: Statement) -> Question:
    """With the first argument's name as the start of the answer, where it is known: a model shown a `def` line without types repeats it."""
    return ask("signature", description=statement.text, entry=statement.entry, argument=statement.argument)


def usable_signature(text: str, statement: Statement) -> str | None:
    """The signature in an answer: typed, of the function that the statement names, with as many arguments as there, and fit for the calls
    that it shows; else None.
    """
    try:
        function = read_signature(text)
    except Unreadable:
        return None
    line = header_line(function)
    if statement.n_arguments not in (None, len(function.args.args)) or statement.entry not in ("", function.name):
        return None
    return line if all(callable_with(line, call) for call in statement.shown_arguments) else None


def write_inputs(
    sampler: Sampler, ask: Ask, written: Sequence[WrittenProblem], config: SuitesConfig, seed: int, bar: Bar
) -> dict[str, TestSuite]:
    """Stage 4: a pool of inputs by problem id: those of the statement's examples, the model's, then mutants. Problems without any are left
    out.
    """
    problems = [w.problem for w in written]
    with bar("test inputs", len(problems) * config.samples, "answers") as advance:
        suites = write_suites(sampler, ask, problems, config, seed * STAGES + 2, Funnel(), advance)
    found = {suite.problem_id: suite for suite in suites}
    for w in written:
        suite = found.get(w.problem.id)
        suite = suite_of_examples(w, config, seed) if suite is None else _with_examples(suite, w.shown_inputs)
        if suite is not None:
            found[w.problem.id] = suite
    return found


def problem_of_examples(statement: Statement) -> WrittenProblem | None:
    """The problem with the signature of its statement, else with the types of its first example; nothing is asked. None without both."""
    if statement.signature is not None and statement.source is not None:
        return WrittenProblem(statement, _problem(statement, statement.signature), statement.source)
    signature = signature_of_examples(statement)
    return None if signature is None else WrittenProblem(statement, _problem(statement, signature), FROM_EXAMPLES)


def suite_of_examples(written: WrittenProblem, config: SuitesConfig, seed: int) -> TestSuite | None:
    """The inputs of the statement's examples and mutants of them; nothing is asked. None where it shows none."""
    shown = written.shown_inputs
    return _with_examples(extend_suite(written.problem, shown, config, seed * STAGES + 2), shown) if shown else None


def _with_examples(suite: TestSuite, shown: Sequence[str]) -> TestSuite:
    """The suite with the statement's inputs in front, in place of as many mutants."""
    rest = [(text, origin) for text, origin in zip(suite.inputs, suite.origins, strict=True) if text not in shown]
    rest = rest[: max(len(suite.inputs) - len(shown), 0)]
    inputs, origins = [*shown, *(text for text, _ in rest)], ["statement"] * len(shown) + [origin for _, origin in rest]
    return replace(suite, inputs=tuple(inputs), origins=tuple(origins))


def draw_candidates(sampler: Sampler, ask: Ask, problem: Problem, config: SolutionsConfig, seed: int, bar: Bar) -> list[Candidate]:
    """Stage 5: the candidates of one problem."""
    with bar("solutions", config.samples, "samples") as advance:
        return list(sample_solutions(sampler, ask, [problem], config, seed * STAGES + 3, advance))
