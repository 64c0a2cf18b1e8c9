"""Stages 1 to 5 of a round: what is asked of the teacher (`rl.loop.teacher`). Problems, ratings and interfaces; test inputs; solutions."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probing.probe.hidden_states import HiddenStates
from probing.records import SELF_MADE, Candidate, Problem, TestSuite
from probing.stages.config import ProblemsConfig
from probing.stages.problems import (
    Funnel,
    lexical_entropy,
    rate,
    ratings_asked,
    select_proposals,
    topic_shares,
    write_interfaces,
)
from probing.stages.proposals import proposals_asked, propose
from probing.stages.solutions import has_two_views, sample_solutions
from probing.stages.suites import write_suites
from rl.benchmarks.seedling import benchmark_texts
from rl.config.run_folder import write_atomically
from rl.config.schema import Config
from rl.console import warn
from rl.loop.figures import SamplingFigures, depth_figures
from rl.loop.round import Round, RoundError
from rl.own.lengths import contexts_of, fitting
from rl.own.samples import CandidateReader, CollectedSamples
from rl.own.signatures import complete
from rl.ranks.shards import Shards, cut
from rl.round_files import CANDIDATES, PROBLEMS, PROPOSALS, SUITES, VERDICTS, Proposal, Verdict, read_records, write_records


def make_problems(current: Round) -> None:
    """Stages 1 to 3: problems that the teacher invented, rated and, where solutions are functions (`problems.io`), wrote an interface for;
    or the user's own, of which only what is missing is written (`problems.source`); or both (`problems.share`).
    """
    current.problems = current.run.once(current.index, PROBLEMS, lambda: _problems(current))


def problems_asked(config: Config, index: int) -> ProblemsConfig:
    """The section `problems`, with the count of a round: round 1 asks for those as well that are kept apart (`choice.proposals`)."""
    extra = config.choice.proposals if index == 1 else 0
    return config.problems.model_copy(update={"count": config.problems.count + extra})


def own_rows(config: Config, index: int) -> tuple[int, int]:
    """(place of the first, number) of the rows of `problems.source` that a round takes: those after the rounds' before it."""
    counts = []
    for number in range(1, index + 1):
        asked = problems_asked(config, number)
        counts.append(asked.count - min(round(asked.share * asked.count), asked.count - 1))
    return sum(counts[:-1]), counts[-1]


def _problems(current: Round) -> list[Problem]:
    run, index, config, own = current.run, current.index, problems_asked(current.config, current.index), current.run.own
    funnel = Funnel()
    problems: list[Problem] = []
    figures: dict[str, Any] = {}
    if own is None:
        problems, figures = _invent(current, config, funnel, [])
    else:
        start, count = own_rows(current.config, index)
        drawn = own.problems.draw(index, start, count, funnel)
        drawn = fitting(drawn, current.ask, current.config, contexts_of(current.config.sampling, current.teacher), funnel)
        if made := config.count - count:
            described = [p.description for p in drawn]
            problems, figures = _invent(current, config.model_copy(update={"count": made}), funnel, described)
        completed = _complete(current, drawn, funnel)
        problems = [*problems, *completed]
        figures["own"] = len(completed)
        if config.io == "function":
            figures["own_without_interface"] = sum(p.interface is None for p in completed)
    funnel.kept = len(problems)
    if not problems:
        raise RoundError(f"round {index}: not one of {funnel.proposed} proposals is usable; dropped: {dict(funnel.dropped)}")
    figures |= {"lexical_entropy_bits": lexical_entropy(p.description for p in problems), "topic_shares": topic_shares(problems)}
    ratings = [p.rating for p in problems if p.rating is not None]
    run.log("problems", index, {**funnel.as_dict(), **figures, **({"mean_rating": float(np.mean(ratings))} if ratings else {})})
    if run.main:
        write_atomically(current.folder / "funnel.json", json.dumps({**funnel.as_dict(), **figures}, indent=1))
    return problems


def _invent(current: Round, config: ProblemsConfig, funnel: Funnel, others: Sequence[str]) -> tuple[list[Problem], dict[str, Any]]:
    """Self-made problems, and figures of the steps beyond solved ones. others: further statements that they may not repeat."""
    run, index, ask = current.run, current.index, current.ask
    solved = solved_problems(current) if config.depth else []
    asked = proposals_asked(config, ask.variants, len(solved))
    with current.spending("problems"), run.bar(index, "problems", asked, "proposals") as advance:
        proposals = propose(current.sampler, ask, config, current.seed("propose"), solved, advance)
    examples = ask.stdin_examples if config.io == "stdin" else ask.examples
    earlier = examples + [p.description for r in range(1, index) for p in read_records(run.round_folder(r) / PROBLEMS.file, Problem)]
    texts = benchmark_texts(current.config.evals.benchmarks)
    problems = select_proposals(proposals, config, f"r{index:02d}", funnel, [*earlier, *others], texts)
    asked = ratings_asked(current.sampler, ask, len(problems), config)
    with current.spending("rating"), run.bar(index, "ratings", asked, "ratings") as advance:
        problems = rate(current.sampler, ask, problems, config, current.seed("rate"), funnel, advance)
    if config.io == "function":
        with current.spending("interface"), run.bar(index, "interfaces", len(problems), "problems") as advance:
            problems = write_interfaces(current.sampler, ask, problems, config, current.seed("interface"), funnel, advance)
    if current.config.proposer is not None and run.main:
        kept = [
            Proposal(
                drawn.prompt,
                drawn.topic,
                drawn.answer.text,
                drawn.answer.token_ids,
                funnel.problem_of.get(i),
                funnel.reason_of(i),
                drawn.beyond,
            )
            for i, drawn in enumerate(proposals)
        ]  # with their fates so far, for stage 6 to train on (`rl.loop.proposer`)
        PROPOSALS.write(current.folder / PROPOSALS.file, kept)
    if not config.depth:
        return problems, {}
    return problems, depth_figures(solved, proposals, problems)


def is_solved(verdict: Verdict, band_high: float) -> bool:
    """Whether more than this share of all answers is in the winning cluster, and no cluster of constant programs is larger."""
    return verdict.top >= 0 and verdict.margin >= 0 and verdict.counts[verdict.top] > band_high * len(verdict.labels)


def solved_problems(current: Round) -> list[Problem]:
    """Self-made problems of earlier rounds to which more than `solutions.band_high` of the answers behave alike: nothing is left to learn
    there. Answers that have no vote count, too: where most fail, the few that agree are no sign of a problem that is solved.
    """
    high, found = current.config.solutions.band_high, []
    for number in range(1, current.index):
        folder = current.run.round_folder(number)
        settled = {v.problem_id for v in read_records(folder / VERDICTS.file, Verdict) if is_solved(v, high)}
        found += [p for p in read_records(folder / PROBLEMS.file, Problem) if p.id in settled and p.source == SELF_MADE]
    return found


def _complete(current: Round, problems: Sequence[Problem], funnel: Funnel) -> list[Problem]:
    """The user's problems with what their rows lack: functions their signature and interface, programs nothing."""
    if current.config.problems.io == "stdin":
        return list(problems)
    seeds = current.seed("signature"), current.seed("interface")
    bar = functools.partial(current.run.bar, current.index)
    with current.spending("own problems"):
        return complete(current.sampler, current.ask, problems, current.config.problems, seeds, funnel, bar)


def make_suites(current: Round) -> None:
    """Stage 4: a pool of test inputs for each problem."""
    current.suites = current.run.once(current.index, SUITES, lambda: _write_inputs(current))


def _write_inputs(current: Round) -> list[TestSuite]:
    run, index, problems, funnel = current.run, current.index, current.problems, Funnel(proposed=len(current.problems))
    config, claims = current.config.suites, current.config.consensus.needs_expected_outputs
    asked = len(problems) * config.samples
    with current.spending("test inputs"), run.bar(index, "test inputs", asked, "answers") as advance:
        suites = write_suites(current.sampler, current.ask, problems, config, current.seed("suites"), funnel, advance, claims)
    if claims and not any(s.asserts for s in suites):
        raise RoundError(
            f"round {index}: consensus compares with asserts, and the model wrote none for any of {len(suites)} problems: "
            "take consensus.rule soft or hard and consensus.signature outputs"
        )
    written = sum(origin == "model" for s in suites for origin in s.origins)
    total = sum(len(s.inputs) for s in suites)
    run.log("suites", index, {**funnel.as_dict(), "inputs": total, "model_written_share": written / max(total, 1)})
    return suites


def draw_candidates(current: Round) -> None:
    """Stage 5: `solutions.samples` solutions of each problem that has inputs; or those that were collected (`solutions.source`)."""
    run, tested = current.run, {s.problem_id for s in current.suites}
    chosen = [p for p in current.problems if p.id in tested]
    collected = None if run.own is None else run.own.samples
    figures = SamplingFigures()

    def compute() -> Iterator[Candidate]:
        if collected is not None:
            return _collected(current, chosen, collected)
        config = current.config.solutions
        alone = sum(not has_two_views(p) for p in chosen)
        if config.views > 1 and alone and run.main:
            warn(f"solutions.views: {alone} of {len(chosen)} problems have one view alone: they are programs or have no title")
        with run.bar(current.index, CANDIDATES.name, len(chosen) * config.samples, "samples") as advance:
            return sample_solutions(current.sampler, current.ask, chosen, config, current.seed("solutions"), advance)

    def write(path: Path, found: Iterable[Candidate]) -> None:
        with current.spending("solutions"):
            write_records(path, figures.counting(found))
        logged = figures.as_dict()
        if collected is not None:
            logged.pop("tokens_per_second", None)  # nothing was sampled
        run.log("sampling", current.index, logged)

    current.candidates = run.once(current.index, CANDIDATES, compute, write)


def _collected(current: Round, problems: Sequence[Problem], samples: CollectedSamples) -> Iterator[Candidate]:
    """The collected candidates of each problem, with the policy's logprobs, which the ranks share. This rank's share is read at once."""
    run, texts = current.run, [samples.of(problem) for problem in problems]
    parts = cut([len(found) for found in texts], current.config.sampling.part)
    with run.bar(current.index, "collected solutions", sum(map(len, texts)), "samples") as advance:

        def work(part: int) -> list[Candidate]:
            model, tokenizer = current.loaded.load()
            reader = CandidateReader(current.ask, tokenizer, HiddenStates(model, tokenizer), current.config.solutions.max_new_tokens)
            found = []
            for i in parts[part]:
                found += reader.candidates(problems[i], texts[i])
                advance(len(texts[i]))
            return found

        folder = current.folder / "parts" / "collected"
        shards = Shards(run.ranks, folder, len(parts), work, write_records, lambda path: read_records(path, Candidate))
        shards.do_mine()  # before it returns: the first rank alone goes through the result

    def joined() -> Iterator[Candidate]:
        count = 0
        for part in shards.results():
            count += len(part)
            yield from part
        total = sum(map(len, texts))
        run.log("collected", current.index, {"samples": total, "too_long": total - count})

    return joined()
