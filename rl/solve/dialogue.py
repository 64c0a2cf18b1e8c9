"""`ucoder solve --interactive`: a person decides on single inputs, and the vote goes on from there.

One question at a time, about the input that separates the two largest clusters (`rl.solve.vote.Vote.question`). The
person picks what is right there, says that nothing of it is, types the right value, skips the input, or stops. It ends
by itself when no input separates the clusters.
"""

from __future__ import annotations

import ast
import string
from collections.abc import Callable

import numpy as np
from rich.console import Console

from probing.records import STDIN
from rewards.outcomes.printed import normal_print
from rewards.text import shorten
from rl.solve.vote import InputQuestion, Vote, call_text, in_words, returns, shown_outcome

LINE = 200  # most characters of a call or an outcome that are shown
MOST_OPTIONS = 8  # letters a to h; the words below begin with others
NEITHER, SKIP, STOP = "n", "s", "q"
HELP = f"letter of the right one, the right value itself, {NEITHER} = none of these, {SKIP} = skip, {STOP} = stop"

ReadLine = Callable[[str], str]  # as `input`: shows a prompt, returns a line, raises EOFError where there are no more


def talk(vote: Vote, console: Console, ask: ReadLine = input) -> Vote | None:
    """The vote after the person's answers; None where they rule out every candidate."""
    asked: list[int] = []
    while (question := vote.question(asked)) is not None:
        asked.append(question.column)
        _show(question, vote.programs.entry, console)
        answer = _answer(question, vote, console, ask)
        if isinstance(answer, str):
            if answer == STOP:
                return vote
            continue
        keep, said = answer
        after = vote.rule_out(question.column, keep, said)
        if after is None:
            console.print(f"No candidate is left: all {len(vote.programs.places)} are ruled out.", markup=False)
            return None
        clustering = after.ranking.judgement.clustering
        ruled_out = len(vote.programs.places) - len(after.programs.places)
        console.print(f"ruled out: {ruled_out}; left with a vote: {clustering.n_valid}, in clusters: {clustering.n_clusters}", markup=False)
        vote = after
    console.print("There is nothing more to ask: no input separates the remaining clusters.", markup=False)
    return vote


def _show(question: InputQuestion, entry: str, console: Console) -> None:
    total = sum(count for _, count in question.options)
    shown = shorten(call_text(entry, question.input), LINE)
    asked = f"What is printed for the input {shown}?" if entry == STDIN else f"What does {shown} return?"
    console.print(f"\n{asked}", markup=False, soft_wrap=True)
    for letter, (outcome, count) in zip(string.ascii_lowercase, question.options[:MOST_OPTIONS], strict=False):
        console.print(f"  {letter}  {shorten(in_words(outcome), LINE)}   ({count} of {total} candidates)", markup=False, soft_wrap=True)
    if rest := question.options[MOST_OPTIONS:]:
        console.print(f"     {len(rest)} other results   ({sum(count for _, count in rest)} candidates)", markup=False)


def _answer(question: InputQuestion, vote: Vote, console: Console, ask: ReadLine) -> tuple[np.ndarray, str] | str:
    """(which programs stay, bool[d], and what was said), SKIP or STOP. Asks again until it understands."""
    shown = [shown_outcome(execution, question.column) for execution in vote.programs.executions]
    options = [outcome for outcome, _ in question.options[:MOST_OPTIONS]]
    while True:
        try:
            line = ask(f"[{HELP}] ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print("stopped", markup=False)
            return STOP
        if line in (SKIP, STOP):
            return line
        if line == NEITHER:
            return np.array([outcome not in options for outcome in shown]), f"not {' nor '.join(map(in_words, options))}"
        if len(line) == 1 and line in string.ascii_lowercase[: len(options)]:
            picked = options[string.ascii_lowercase.index(line)]
            return np.array([outcome == picked for outcome in shown]), in_words(picked)
        if vote.programs.entry == STDIN:
            value = normal_print(_typed_text(line))
            return np.array([returns(outcome, value) for outcome in vote.outcomes_at(question.column)]), repr(value)
        try:
            value = ast.literal_eval(line)
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            console.print(f"{line!r} is neither one of the letters nor a Python value such as 3, 'text' or [1, 2].", markup=False)
            continue
        return np.array([returns(outcome, value) for outcome in vote.outcomes_at(question.column)]), repr(value)


def _typed_text(line: str) -> str:
    """What a person says is printed: a line as it is, or several as a Python text such as 'a\\nb'."""
    try:
        value = ast.literal_eval(line)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return line
    return value if isinstance(value, str) else line
