"""Stages 1 to 5 of a round: what is asked of the policy. Problems, ratings and interfaces; test inputs; solutions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from probing.records import Candidate, Problem, TestSuite
from probing.stages.problems import (
    Funnel,
    lexical_entropy,
    proposals_asked,
    propose,
    rate,
    ratings_asked,
    select_proposals,
    topic_shares,
    write_interfaces,
)
from probing.stages.solutions import sample_solutions
from probing.stages.suites import write_suites
from rl.benchmarks.seedling import benchmark_texts
from rl.config.run_folder import write_atomically
from rl.loop.round import Round, RoundError
from rl.loop.sampling_figures import SamplingFigures
from rl.round_files import CANDIDATES, PROBLEMS, SUITES, read_records, write_records


def make_problems(current: Round) -> None:
    """Stages 1 to 3: problems that the policy invented, rated and wrote an interface for."""
    current.problems = current.run.once(current.index, PROBLEMS, lambda: _invent(current))


def _invent(current: Round) -> list[Problem]:
    run, index, ask, config, funnel = current.run, current.index, current.ask, current.config.problems, Funnel()
    with current.spending("problems"), run.bar(index, "problems", proposals_asked(config, ask.variants), "proposals") as advance:
        proposals = propose(current.sampler, ask, config, current.seed("propose"), advance)
    earlier = ask.examples + [p.description for r in range(1, index) for p in read_records(run.round_folder(r) / PROBLEMS.file, Problem)]
    texts = benchmark_texts(current.config.evals.benchmarks)
    problems = select_proposals(proposals, config, f"r{index:02d}", funnel, earlier, texts)
    asked = ratings_asked(current.sampler, ask, len(problems), config)
    with current.spending("rating"), run.bar(index, "ratings", asked, "ratings") as advance:
        problems = rate(current.sampler, ask, problems, config, current.seed("rate"), funnel, advance)
    with current.spending("interface"), run.bar(index, "interfaces", len(problems), "problems") as advance:
        problems = write_interfaces(current.sampler, ask, problems, config, current.seed("interface"), funnel, advance)
    if not problems:
        raise RoundError(f"round {index}: not one of {funnel.proposed} proposals is usable; dropped: {dict(funnel.dropped)}")
    figures = {"lexical_entropy_bits": lexical_entropy(p.description for p in problems), "topic_shares": topic_shares(problems)}
    ratings = [p.rating for p in problems if p.rating is not None]
    run.log("problems", index, {**funnel.as_dict(), **figures, "mean_rating": float(np.mean(ratings))})
    if run.main:
        write_atomically(current.folder / "funnel.json", json.dumps({**funnel.as_dict(), **figures}, indent=1))
    return problems


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
    """Stage 5: `solutions.samples` solutions of each problem that has inputs."""
    run, tested = current.run, {s.problem_id for s in current.suites}
    chosen = [p for p in current.problems if p.id in tested]
    figures = SamplingFigures()

    def compute() -> Iterator[Candidate]:
        config = current.config.solutions
        with run.bar(current.index, CANDIDATES.name, len(chosen) * config.samples, "samples") as advance:
            return sample_solutions(current.sampler, current.ask, chosen, config, current.seed("solutions"), advance)

    def write(path: Path, found: Iterable[Candidate]) -> None:
        with current.spending("solutions"):
            write_records(path, figures.counting(found))
        run.log("sampling", current.index, figures.as_dict())

    current.candidates = run.once(current.index, CANDIDATES, compute, write)
