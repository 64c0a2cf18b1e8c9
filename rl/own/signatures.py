"""Stage 3 for the user's own problems: typed signatures where rows give none, then interfaces. Nothing that a row says is replaced."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace

from probing.parsing.proposals import declared, header_of, parse_signature
from probing.prompts.asking import Ask
from probing.records import Problem
from probing.samplers.base import Sampler
from probing.stages.config import ProblemsConfig
from probing.stages.problems import Funnel, write_interfaces
from rl.solve.stages import Bar, write_signatures
from rl.solve.statement import Statement, examples_in


def complete(
    sampler: Sampler, ask: Ask, problems: Sequence[Problem], config: ProblemsConfig, seeds: tuple[int, int], funnel: Funnel, bar: Bar
) -> list[Problem]:
    """The problems with a typed signature each, and with an interface where the model's can be read and takes the same arguments (else the
    signature stands alone).

    A problem for which no signature could be written is dropped, counted as `no signature`. seeds: of signatures and of interfaces.
    """
    typed = _with_signatures(sampler, ask, problems, seeds[0], funnel, bar)
    with bar("interfaces", len(typed), "problems") as advance:
        written = write_interfaces(sampler, ask, typed, config, seeds[1], Funnel(), advance)
    interfaces = {p.id: p.interface for p in written if p.interface is not None and _arguments(p.interface) == _arguments(p.signature)}
    return [replace(problem, interface=interfaces.get(problem.id)) for problem in typed]


def _with_signatures(sampler: Sampler, ask: Ask, problems: Sequence[Problem], seed: int, funnel: Funnel, bar: Bar) -> list[Problem]:
    lacking = [problem for problem in problems if parse_signature(problem.signature) is None]
    pairs = write_signatures(sampler, ask, [_statement(problem) for problem in lacking], seed, bar)
    found: dict[str, str] = {}
    for problem, pair in zip(lacking, pairs, strict=True):
        if pair is None or not _as_many_arguments(problem.signature, pair[0]):
            funnel.drop("no signature")
        else:
            found[problem.id] = pair[0]
    kept = []
    for problem in problems:
        if problem.id in found:
            entry = problem.entry or found[problem.id].removeprefix("def ").split("(")[0].strip()
            kept.append(replace(problem, signature=found[problem.id], entry=entry))
        elif parse_signature(problem.signature) is not None:
            kept.append(problem)
    return kept


def _statement(problem: Problem) -> Statement:
    """What is asked: the statement, and the untyped signature where the row gives one."""
    shown = f"\n\n```python\n{problem.signature}\n```" if problem.signature else ""
    text = problem.description + shown
    examples = examples_in(f"{problem.example}\n{problem.description}", problem.entry) if problem.entry else ()
    row = declared(problem.signature)
    first = row.args.args[0].arg if row is not None and row.args.args else ""
    return Statement(text, problem.entry, None, None, examples, first)


def _arguments(code: str) -> str:
    """The arguments of the first function in a text, with their types; "" where there is none."""
    function = declared(header_of(code) or "")
    return "" if function is None else ast.unparse(function.args)


def _as_many_arguments(untyped: str, signature: str) -> bool:
    """Whether a written signature has as many arguments as the row's untyped one (which programs for the row are called with)."""
    row, written = declared(untyped), declared(signature)
    return row is None or (written is not None and len(row.args.args) == len(written.args.args))
