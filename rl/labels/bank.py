"""The bank of a problem: its distinct programs with their outcomes, as matrices and votes over all candidates.

A candidate without a program is a wrong answer that has no vote; a program that our infrastructure failed on is missing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from probing.records import Candidate, Problem, TestSuite
from rewards.clusters.hidden import hidden_difference
from rewards.clusters.inputs import InputsConfig, quality_report
from rewards.clusters.signatures import OutcomeMatrix
from rewards.clusters.theorem import optimistic_bound
from rewards.judge.judging import Judgement, judge
from rewards.judge.programs import Executor
from rewards.outcomes.literals import argument_outcomes, claimed_outputs
from rewards.outcomes.typed import Canonicaliser
from rewards.programs.normal_form import normal_form
from rewards.records import Execution, Outcome, Program
from rewards.rules.consensus import ConsensusConfig
from rewards.rules.soft import Soft
from rl.round_files import BOUND_ERROR, BankProgram, Verdict
from rl.stored import grouped


def distinct_programs(candidates: Sequence[Candidate]) -> list[tuple[str, str, tuple[int, ...]]]:
    """(problem id, program, candidates) of programs that differ after normalisation of their syntax trees."""
    found: dict[tuple[str, bytes], tuple[str, list[int]]] = {}  # a digest of the normal form is enough to tell programs apart
    for candidate in candidates:
        if candidate.code is not None:
            key = candidate.problem_id, hashlib.sha256(normal_form(candidate.code).encode(errors="surrogatepass")).digest()
            found.setdefault(key, (candidate.code, []))[1].append(candidate.index)
    return [(problem_id, code, tuple(who)) for (problem_id, _), (code, who) in found.items()]


def execute_bank(
    problems: Sequence[Problem],
    suites: Sequence[TestSuite],
    programs: Sequence[tuple[str, str, tuple[int, ...]]],
    sandbox: Executor,
) -> Iterator[BankProgram]:
    """Every distinct program on its problem's whole pool of inputs."""
    entry = {p.id: p.entry for p in problems}
    inputs = {s.problem_id: s.inputs for s in suites}
    executions = sandbox.run(Program(code, entry[pid], inputs[pid]) for pid, code, _ in programs)
    return (BankProgram(pid, code, who, execution) for (pid, code, who), execution in zip(programs, executions, strict=True))


class ProblemBank:
    """One problem's programs on some of its inputs, ready to vote."""

    def __init__(
        self,
        programs: Sequence[BankProgram],
        suite: TestSuite,
        columns: Sequence[int] | None = None,
        canonical: Canonicaliser | None = None,
    ) -> None:
        """columns: the suite's inputs to look at (default: its whole pool). canonical: of the sandbox that ran the programs
        (`SandboxConfig.canonicaliser`; default: that of the default settings)."""
        inputs = suite.inputs
        self.programs = list(programs)
        self.columns = list(range(len(inputs))) if columns is None else list(columns)
        self.inputs = tuple(inputs[j] for j in self.columns)
        self.executions = [Execution(tuple(p.execution.outcomes[j] for j in self.columns), p.execution.seconds) for p in programs]
        self.arguments: tuple[tuple[Outcome, ...], ...] = tuple(map(tuple, argument_outcomes(self.inputs, canonical)))
        weights = [len(p.candidates) for p in programs]
        self.expected = tuple(claimed_outputs(suite.asserts, self.inputs, canonical)) if suite.asserts else None
        self.matrix = OutcomeMatrix.from_executions(self.executions, weights, self.arguments, self.expected)

    def known(self) -> dict[str, Execution]:
        """Executions by the normal form of the program, so that rollouts equal to one need not run. Those that our sandbox lost are left
        out: they say nothing of the program."""
        return {normal_form(p.program): e for p, e in zip(self.programs, self.executions, strict=True) if not e.missing}

    def spread(self, values: Sequence[float] | np.ndarray, n: int, default: float) -> np.ndarray:
        """float64[n]: a value of each program, given to each of its candidates; `default` for candidates without a program."""
        out = np.full(n, default, dtype=np.float64)
        for value, program in zip(values, self.programs, strict=True):
            out[list(program.candidates)] = value
        return out


class Banks(Mapping[str, ProblemBank]):
    """Each problem's programs on the inputs that its verdict kept, made when asked for; the last one is remembered."""

    def __init__(
        self,
        suites: Sequence[TestSuite],
        bank: Sequence[BankProgram],
        verdicts: Sequence[Verdict],
        canonical: Canonicaliser | None = None,
    ) -> None:
        """canonical: see `ProblemBank`."""
        self.programs, self.suites = grouped(bank), {s.problem_id: s for s in suites}
        self.verdicts = {v.problem_id: v for v in verdicts}
        self._canonical = canonical
        self._last: tuple[str, ProblemBank] | None = None

    def __getitem__(self, problem_id: str) -> ProblemBank:
        if self._last is None or self._last[0] != problem_id:
            verdict = self.verdicts[problem_id]
            programs = self.programs.get(problem_id, [])
            self._last = problem_id, ProblemBank(programs, self.suites[problem_id], verdict.inputs, self._canonical)
        return self._last[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.verdicts)

    def __len__(self) -> int:
        return len(self.verdicts)


def verdicts_of(
    suites: Sequence[TestSuite],
    candidates: Sequence[Candidate],
    bank: Sequence[BankProgram],
    consensus: ConsensusConfig,
    keep_inputs: int,
    band: tuple[float, float],
    canonical: Canonicaliser | None = None,
) -> Iterator[Verdict]:
    """Judges each problem (`rewards.judge.judging`), and says which to train on: those whose top share lies in the band.

    canonical: see `ProblemBank`.
    """
    programs, answers, selection = grouped(bank), grouped(candidates), InputsConfig(keep=keep_inputs)
    for suite in suites:
        everything = ProblemBank(programs.get(suite.problem_id, []), suite, canonical=canonical)
        drawn = answers.get(suite.problem_id, [])
        logprob = {c.index: c.mean_logprob for c in drawn}
        quality = np.array([max(logprob[i] for i in program.candidates) for program in everything.programs])
        judged = judge(everything.matrix, consensus, selection, quality)
        found = judged.clustering
        yield Verdict(
            problem_id=suite.problem_id,
            inputs=tuple(judged.kept.tolist()),
            labels=tuple(int(label) for label in everything.spread(found.labels, len(drawn), -1)),
            counts=tuple(int(c) for c in found.counts),
            top=found.top,
            top_share=round(found.top_share, 6),
            margin=round(found.margin, 6),
            entropy=round(found.entropy, 6),
            n_valid=found.n_valid,
            kept=found.in_band(*band),
            dead_share=None if judged.dead_share is None else round(judged.dead_share, 6),
            not_offered=sum(len(p.candidates) for p in everything.programs if p.execution.absent_module is not None),
            **(telling_apart(everything.matrix, judged, selection) if len(judged.kept) else {}),
        )


def telling_apart(pool: OutcomeMatrix, judged: Judgement, selection: InputsConfig) -> dict[str, Any]:
    """The verdict's figures on how well the inputs that it kept of the pool tell programs apart; None where not measured."""
    matrix, clustering = judged.matrix, judged.clustering
    quality, bound = quality_report(matrix, clustering, selection), optimistic_bound(matrix, clustering, BOUND_ERROR)
    hidden = hidden_difference(pool, clustering, BOUND_ERROR, len(judged.kept))
    known = not math.isnan(bound.p)
    return {
        "input_rank": quality.rank if clustering.top >= 0 else None,
        "duplicate_share": round(quality.duplicate_share, 6),
        "wrong_agreement": round(bound.p, 6) if known else None,
        "optimistic_bound": round(bound.bound, 6) if known else None,
        "hidden_difference": None if hidden.share is None else round(hidden.share, 6),
        "pool_needed": hidden.needed,
    }


@dataclass(frozen=True, eq=False)
class CandidateVotes:
    """What consensus says of each of a problem's n candidates, float64[n], NaN where our infrastructure failed: what probes learn from."""

    in_top: np.ndarray  # 1 in the winning cluster, else 0; NaN where nobody won
    margin: np.ndarray  # of the problem
    agreement: np.ndarray  # leave-one-out, mean over inputs (a(r) in docs/method.md); 0 without a valid program
    cluster_share: np.ndarray  # of the candidate's own cluster; 0 without one


def candidate_votes(verdict: Verdict, bank: ProblemBank, rho: float) -> CandidateVotes:
    """bank: the problem's programs on the inputs that the verdict kept."""
    n, label_N = len(verdict.labels), np.array(verdict.labels, dtype=np.int64)
    lost_N = bank.spread(bank.matrix.missing.astype(np.float64), n, 0.0) > 0.5

    def known(values: np.ndarray | float) -> np.ndarray:
        return np.where(lost_N, np.nan, values)

    return CandidateVotes(
        in_top=known(label_N == verdict.top) if verdict.top >= 0 else np.full(n, np.nan),
        margin=known(verdict.margin),
        agreement=known(bank.spread(np.nan_to_num(Soft(rho).scores(bank.matrix)), n, 0.0)),
        cluster_share=known(np.append(verdict.counts, 0)[label_N] / max(verdict.n_valid, 1)),
    )


def pick_inputs(suites: Sequence[TestSuite], verdicts: Sequence[Verdict]) -> Mapping[str, tuple[str, ...]]:
    """The kept inputs of each problem."""
    pool = {s.problem_id: s.inputs for s in suites}
    return {v.problem_id: tuple(pool[v.problem_id][j] for j in v.inputs) for v in verdicts if v.inputs}
