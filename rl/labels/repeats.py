"""Repeats: problems whose winner behaves like that of an earlier problem (`solutions.repeats`; docs/method.md, "What is left out").

Texts are compared before anything runs (`probing.stages.problems`); here it is what programs do. Two problems have equal behaviour when
their arguments have the same types and each one's winning program does on every kept input of the other what the other's does there:
both give an equal value, or neither gives one. Only problems in the band are compared, since no other is trained on.

Every winner first runs on a few inputs of each problem that it may repeat, and only where these agree on all inputs, both ways. A program
that is given up on inputs of others, after timeouts, differs: in doubt a problem counts as new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice

from probing.parsing.proposals import parse_signature
from probing.parsing.typed_values import plain_annotation
from probing.records import SELF_MADE, STDIN, Problem, TestSuite
from rewards.judge.programs import Executor
from rewards.records import Kind, Outcome, Program
from rl.ranks.shards import cut
from rl.round_files import BankProgram, Behaviour, Verdict
from rl.stored import grouped

FIRST_INPUTS = 2  # of a problem, the most telling ones: where a winner differs on these, the others are not run
INPUTS_AT_ONCE = 64  # of several problems together, that one program is run on: each start of a program costs more than an input

Pair = tuple[Behaviour, Behaviour]


def argument_types(problem: Problem) -> tuple[str, ...]:
    """The types of a problem's arguments as its signature states them; empty where it states none, and such problems are not compared.

    A program that reads standard input counts as one type of its own.
    """
    if problem.reads_stdin:
        return (STDIN,)
    function = parse_signature(problem.signature)
    return () if function is None else tuple(plain_annotation(a.annotation) for a in function.args.args if a.annotation is not None)


def behaviours_of(
    problems: Sequence[Problem], suites: Sequence[TestSuite], bank: Sequence[BankProgram], verdicts: Sequence[Verdict]
) -> list[Behaviour]:
    """The winning behaviour of each problem in the band whose argument types are known, in the order in which they take precedence: the
    user's own problems, then the model's by falling margin.
    """
    by_id, pool, programs = {p.id: p for p in problems}, {s.problem_id: s for s in suites}, grouped(bank)
    kept = [v for v in verdicts if v.kept and argument_types(by_id[v.problem_id])]
    kept.sort(key=lambda v: (by_id[v.problem_id].source == SELF_MADE, -v.margin))
    found = []
    for verdict in kept:
        problem = by_id[verdict.problem_id]
        winners = [p for p in programs[problem.id] if verdict.labels[p.candidates[0]] == verdict.top]
        winner = max(winners, key=lambda p: len(p.candidates))
        found.append(
            Behaviour(
                problem_id=problem.id,
                arguments=argument_types(problem),
                entry=problem.entry,
                program=winner.program,
                inputs=tuple(pool[problem.id].inputs[j] for j in verdict.inputs),
                outcomes=tuple(winner.execution.outcomes[j] for j in verdict.inputs),
                self_made=problem.source == SELF_MADE,
            )
        )
    return found


def find_repeats(new: Sequence[Behaviour], known: Sequence[Behaviour], executor_of: Callable[[str], Executor]) -> dict[str, str]:
    """Problem of this round -> the problem whose behaviour it repeats: of an earlier round (`known`), else one of `new` before it.

    A problem that is itself a repeat stands for nothing, and the user's own problems are never repeats. executor_of: makes what runs the
    programs; called once for each of the two passes, with its name.
    """
    maybe = [
        (mine, other)
        for place, mine in enumerate(new)
        if mine.self_made
        for other in (*known, *new[:place])
        if other.arguments == mine.arguments
    ]
    maybe = [pair for pair, alike in zip(maybe, agreements(maybe, FIRST_INPUTS, executor_of("first")), strict=True) if alike]
    back = sorted(((other, mine) for mine, other in maybe), key=lambda pair: pair[0].problem_id)
    both_ways = [*maybe, *back]
    agree = {
        (one.problem_id, two.problem_id)
        for (one, two), alike in zip(both_ways, agreements(both_ways, None, executor_of("all")), strict=True)
        if alike
    }
    repeats: dict[str, str] = {}
    for mine, other in maybe:
        one, two = mine.problem_id, other.problem_id
        if one not in repeats and two not in repeats and {(one, two), (two, one)} <= agree:
            repeats[one] = two
    return repeats


def agreements(pairs: Sequence[Pair], first: int | None, executor: Executor) -> Iterator[bool]:
    """For each pair, whether the first one's program does on the second one's inputs what the second one's does.

    Pairs with the same first one must follow one another: they run together. first: how many of the inputs (None: all).
    """
    blocks: list[Sequence[Pair]] = []
    for _, group in groupby(pairs, key=lambda pair: pair[0].problem_id):
        mine = list(group)
        blocks += [mine[part.start : part.stop] for part in cut([len(other.inputs[:first]) for _, other in mine], INPUTS_AT_ONCE)]
    programs = [
        Program(block[0][0].program, block[0][0].entry, tuple(text for _, other in block for text in other.inputs[:first]))
        for block in blocks
    ]
    for block, execution in zip(blocks, executor.run(programs), strict=True):
        outcomes = iter(execution.outcomes)
        for _, other in block:
            theirs = other.outcomes[:first]
            ours = list(islice(outcomes, len(theirs)))
            yield all(map(same, ours, theirs))


def same(one: Outcome, two: Outcome) -> bool:
    """Equal values, or no value on either side; what our infrastructure lost equals nothing."""
    if Kind.INFRASTRUCTURE in (one.kind, two.kind):
        return False
    if Kind.VALUE in (one.kind, two.kind):
        return one.kind is two.kind and one.payload == two.payload
    return True


def without_repeats(verdicts: Sequence[Verdict], repeats: Mapping[str, str]) -> list[Verdict]:
    """The verdicts, with those on repeats no longer kept for training."""
    return [replace(v, kept=False, repeats=repeats[v.problem_id]) if v.problem_id in repeats else v for v in verdicts]
