"""From rollouts to rewards: extract, execute, let the bank vote, ask the frozen probe, mix (docs/method.md, "The quantities").

Each rank executes and probes its own rollouts; their outcomes are then gathered and every rank scores the whole batch,
because a group may straddle ranks (trl issue 3896) and consensus over a slice would be silently wrong.

Nothing here can read a reference solution: tasks carry none. Audit and oracle arm, which do, live in `rl.labels.audit`.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from probing.probe.drift import DriftAudit
from probing.samplers.base import Completion
from rewards.clusters.clustering import rivals_of, winner_of
from rewards.clusters.signatures import OutcomeMatrix, concatenate, no_program, signature_rows
from rewards.judge.programs import Executor
from rewards.mixed import MixedConfig, centred_within, flat_groups, mix
from rewards.programs.normal_form import normal_form
from rewards.records import Execution, Program
from rewards.rules.consensus import ConsensusConfig
from rl.scoring.scores import BatchScores, RolloutScore, batch_figures
from rl.scoring.tasks import GrpoTask, Signal


class ScoringError(RuntimeError):
    """The sandbox or probe failed on so many rollouts that training on the rest would mislead."""


ReadProgram = Callable[[str, str, str, bool], str | None]  # answer, entry, code that the prompt gave, whether it is finished -> program


class Quality(Protocol):
    """The probe on the round's teacher, which is frozen."""

    gate: float  # g in [0, 1], the weight that it earned on held-out problems

    def evidence(self, prompts: Sequence[str], completions: Sequence[Completion], codes: Sequence[str | None]) -> Sequence[float | None]:
        """Log-odds that each rollout belongs to the right cluster, up to a constant of its problem; None where it cannot be told.

        codes: the program in each rollout.
        """
        ...

    def probability(self, centred_evidence: np.ndarray) -> np.ndarray:
        """float64[n]: calibrated, from evidence less its group's mean; NaN stays NaN."""
        ...


class Auditor(Protocol):
    """Looks at finished scores and returns figures for the log. It returns nothing else, so it cannot touch a reward."""

    def metrics(self, groups: Sequence[tuple[GrpoTask, Sequence[RolloutScore]]]) -> dict[str, float]: ...


@dataclass(frozen=True)
class _ExecutedRollout:
    """What a rank finds out about a rollout of its own, and sends to the others."""

    problem_id: str
    has_code: bool
    execution: Execution
    n_tokens: int
    logprob: float  # of the whole rollout under the policy, nats; NaN: unknown


class RolloutScorer:
    """Scores batches of rollouts. One object a round; `score` is called by every rank with its own slice.

    signal: `ConsensusSignal(get_rule(config))` in a label-free run. read: the program in an answer (`probing.reading.read_voter`).
    drift: lowers the probe's weight when its AUROC on the rollouts falls. max_missing: share of a batch that may be missing
    before ScoringError. cache: executions remembered, in programs. consensus: what makes a bank's winner, and what equals it
    (default: `ConsensusConfig()`).
    """

    def __init__(
        self,
        tasks: Sequence[GrpoTask],
        executor: Executor,
        read: ReadProgram,
        signal: Signal,
        mixed: MixedConfig,
        quality: Quality | None = None,
        auditor: Auditor | None = None,
        max_missing: float = 0.05,
        cache: int = 20_000,
        drift: DriftAudit | None = None,
        consensus: ConsensusConfig | None = None,
    ) -> None:
        self.tasks = {task.problem_id: task for task in tasks}
        if len(self.tasks) != len(tasks):
            raise ValueError("two tasks share a problem id: ids must be unique within a run")
        self.executor, self.read, self.signal, self.mixed = executor, read, signal, mixed
        self.quality, self.drift, self.auditor, self.max_missing = quality, drift, auditor, max_missing
        self.consensus = consensus or ConsensusConfig()
        self.probe_muted = False
        self.probe_seconds = 0.0  # processor time that the probe has taken in this process
        self._winners: dict[str, OutcomeMatrix | None] = {}
        self._rivals: dict[str, OutcomeMatrix | None] = {}
        self.n_executed = 0  # programs that this rank had to run
        self._cache: OrderedDict[tuple[str, str], Execution] = OrderedDict()
        self._cache_size = cache

    @property
    def gate(self) -> float:
        """g, the probe's weight now: what it earned, lowered for drift; 0 without a probe and once it is muted."""
        if self.quality is None or self.probe_muted:
            return 0.0
        return self.quality.gate if self.drift is None else min(self.quality.gate, self.drift.weight)

    def mute_probe(self) -> None:
        """Set the probe's weight to 0 for the rest of the round (its scores are still logged)."""
        self.probe_muted = True

    def state(self) -> dict[str, Any]:
        """What `restore` needs, to go on in another process (JSON)."""
        return {"probe_muted": self.probe_muted, "drift": None if self.drift is None else self.drift.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.probe_muted = state["probe_muted"]
        if self.drift is not None:
            self.drift.restore(state["drift"] or [])

    def score(
        self,
        problem_ids: Sequence[str],
        completions: Sequence[Completion],
        group_size: int,
        step: int,
        gather: Callable[[list[Any]], list[Any]] | None = None,
        rank: int = 0,
    ) -> BatchScores:
        """Rewards of the whole batch, rollouts in the order of ranks and rows.

        problem_ids, completions: this rank's slice, n rollouts each. gather: joins the ranks' lists in rank order (None: one
        process). rank: this process's place among them. Raises ScoringError when more than `max_missing` of the batch is missing.
        """
        mine, gather = slice(rank * len(completions), (rank + 1) * len(completions)), gather or list
        codes = self._codes([self.tasks[problem_id] for problem_id in problem_ids], completions)
        rollouts: list[_ExecutedRollout] = gather(self._executed(problem_ids, completions, codes))
        assert len(rollouts) % group_size == 0, "a batch must hold whole groups"
        groups = [rollouts[i : i + group_size] for i in range(0, len(rollouts), group_size)]
        group_N = np.repeat(np.arange(len(groups)), group_size)
        consensus = np.concatenate([self._group_scores(rows, f"{step}/{g}") for g, rows in enumerate(groups)])
        contested = self._contested(groups)
        probe = None
        if self.quality is not None:  # asked about groups with a contrast only: it has no weight in the others
            asked_N = ~flat_groups(consensus if contested is None else np.where(contested, np.nan, consensus), group_N)
            evidence = gather(self._evidence(problem_ids, completions, codes, asked_N[mine]))
            probe = self.quality.probability(centred_within(np.array(evidence, dtype=np.float64), group_N))
        weights = [self.tasks[row.problem_id].weight for row in rollouts]
        logprobs = [row.logprob for row in rollouts]
        breakdown = mix(consensus, probe, group_N, self.gate, self.mixed, weights, logprobs, contested)
        scores = [
            RolloutScore(row.problem_id, row.has_code, row.execution, part, row.n_tokens)
            for row, part in zip(rollouts, breakdown, strict=True)
        ]
        missing = sum(s.reward.missing for s in scores) / len(scores)
        if missing > self.max_missing:
            raise ScoringError(
                f"step {step}: {missing:.0%} of {len(scores)} rollouts could not be scored ({self.max_missing:.0%} allowed): "
                "the sandbox or the probe fails; see the outcome counts in the log"
            )
        by_group = [(self.tasks[scores[i].problem_id], scores[i : i + group_size]) for i in range(0, len(scores), group_size)]
        metrics = batch_figures(by_group, self.gate) | self._follow_drift(by_group)
        if contested is not None:
            metrics["contested"] = float(contested.sum())
        if self.auditor is not None:
            metrics |= self.auditor.metrics(by_group)
        return BatchScores(scores, metrics)

    def _codes(self, tasks: Sequence[GrpoTask], completions: Sequence[Completion]) -> list[str | None]:
        """The program in each rollout."""
        return [self.read(task.prefill + c.text, task.entry, task.given, c.finished) for task, c in zip(tasks, completions, strict=True)]

    def _executed(
        self, problem_ids: Sequence[str], completions: Sequence[Completion], codes: Sequence[str | None]
    ) -> list[_ExecutedRollout]:
        """This rank's rollouts, executed: identical programs once."""
        executions = self._execute([self.tasks[problem_id] for problem_id in problem_ids], codes)
        return [
            _ExecutedRollout(problem_id, code is not None, execution, len(c.token_ids), float(sum(c.logprobs)))
            for problem_id, code, execution, c in zip(problem_ids, codes, executions, completions, strict=True)
        ]

    def _evidence(
        self, problem_ids: Sequence[str], completions: Sequence[Completion], codes: Sequence[str | None], asked: np.ndarray
    ) -> list[float]:
        """The probe's evidence on this rank's rollouts; NaN where it was not asked (bool[n]) or cannot tell."""
        assert self.quality is not None
        started = time.process_time()
        places = np.flatnonzero(asked).tolist()
        prompts = [self.tasks[problem_ids[i]].prompt for i in places]
        evidence = [math.nan] * len(completions)
        found_of = self.quality.evidence(prompts, [completions[i] for i in places], [codes[i] for i in places])
        for place, found in zip(places, found_of, strict=True):
            evidence[place] = math.nan if found is None else float(found)
        self.probe_seconds += time.process_time() - started
        return evidence

    def winner_shares(self, tasks: Sequence[GrpoTask], completions: Sequence[Sequence[Completion]]) -> list[float | None]:
        """For each task with a bank, the share of its completions that behave like the bank's winner; None where nobody won there.

        Raises ScoringError when the sandbox lost more than `max_missing` of them, and more than those of one task, which may be one that
        cannot be run here: a mean over the rest would be one of other problems.
        """
        flat = [task for task, group in zip(tasks, completions, strict=True) for _ in group]
        found = self._execute(flat, self._codes(flat, [c for group in completions for c in group]))
        lost = sum(execution.missing for execution in found)
        if lost > max(self.max_missing * len(found), *map(len, completions), 0):
            said = f"held-out problems: the sandbox lost {lost} of {len(found)} answers ({self.max_missing:.0%} allowed)"
            raise ScoringError(f"{said}. The next start runs them again")
        executions = iter(found)
        shares: list[float | None] = []
        for task, group in zip(tasks, completions, strict=True):
            label_N = self._labels(task, [next(executions) for _ in group])
            known = label_N[~np.isnan(label_N)]
            shares.append(float(known.mean()) if len(known) else None)
        return shares

    def _winner(self, task: GrpoTask) -> OutcomeMatrix | None:
        """The one row of the bank that stands for its winning cluster; None where nobody won."""
        if task.problem_id not in self._winners:
            rho, tau, signature = self.consensus.rho, self.consensus.tau, self.consensus.signature
            self._winners[task.problem_id] = None if task.bank is None else winner_of(task.bank, rho, tau, signature)
        return self._winners[task.problem_id]

    def _labels(self, task: GrpoTask, executions: Sequence[Execution]) -> np.ndarray:
        """float64[n]: 1 for programs that behave like the bank's winner, 0 for others, NaN where missing or where nobody won."""
        winner = self._winner(task)
        if winner is None:
            return np.full(len(executions), np.nan)
        return np.where([e.missing for e in executions], np.nan, self._alike(winner, task, executions))

    def _alike(self, rows: OutcomeMatrix, task: GrpoTask, executions: Sequence[Execution]) -> np.ndarray:
        """bool[n]: programs whose signature equals that of any of k rows of the bank."""
        found = signature_rows(concatenate(rows, task.matrix(executions)), self.consensus.signature)
        return (found[rows.n_programs :, None] == found[None, : rows.n_programs]).all(axis=2).any(axis=1)

    def _contested(self, groups: Sequence[Sequence[_ExecutedRollout]]) -> np.ndarray | None:
        """bool[N]: rollouts that behave like a cluster which the bank's winner has not clearly beaten; None where that is not asked."""
        if not self.mixed.contest:
            return None
        marks = []
        for rows in groups:
            task = self.tasks[rows[0].problem_id]
            if task.problem_id not in self._rivals:
                voting = self.mixed.contest, self.consensus.rho, self.consensus.tau, self.consensus.signature
                self._rivals[task.problem_id] = None if task.bank is None else rivals_of(task.bank, *voting)
            rivals = self._rivals[task.problem_id]
            executions = [row.execution for row in rows]
            marks.append(np.zeros(len(rows), dtype=bool) if rivals is None else self._alike(rivals, task, executions))
        return np.concatenate(marks)

    def _follow_drift(self, groups: Sequence[tuple[GrpoTask, Sequence[RolloutScore]]]) -> dict[str, float]:
        """Shows the drift audit a scored batch, which sets the probe's weight from the next batch on; its figure."""
        if self.quality is None or self.drift is None:
            return {}
        scores = [np.nan if s.reward.probe is None else s.reward.probe for _, rows in groups for s in rows]
        labels = np.concatenate([self._labels(task, [s.execution for s in rows]) for task, rows in groups])
        self.drift.observe(scores, labels, np.repeat(np.arange(len(groups)), [len(rows) for _, rows in groups]))
        return {"probe_auroc_drifting": self.drift.auroc}

    def _execute(self, tasks: Sequence[GrpoTask], codes: Sequence[str | None]) -> list[Execution]:
        keys = [None if code is None else (task.problem_id, normal_form(code)) for task, code in zip(tasks, codes, strict=True)]
        found: dict[tuple[str, str], Execution] = {}
        to_run: dict[tuple[str, str], Program] = {}
        for task, key, code in zip(tasks, keys, codes, strict=True):
            if key is None or code is None or key in found or key in to_run:
                continue
            execution = task.known.get(key[1]) or self._cache.get(key)
            if execution is not None:
                found[key] = execution
            else:
                to_run[key] = Program(code, task.entry, task.inputs)
        for key, execution in zip(to_run, self.executor.run(list(to_run.values())), strict=True):
            found[key] = execution
            if not execution.missing:  # our failure: worth another try next time
                self._cache[key] = execution
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        self.n_executed += len(to_run)
        return [no_program(len(task.inputs)) if key is None else found[key] for task, key in zip(tasks, keys, strict=True)]

    def _group_scores(self, rows: Sequence[_ExecutedRollout], key: str) -> np.ndarray:
        assert len({row.problem_id for row in rows}) == 1, "a group's rollouts must share their problem"
        return self.signal.scores(self.tasks[rows[0].problem_id], [row.execution for row in rows], key)
