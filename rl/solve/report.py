"""What `ucoder solve` says at the end: the program, and how far it can be trusted. As plain data (`--json`) and for a person."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from probing.records import STDIN, Candidate, TestSuite
from probing.stages.solutions import TYPING
from rewards.judge.ranking import NO_VOTE
from rewards.judge.report import as_json
from rewards.text import shorten
from rl.solve.stages import WrittenProblem
from rl.solve.statement import Example
from rl.solve.vote import Vote, call_text, in_words, shown_outcome

COLUMNS = 4  # clusters shown side by side
CELL = 28  # characters of a value in the table


@dataclass(frozen=True, eq=False)
class Solved:
    """Everything that one solving came to."""

    written: WrittenProblem
    suite: TestSuite
    candidates: Sequence[Candidate]
    vote: Vote  # the last one
    unmet: Sequence[Example]  # examples of the statement that no candidate meets
    conflicting: Sequence[Example]  # that candidates meet, but not all of those left by the examples: none meets all
    unused: Sequence[Example]  # examples of the statement that do not fit the signature
    ruled_out_all: bool = False  # a person's answers left no candidate; `vote` is the one before the last of them

    @property
    def code(self) -> str | None:
        """The program to hand out; None where nobody has a vote."""
        return None if self.ruled_out_all or self.vote.code is None else tidy(self.vote.code)


def tidy(code: str) -> str:
    """The program with those of the names of `typing` that it uses, where reading it put all of them in front.

    >>> tidy(TYPING + "def f(x: List[int]):\\n    return x").split("\\n")[0]
    'from typing import List'
    """
    if not code.startswith(TYPING):
        return code
    rest = code.removeprefix(TYPING)
    used = [name for name in TYPING.removeprefix("from typing import ").strip().split(", ") if re.search(rf"\b{name}\b", rest)]
    return (f"from typing import {', '.join(used)}\n\n\n" if used else "") + rest.lstrip("\n")


def as_record(solved: Solved) -> dict[str, Any]:
    """Plain data: what `ucoder judge --json` says of the candidates that are left, under the same names, and what solving adds."""
    vote, problem = solved.vote, solved.written.problem
    return {
        "program": solved.code,
        "won": vote.is_won and solved.code is not None,
        "entry": problem.entry,
        "signature": problem.signature,
        "signature_from": solved.written.signature_from,
        "interface": problem.interface,
        "samples": len(solved.candidates),
        "programs": [candidate.code for candidate in solved.candidates],
        "mean_logprobs": [_known(candidate.mean_logprob) for candidate in solved.candidates],
        "pool": list(solved.suite.inputs),
        "origins": list(solved.suite.origins),
        "known": [asdict(known) for known in vote.known],
        "unmet_examples": _as_data(solved.unmet),
        "conflicting_examples": _as_data(solved.conflicting),
        "unused_examples": _as_data(solved.unused),
        "disagreements": disagreements(vote),
        **as_json(vote.ranking),
    }


def _as_data(examples: Sequence[Example]) -> list[dict[str, str]]:
    return [{"input": e.input, "value": repr(e.value)} for e in examples]


def _known(logprob: float) -> float | None:
    """A mean logprob for JSON; None where the server gave none."""
    return None if math.isnan(logprob) else round(logprob, 4)


def disagreements(vote: Vote) -> list[dict[str, Any]]:
    """Kept inputs on which clusters return different things, those that split the candidates best in front, with what each returns."""
    representatives = vote.ranking.judgement.clustering.representatives.tolist()
    found = []
    for column in (question.column for question in vote.questions()):
        outcomes = [in_words(shown_outcome(vote.programs.executions[row], column)) for row in representatives]
        if len(set(outcomes)) > 1:
            found.append({"input": vote.programs.inputs[column], "returns": outcomes})
    return found


def print_program(code: str, console: Console) -> None:
    """The program alone, coloured on a terminal."""
    if console.is_terminal:
        console.print(Syntax(code.rstrip(), "python", background_color="default"))
    else:
        console.file.write(code.rstrip() + "\n")


def print_trust(solved: Solved, show: int, console: Console) -> None:
    """How far the program can be trusted. show: inputs in the table."""
    record, vote = as_record(solved), solved.vote
    clustering = vote.ranking.judgement.clustering

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    program = solved.written.problem.reads_stdin
    if program:
        say("program      reads standard input and prints   (from --io stdin)")
    else:
        say(f"signature    {record['signature']}   (from {record['signature_from']})")
    if not program and not solved.written.has_interface:
        say("interface    none could be read in the model's answer: its signature stands alone")
    written = record["origins"].count("model")
    say(f"inputs       {len(record['pool'])}, {written} of them written by the model; {len(record['inputs'])} kept")
    say(f"candidates   {record['samples']}, {record['valid']} of them with a vote, {record['distinct_programs']} distinct programs left")
    for known in vote.known:
        who = "the statement says" if known.by == "statement" else "you said"
        say(f"             {call_text(record['entry'], known.input)}: {who} {shorten(known.said, 60)}, {known.ruled_out} ruled out")
    for example in solved.unused:
        say(f"             {call_text(record['entry'], example.input)}: not used, it does not fit the signature")
    for example in solved.unmet:
        say(f"             no candidate gives {example.value!r} for {call_text(record['entry'], example.input)}, as the statement says")
    if solved.conflicting:
        say("             no candidate meets all examples of the statement together; those that meet the most are left")
        for example in solved.conflicting:
            say(f"             not all of these give {example.value!r} for {call_text(record['entry'], example.input)}")
    print_no_vote(record, console)
    if vote.is_won:
        share = f"{clustering.counts[clustering.top]} of {record['valid']} ({100 * record['top_share']:.0f} %)"
        ahead = f"{100 * record['margin']:+.0f} points ahead of the next cluster" if clustering.n_clusters > 1 else "the only cluster"
        say(f"vote         {share}, {ahead}")
    elif solved.code is not None:
        say(f"vote         {_why_not_won(vote)}; do not rely on it")
    say(f"behaviours   {clustering.n_clusters} distinct (entropy {record['entropy']:.2f} nats)")
    say(f"             {vote.ranking.hidden.sentence()}")
    say(f"             {vote.ranking.bound.sentence()}")
    rows = record["disagreements"]
    if rows:
        console.print(_table(rows[:show], vote, record["entry"]), markup=False)
        if len(rows) > show:
            say(f"… and {len(rows) - show} more inputs on which they differ")
    elif record["valid"] > 1:
        say(f"All candidates with a vote {'print' if program else 'return'} the same on every input.")


def _why_not_won(vote: Vote) -> str:
    """Why there is a program and no winner."""
    if vote.ranking.judgement.clustering.n_valid == 1:
        return "one candidate is left, and no other confirms it"
    why = "no two candidates behave alike, or only constant and echoing ones do"
    return f"no cluster wins: {why}. Shown is the one that agrees most with the others, input by input"


def print_no_vote(record: dict[str, Any], console: Console) -> None:
    """How many candidates have no vote, by reason."""
    for reason, count in record["no_vote"].items():
        if count:
            console.print(f"no vote      {count}: {NO_VOTE[reason]}", markup=False, highlight=False, soft_wrap=True)


def _table(rows: Sequence[dict[str, Any]], vote: Vote, entry: str) -> Table:
    found = vote.ranking.judgement.clustering
    order = sorted(range(found.n_clusters), key=lambda k: k != found.top)[:COLUMNS]  # the winner, then by size
    table = Table(title="Where candidates disagree", title_justify="left")
    table.add_column("input" if entry == STDIN else "call")
    for k in order:
        table.add_column(f"{'winner' if k == found.top else f'cluster {k}'}, {100 * found.shares[k]:.0f} %")
    for row in rows:
        table.add_row(shorten(call_text(entry, row["input"]), 2 * CELL), *(shorten(row["returns"][k], CELL) for k in order))
    return table
