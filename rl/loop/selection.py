"""What a round trains on: which of its problems, which are kept apart, and what the trainer needs of each."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from probing.prompts.asking import Ask
from probing.records import Problem, TestSuite
from probing.stages.solutions import given_code, solve_question
from rewards.outcomes.typed import Canonicaliser
from rl.labels.bank import ProblemBank
from rl.round_files import BankProgram, Verdict
from rl.scoring.tasks import GrpoTask
from rl.stored import grouped

if TYPE_CHECKING:
    from rl.config.schema import Config

HELD_OUT = Fraction(1, 6)  # of the problems in the band that are kept apart, at most


def kept_apart(config: Config, index: int) -> int:
    """How many problems of a round nobody trains on, at most: the guards watch them, and round 1's serve the final choice."""
    return max(config.guards.held_out_problems if config.guards.enabled else 0, config.choice.problems if index == 1 else 0)


def share_apart(config: Config, index: int) -> Fraction:
    """Of a round's problems in the band, the share that is kept apart, at most: in round 1 that of the proposals which it draws on top
    for this (`choice.proposals`), so that as many as else are left to train on.
    """
    extra = config.choice.proposals if index == 1 else 0
    return max(HELD_OUT, Fraction(extra, extra + config.problems.count))


def training_split(verdicts: Sequence[Verdict], config: Config, index: int) -> tuple[list[Verdict], list[Verdict]]:
    """(problems to train on, problems kept apart) of a round, both in the band of agreement. A single one is trained on."""
    kept, share = [v for v in verdicts if v.kept], share_apart(config, index)
    spread = [int(k / share) for k in range(kept_apart(config, index))]  # one in every 1 / share
    apart = {i for i in spread if i < len(kept)} if len(kept) > 1 else set()
    return [v for i, v in enumerate(kept) if i not in apart], [v for i, v in enumerate(kept) if i in apart]


def met_again(verdicts: Sequence[Verdict], apart: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts on problems that stand in an earlier round's `apart` as well: a user's own rows come again once all were met.

    A problem's id is its round's number and a hash, which stays.
    """
    hidden = {v.problem_id.partition("-")[2] for v in apart}
    return [v for v in verdicts if v.problem_id.partition("-")[2] in hidden]


def without(verdicts: Sequence[Verdict], apart: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts, in the band or not, on problems that are not kept apart: what the paper's SFT may learn from."""
    hidden = {v.problem_id for v in apart}
    return [v for v in verdicts if v.problem_id not in hidden]


def margin_weights(margins: Sequence[float], power: float) -> list[float]:
    """Each problem's weight: its margin to a power, their mean 1. A clear vote is the likelier one to be right.

    >>> margin_weights([0.25, 0.75], 1.0)
    [0.5, 1.5]
    """
    powers = [max(margin, 0.0) ** power for margin in margins]
    mean = sum(powers) / max(len(powers), 1)
    return [value / mean if mean > 0 else 1.0 for value in powers]


def make_tasks(
    ask: Ask,
    problems: Sequence[Problem],
    suites: Sequence[TestSuite],
    bank: Sequence[BankProgram],
    verdicts: Sequence[Verdict],
    canonical: Canonicaliser,
    by_margin: float = 0.0,
) -> list[GrpoTask]:
    """What the trainer needs of each problem: prompt, kept inputs, the bank that votes, and its weight (`reward.by_margin`).

    canonical: of the sandbox (`SandboxConfig.canonicaliser`).
    """
    by_id = {p.id: p for p in problems}
    pool = {s.problem_id: s for s in suites}
    programs = grouped(bank)
    tasks = []
    for verdict, weight in zip(verdicts, margin_weights([v.margin for v in verdicts], by_margin), strict=True):
        problem = by_id[verdict.problem_id]
        voters = ProblemBank(programs[problem.id], pool[problem.id], verdict.inputs, canonical)
        question = solve_question(ask, problem)
        tasks.append(
            GrpoTask(
                problem_id=problem.id,
                prompt=question.text,
                entry=problem.entry,
                inputs=voters.inputs,
                bank=voters.matrix,
                known=voters.known(),
                arguments=voters.arguments,
                expected=voters.expected,
                prefill=question.prefill,
                stop=question.stop,
                given=given_code(problem),
                weight=weight,
            )
        )
    return tasks
