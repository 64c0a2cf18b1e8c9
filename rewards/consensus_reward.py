"""Execution consensus as a reward function for TRL's `GRPOTrainer`, and for other trainers that can show it a whole group.

    from rewards import ConsensusReward

    trainer = GRPOTrainer(model, reward_funcs=ConsensusReward(), args=GRPOConfig(...), train_dataset=problems)
    trainer.train()

`problems` needs the columns `entry` (name of the function to write, or `<stdin>` for a program) and `inputs` (test inputs), no expected
output. Each completion's program runs on its problem's inputs in the sandbox; the completions of a group vote on one another
(`rewards.rules`), each without its own vote.

TRL calls a reward function on each rank's slice of the batch, and a group may lie on several ranks (trl issue 3896). So the ranks exchange
their executions before anything is scored: every rank must call the function, and several ranks score as one does. The interface is that of
TRL 1.16. How to use it: docs/judge-in-trainers.md.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from probing.reading import read_voter
from probing.reading.text import opened_thinking
from rewards.clusters.clustering import cluster
from rewards.clusters.signatures import OutcomeMatrix, no_program
from rewards.judge.determinism import Steady
from rewards.outcomes.literals import argument_outcomes
from rewards.programs.normal_form import normal_form
from rewards.records import Execution, Program
from rewards.reward_batch import Message, completion_text, gather
from rewards.reward_problem import RewardProblem, read_problem
from rewards.rules.consensus import ConsensusConfig, get_rule
from rewards.sandbox import Sandbox, SandboxConfig, SandboxError
from rewards.sandbox.config import available_cores

LEAST_VOTERS = 2  # known executions of a group below which nothing can agree or differ


@dataclass(frozen=True)
class _ExecutedCompletion:
    """One completion's execution, as a rank sends it to the others."""

    problem: RewardProblem
    execution: Execution
    has_program: bool


class ConsensusReward:
    """Rewards in [0, 1]: how far the other samples of a group agree with each one, by what their programs return.

    Args:
        entry: Column with the name of the function to write; `<stdin>` where the solution is a program that reads standard input and
            prints.
        inputs: Column with the problem's test inputs: a list with one list of positional arguments an input (of a program: one text), or
            a text that holds it as JSON or as a Python literal (for what Arrow cannot hold, such as tuples, or dictionaries with
            different keys).
        given: Column with code that the prompt gave, such as imports or the head of the function; used where the dataset has it.
        group: Column that names the problem. None: samples of equal prompt, entry and inputs are a group.
        consensus: The voting rule and its settings; rules that compare with asserts are refused. None: the rule `soft`.
        sandbox: Limits and isolation. None: the defaults, with this machine's cores divided among its ranks.
        prefill: Start of every answer that the trainer writes and does not show with the completion, such as the `<think>` that a chat
            template ends in: without it an answer that is cut off in its thinking would be read for its drafts. Where a prompt is a
            text that ends in such a tag, that is seen, and the argument not needed.
        max_missing: Largest share of a batch that the sandbox may lose before `SandboxError` stops the training.
        max_completion_length: The trainer's, in tokens: a completion of that length was cut off, and where it ends in the middle of the
            program, that part is no vote. None: only what cannot be read to its end counts as cut off.

    A row whose entry or inputs are None has nothing to do with this reward, and gets None. So does a completion that the sandbox lost, or
    whose group has no second known one: missing is not zero. A completion without a program, or with one that fails or is cut off, gets 0.

    The sandbox opens at the first call; `close`, the end of a `with` block or of the process ends it. Objects can be pickled; a copy opens
    its own sandbox.

    Raises:
        ValueError: `consensus` compares with asserts, `max_missing` is no share, or `max_completion_length` no number of tokens.
    """

    def __init__(
        self,
        entry: str = "entry",
        inputs: str = "inputs",
        given: str = "given",
        group: str | None = None,
        *,
        consensus: ConsensusConfig | None = None,
        sandbox: SandboxConfig | None = None,
        prefill: str = "",
        max_missing: float = 0.05,
        max_completion_length: int | None = None,
    ) -> None:
        self.entry, self.inputs, self.given, self.group, self.prefill = entry, inputs, given, group, prefill
        self.consensus, self.sandbox, self.max_missing = consensus or ConsensusConfig(), sandbox, max_missing
        self.max_completion_length = max_completion_length
        if self.consensus.needs_expected_outputs:
            raise ValueError("consensus compares with asserts here, and a group has none: use the rule soft, hard or sharp, on outputs")
        if not 0 <= max_missing <= 1:
            raise ValueError(f"max_missing is a share and must lie in [0, 1], got {max_missing}")
        if max_completion_length is not None and max_completion_length < 1:
            raise ValueError(f"max_completion_length is a number of tokens, 1 or more, got {max_completion_length}")
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()  # the sandbox has one run at a time
        self._open = ExitStack()
        self._executor: Steady | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __enter__(self) -> ConsensusReward:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the sandbox. A later call opens it again."""
        with self._lock:
            self._open.close()
            self._executor = None

    def __call__(
        self,
        prompts: Sequence[str | Sequence[Message]],
        completions: Sequence[str | Sequence[Message]],
        completion_ids: Sequence[Sequence[int]] | None = None,
        *,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Rewards of this rank's n completions, in order; a collective call where `torch.distributed` has several ranks.

        Args:
            prompts: n prompts, texts or conversations.
            completions: n completions, texts or lists of messages, of which the last assistant's counts.
            completion_ids: Their tokens, end token included; of them only the number counts (`max_completion_length`).
            log_metric: Gets figures of the whole batch, the same on every rank (`consensus/majority_share`, ...).
            columns: The dataset's columns, lists of n values, and what else the trainer passes.

        Raises:
            ValueError: A column is not there, or holds what cannot be read. On every rank, whichever it was.
            SandboxError: The sandbox cannot start, or lost more than `max_missing` of the batch. On every rank, too.
        """
        mine: list[_ExecutedCompletion | None] | Exception
        try:
            problems = self._problems(prompts, columns)
            answers = [self._start_of(p) + completion_text(c) for p, c in zip(prompts, completions, strict=True)]
            mine = self._execute(problems, answers, self._finished(completion_ids, len(answers)))
        except SandboxError as error:
            mine = SandboxError(str(error))
        except ValueError as error:
            mine = ValueError(str(error))
        parts, rank = gather(mine)
        for part in parts:
            if isinstance(part, Exception):
                raise part
        batch = [row for part in parts for row in part]
        rewards = self._score(batch, log_metric)
        start = sum(len(part) for part in parts[:rank])
        return rewards[start : start + len(parts[rank])]

    def score(
        self, answers: Sequence[str], entry: str, inputs: Sequence[Any], given: str = "", finished: Sequence[bool] | None = None
    ) -> list[float | None]:
        """Rewards of one whole group's n answers, in this process alone: for trainers that show a reward the whole group.

        Args:
            answers: n model answers, each with a program in it.
            entry: Name of the function to write, or `<stdin>`.
            inputs: Test inputs, as in the column.
            given: Code that the prompt gave.
            finished: Which answers came to their end, where that is known.

        Raises:
            ValueError: Entry or inputs cannot be read, or `finished` is of another length.
            SandboxError: The sandbox cannot start, or lost more than one program and more than `max_missing` of the group.
        """
        problem = read_problem("", entry, inputs, given, "inputs")
        ended = [True] * len(answers) if finished is None else list(finished)
        if len(ended) != len(answers):
            raise ValueError(f"finished holds {len(ended)} values for {len(answers)} answers: give one for each")
        judged = self._execute([problem] * len(answers), [self.prefill + answer for answer in answers], ended)
        return self._score(judged, None, least_lost=1)  # one loss of a group is no rate

    def _finished(self, completion_ids: Sequence[Sequence[int]] | None, n: int) -> list[bool]:
        """Which completions are shorter than the trainer lets them be. Raises ValueError where their lengths are not known."""
        if self.max_completion_length is None:
            return [True] * n
        if completion_ids is None:
            raise ValueError("max_completion_length is given, and this trainer does not pass completion_ids: leave it out")
        return [len(ids) < self.max_completion_length for ids in completion_ids]

    def _start_of(self, prompt: str | Sequence[Message]) -> str:
        """What of an answer stands in its prompt."""
        return (opened_thinking(prompt) if isinstance(prompt, str) else "") or self.prefill

    def _problems(self, prompts: Sequence[Any], columns: Mapping[str, Any]) -> list[RewardProblem | None]:
        """The problem of each row; None for rows without an entry or inputs."""
        for name in (self.entry, self.inputs, *([self.group] if self.group is not None else [])):
            if name not in columns:
                there = ", ".join(sorted(name for name, values in columns.items() if isinstance(values, list))) or "none"
                raise ValueError(f"the dataset has no column {name!r}, which ConsensusReward reads; it has: {there}")
        givens = columns.get(self.given) or [None] * len(prompts)
        names = [None] * len(prompts) if self.group is None else columns[self.group]
        read: dict[str, RewardProblem] = {}
        problems: list[RewardProblem | None] = []
        for row, (prompt, entry, inputs, given, name) in enumerate(
            zip(prompts, columns[self.entry], columns[self.inputs], givens, names, strict=True)
        ):
            if entry is None or inputs is None:
                problems.append(None)
                continue
            content = repr((prompt, entry, inputs, given))  # tells types apart that JSON writes alike, and writes what JSON refuses
            if content not in read:
                key = content if self.group is None else repr(name)
                read[content] = read_problem(key, entry, inputs, given or "", f"row {row}, columns {self.entry!r} and {self.inputs!r}")
            problems.append(read[content])
        return problems

    def _execute(
        self, problems: Sequence[RewardProblem | None], answers: Sequence[str], finished: Sequence[bool]
    ) -> list[_ExecutedCompletion | None]:
        """Run this rank's programs, those that are the same but for layout once; None where there is no problem."""
        codes = [
            None if p is None else read_voter(answer, p.entry, p.given, ended)
            for p, answer, ended in zip(problems, answers, finished, strict=True)
        ]
        to_run: dict[tuple[str, tuple[str, ...], str], Program] = {}
        keys = []
        for problem, code in zip(problems, codes, strict=True):
            key = None if problem is None or code is None else (problem.entry, problem.inputs, normal_form(code))
            keys.append(key)
            if key is not None and problem is not None and code is not None:
                to_run.setdefault(key, Program(code, problem.entry, problem.inputs))
        found = {}
        if to_run:
            with self._lock:
                found = dict(zip(to_run, self._opened().run(to_run.values()), strict=True))
        return [
            None if p is None else _ExecutedCompletion(p, no_program(len(p.inputs)) if key is None else found[key], key is not None)
            for p, key in zip(problems, keys, strict=True)
        ]

    def _opened(self) -> Steady:
        """The sandbox that votes are taken from, opened now if it is not."""
        if self._executor is None:
            config = self.sandbox or SandboxConfig(workers=max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
            stack = ExitStack()
            self._executor = Steady(stack.enter_context(Sandbox(config)), self.consensus.recheck)
            stack.callback(self._executor.close)
            self._open = stack
            weakref.finalize(self, stack.close)  # also at the end of the process
        return self._executor

    def _score(
        self, batch: Sequence[_ExecutedCompletion | None], log_metric: Callable[[str, float], None] | None, least_lost: int = 0
    ) -> list[float | None]:
        """Rewards of the whole batch: every group of it is whole. least_lost: programs that may be lost whatever their share."""
        groups: dict[str, list[int]] = {}
        for i, row in enumerate(batch):
            if row is not None:
                groups.setdefault(row.problem.key, []).append(i)
        rule = get_rule(self.consensus)
        rewards: list[float | None] = [None] * len(batch)
        figures: list[tuple[float, float, float]] = []
        for places in groups.values():
            rows = [row for i in places if (row := batch[i]) is not None]
            entry, inputs = rows[0].problem.entry, rows[0].problem.inputs
            if any((row.problem.entry, row.problem.inputs) != (entry, inputs) for row in rows):
                raise ValueError(f"rows of {rows[0].problem.key[:80]} (column {self.group!r}) differ in entry or inputs, and are one group")
            arguments = argument_outcomes(inputs, (self.sandbox or SandboxConfig()).canonicaliser())
            matrix = OutcomeMatrix.from_executions([row.execution for row in rows], None, arguments)
            if int((~matrix.missing).sum()) < LEAST_VOTERS:
                continue
            for i, score in zip(places, rule.scores(matrix), strict=True):
                rewards[i] = None if np.isnan(score) else float(score)
            found = cluster(matrix, self.consensus.rho, tau=1)
            figures.append((found.top_share, float(found.n_clusters), found.entropy))
        rows = [row for row in batch if row is not None]
        lost = sum(row.execution.missing for row in rows)
        if lost > max(least_lost, self.max_missing * len(rows)):
            raise SandboxError(f"the sandbox lost {lost} of {len(rows)} programs ({self.max_missing:.0%} allowed)")
        if log_metric is not None and rows:
            for name, values in zip(("majority_share", "behaviours", "entropy"), zip(*figures, strict=True), strict=False):
                log_metric(f"consensus/{name}", float(np.mean(values)))
            log_metric("consensus/missing", float(lost))
            log_metric("consensus/no_program", float(sum(not row.has_program for row in rows)))
        return rewards
