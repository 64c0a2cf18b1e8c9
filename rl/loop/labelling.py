"""From solutions to labels: every program runs in the sandbox, consensus votes on each problem, and the probe learns from the votes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from probing.probe.hidden_states import HiddenStates, StateFeatures
from probing.records import Candidate
from probing.stages.solutions import solve_question
from rewards.records import Kind
from rl.labels.audit import aurocs_against_references, label_is_correct
from rl.labels.bank import Banks, ProblemBank, distinct_programs, execute_bank, verdicts_of
from rl.labels.candidate_scores import score_candidates
from rl.labels.frozen_probe import FrozenProbe, choose_answers, fit_frozen_probe
from rl.labels.repeats import behaviours_of, find_repeats, without_repeats
from rl.loop.figures import band_by_depth, consensus_figures, repeat_figures
from rl.loop.round import Round, RoundError
from rl.ranks.executor import SharedExecutor, discard_lost
from rl.ranks.shards import Shards, cut
from rl.ranks.states import SharedStates
from rl.round_files import (
    BEHAVIOURS,
    EXECUTIONS,
    VERDICTS,
    BankProgram,
    Stage,
    Verdict,
    read_behaviours,
    read_records,
    write_bank,
    write_behaviours,
    write_records,
    write_rows,
)
from rl.stored import grouped

PART_PROBLEMS = 64  # that one rank judges at a time


def execute_candidates(current: Round) -> None:
    """Every distinct program on all its problem's inputs, in the sandbox."""
    run, counts, parts = current.run, Counter[str](), current.folder / "parts" / "executions"

    def compute() -> Iterator[BankProgram]:
        current.sampler.close()  # an engine of its own gives its memory back
        programs = distinct_programs(current.candidates)
        with run.bar(current.index, EXECUTIONS.name, len(programs), "programs") as advance:
            executor = SharedExecutor(run.executor, run.ranks, parts, counts, advance)
            return execute_bank(current.problems, current.suites, programs, executor)

    def write(path: Path, bank: Iterable[BankProgram]) -> None:
        write_bank(path, _few_missing(current, bank, parts))
        run.log_outcomes(current.index, counts)

    current.executions = run.once(current.index, EXECUTIONS, compute, write)


def _few_missing(current: Round, bank: Iterable[BankProgram], parts: Path) -> Iterator[BankProgram]:
    """The programs themselves. Raises RoundError after the last of them when our sandbox failed on too many; the parts that hold these are
    removed, for a part that is there is not executed again. On the first rank alone: the others wait for the stage's file by then.
    """
    missing = count = 0
    for program in bank:
        missing, count = missing + program.execution.missing, count + 1
        yield program
    if missing > current.config.grpo.max_missing * max(count, 1):
        discard_lost(parts)
        said = f"round {current.index}: the sandbox failed on {missing} of {count} programs; the run cannot be trusted"
        raise RoundError(f"{said}. The next start runs them again")


def take_votes(current: Round) -> None:
    """Execution consensus on each problem; with an oracle, also whether it is right (for the log only)."""
    current.verdicts = current.run.once(current.index, VERDICTS, lambda: _vote(current))


def _vote(current: Round) -> list[Verdict]:
    run, config, suites = current.run, current.config, current.suites
    programs, answers, pool = grouped(current.executions), grouped(current.candidates), {s.problem_id: s for s in suites}
    parts = cut([1] * len(suites), PART_PROBLEMS)
    band, canonical = (config.solutions.band_low, config.solutions.band_high), config.sandbox.canonicaliser()

    def work(part: int) -> list[Verdict]:
        chosen = [suites[i] for i in parts[part]]
        ids = [suite.problem_id for suite in chosen]
        drawn, ran = [c for i in ids for c in answers.get(i, [])], [p for i in ids for p in programs.get(i, [])]
        verdicts = list(verdicts_of(chosen, drawn, ran, config.consensus, config.suites.inputs, band, canonical))
        references = current.references(verdicts)
        return [
            replace(
                v,
                label_correct=label_is_correct(v, ProblemBank(programs[v.problem_id], pool[v.problem_id], v.inputs, canonical), reference),
            )
            if (reference := references.get(v.problem_id)) is not None
            else v
            for v in verdicts
        ]

    folder = current.folder / "parts" / "verdicts"
    shards = Shards(run.ranks, folder, len(parts), work, write_records, lambda path: read_records(path, Verdict))
    verdicts = [verdict for part in shards.run() for verdict in part]
    repeats: dict[str, int] = {}
    if config.solutions.repeats == "drop":
        verdicts, repeats = _drop_repeats(current, verdicts)
    depth = band_by_depth(current.problems, verdicts) if config.problems.depth else {}
    run.log("consensus", current.index, consensus_figures(verdicts) | repeats | depth)
    return verdicts


def _drop_repeats(current: Round, verdicts: Sequence[Verdict]) -> tuple[list[Verdict], dict[str, int]]:
    """The verdicts without the repeats of earlier problems, and figures of these. Leaves the round's own behaviours for later rounds."""
    run, counts = current.run, Counter[str]()
    new = behaviours_of(current.problems, current.suites, current.executions, verdicts)
    known = [b for r in range(1, current.index) for b in read_behaviours(run.round_folder(r) / BEHAVIOURS)]

    def executor_of(name: str) -> SharedExecutor:
        return SharedExecutor(run.executor, run.ranks, current.folder / "parts" / "repeats" / name, counts, lambda done: None)

    repeats = find_repeats(new, known, executor_of)
    if run.main:
        write_behaviours(current.folder / BEHAVIOURS, (b for b in new if b.problem_id not in repeats))
    verdicts = without_repeats(verdicts, repeats)
    return verdicts, repeat_figures(verdicts) | {"repeats_outcomes_lost": counts[Kind.INFRASTRUCTURE.value]}


Fitted = tuple[FrozenProbe | None, Iterable[dict[str, Any]]]  # the probe (on the first rank), and the lines of scores.jsonl


def fit_probe(current: Round) -> None:
    """The quality probe on the frozen teacher, fitted on consensus labels; scores.jsonl holds every candidate's vote, and the probe's
    score of those that it read.

    Audited, also which candidates are right and how well each score tells (for the log and the report only).
    """

    def write(path: Path, fitted: Fitted) -> None:
        assert fitted[0] is not None
        fitted[0].save(path.parent)
        write_rows(path, fitted[1])

    def read(path: Path) -> Fitted:
        return FrozenProbe.load(path.parent, *current.loaded.load(), current.config.probe), ()

    stage = Stage("probe", "scores.jsonl", write, read)
    current.probe, _ = current.run.once(current.index, stage, lambda: _fit(current))


def _fit(current: Round) -> Fitted:
    config, verdicts = current.config, current.verdicts
    read = choose_answers([v.problem_id for v in verdicts if v.kept], grouped(current.candidates), config.probe)
    reader = HiddenStates(*current.loaded.load(), config.probe.layers)
    states = _states(current, reader, read)
    if not current.run.main:
        return None, ()
    banks = Banks(current.suites, current.executions, verdicts, config.sandbox.canonicaliser())
    references = current.references(verdicts) if config.audit else None
    known = score_candidates(verdicts, banks, config.consensus, references)
    places = [(c.problem_id, c.index) for c in read]
    sources = known.label_sources(places, config.probe.label_margin)
    seed = current.seed("probe") % 2**32
    probe, score_R = fit_frozen_probe(reader, states, sources, [c.problem_id for c in read], config.probe, seed)
    rows: Iterable[dict[str, Any]] = known.rows(current.candidates, dict(zip(places, score_R, strict=True)))
    audit: dict[str, float] = {}
    if config.audit:
        rows = list(rows)
        audit = aurocs_against_references(rows)
    current.run.log("probe", current.index, {**asdict(probe.probe.report), **audit})
    return probe, rows


def _states(current: Round, reader: HiddenStates, answers: Sequence[Candidate]) -> StateFeatures | None:
    """The teacher's hidden states on some answers, read by all ranks; None on all ranks but the first, or without answers."""
    problems = {p.id: p for p in current.problems}
    prompts = [solve_question(current.ask, problems[c.problem_id], c.view).text for c in answers]
    given = [(c.token_ids, c.code) for c in answers]
    with current.run.bar(current.index, "hidden states", len(answers), "samples") as advance:
        folder = current.folder / "parts" / "states"
        states = SharedStates(reader, prompts, given, current.run.ranks, folder, advance)
        states.do_mine()
    return states.all() if current.run.main and answers else None
