"""One round, stage by stage. Every method leaves its file in the round's folder and reads it back when it is there already.

    problems.jsonl → suites.jsonl → candidates.jsonl → executions.jsonl → clusters.jsonl → scores.jsonl → checkpoint → metrics.json

Resuming therefore means: the first file that is missing, and in that stage the first part that is missing (`rl.ranks.shards`: every rank
calls every method here, and does its parts). What depends on chance takes its seed from (run seed, round, stage).
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probing.models.loading import load_model, load_tokenizer
from probing.probe.hidden_states import HiddenStates, StateFeatures
from probing.prompts.asking import Asker
from probing.records import Candidate, Problem, TestSuite
from probing.samplers.config import SamplingConfig
from probing.samplers.engines.factory import open_sampler
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
from probing.stages.solutions import sample_solutions, solve_question
from probing.stages.suites import write_suites
from rl.benchmarks.seedling import benchmark_texts
from rl.config.run_folder import write_atomically
from rl.labels.audit import aurocs_against_references, label_is_correct
from rl.labels.bank import (
    Banks,
    ProblemBank,
    distinct_programs,
    execute_bank,
    pick_inputs,
    verdicts_of,
)
from rl.labels.candidate_scores import score_candidates
from rl.labels.consensus_figures import consensus_figures
from rl.labels.frozen_probe import FrozenProbe, fit_frozen_probe, read_answers
from rl.labels.oracle import reference_executions
from rl.loop.sampling_figures import SamplingFigures
from rl.ranks.executor import SharedExecutor
from rl.ranks.sampler import SharedSampler
from rl.ranks.shards import Shards, cut
from rl.ranks.states import SharedStates
from rl.round_files import BankProgram, Verdict, read_bank, read_candidates, read_records, write_bank, write_records, write_rows
from rl.stored import grouped
from rl.training.rollouts import derive_seed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rl.config.schema import Config
    from rl.run import Run


PART_PROBLEMS = 64  # that one rank judges at a time


class Round:
    """Round `index` (from 1) of a run, starting from the checkpoint `policy`."""

    def __init__(self, run: Run, index: int, policy: str) -> None:
        self.run, self.index, self.policy, self.config = run, index, policy, run.config
        self.folder = run.round_folder(index)

    # what the stages share

    @functools.cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return load_model(self.policy, self.config.sampling.device, self.config.sampling.dtype)

    @functools.cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(self.policy)

    @functools.cached_property
    def sampler(self) -> SharedSampler:
        return shared_sampler(self.run, self.folder, self.policy, lambda: self._loaded)

    @functools.cached_property
    def ask(self) -> Asker:
        return asker_of(self.config, self._tokenizer)

    def release(self) -> None:
        """Let go of the checkpoint that stages 1 to 5 loaded."""
        self.__dict__.pop("_loaded", None)

    def seed(self, stage: str) -> int:
        return derive_seed(self.config.seed, self.index, stage)

    def stopped(self) -> bool:
        """Whether a guard ended the run in this round."""
        return bool(json.loads((self.folder / "training.json").read_text()).get("stop_run"))

    @contextmanager
    def _spending(self, stage: str) -> Iterator[None]:
        """Logs how many samples and tokens the block asked of the model."""
        samples, tokens = self.sampler.samples, self.sampler.tokens
        yield
        spent = {f"{stage}/samples": self.sampler.samples - samples, f"{stage}/tokens": self.sampler.tokens - tokens}
        self.run.log("spent", self.index, spent)

    # stages 1 to 3

    def problems(self) -> list[Problem]:
        """Problems that the policy invented, rated and wrote an interface for."""
        return self.run.once(
            self.index, "problems", self.folder / "problems.jsonl", self._invent, write_records, lambda p: read_records(p, Problem)
        )

    def _invent(self) -> list[Problem]:
        config, funnel = self.config.problems, Funnel()
        with (
            self._spending("problems"),
            self.run.bar(self.index, "problems", proposals_asked(config, self.ask.variants), "proposals") as advance,
        ):
            proposals = propose(self.sampler, self.ask, config, self.seed("propose"), advance)
        earlier = self.ask.examples + [
            p.description for r in range(1, self.index) for p in read_records(self.run.round_folder(r) / "problems.jsonl", Problem)
        ]
        texts = benchmark_texts(self.config.evals.benchmarks)
        problems = select_proposals(proposals, config, f"r{self.index:02d}", funnel, earlier, texts)
        asked = ratings_asked(self.sampler, self.ask, len(problems), config)
        with self._spending("rating"), self.run.bar(self.index, "ratings", asked, "ratings") as advance:
            problems = rate(self.sampler, self.ask, problems, config, self.seed("rate"), funnel, advance)
        with self._spending("interface"), self.run.bar(self.index, "interfaces", len(problems), "problems") as advance:
            problems = write_interfaces(self.sampler, self.ask, problems, config, self.seed("interface"), funnel, advance)
        if not problems:
            raise RoundError(f"round {self.index}: not one of {funnel.proposed} proposals is usable; dropped: {dict(funnel.dropped)}")
        figures = {"lexical_entropy_bits": lexical_entropy(p.description for p in problems), "topic_shares": topic_shares(problems)}
        ratings = [p.rating for p in problems if p.rating is not None]
        self.run.log("problems", self.index, {**funnel.as_dict(), **figures, "mean_rating": float(np.mean(ratings))})
        if self.run.main:
            write_atomically(self.folder / "funnel.json", json.dumps({**funnel.as_dict(), **figures}, indent=1))
        return problems

    # stage 4

    def suites(self, problems: Sequence[Problem]) -> list[TestSuite]:
        """A pool of test inputs for each problem."""

        def compute() -> list[TestSuite]:
            funnel = Funnel(proposed=len(problems))
            config, claims = self.config.suites, self.config.consensus.needs_expected_outputs
            asked = len(problems) * config.samples
            with self._spending("test inputs"), self.run.bar(self.index, "test inputs", asked, "answers") as advance:
                suites = write_suites(self.sampler, self.ask, problems, config, self.seed("suites"), funnel, advance, claims)
            if claims and not any(s.asserts for s in suites):
                raise RoundError(
                    f"round {self.index}: consensus compares with asserts, and the model wrote none for any of {len(suites)} problems: "
                    "take consensus.rule soft or hard and consensus.signature outputs"
                )
            written = sum(origin == "model" for s in suites for origin in s.origins)
            total = sum(len(s.inputs) for s in suites)
            self.run.log("suites", self.index, {**funnel.as_dict(), "inputs": total, "model_written_share": written / max(total, 1)})
            return suites

        return self.run.once(
            self.index, "test inputs", self.folder / "suites.jsonl", compute, write_records, lambda p: read_records(p, TestSuite)
        )

    # stage 5

    def candidates(self, problems: Sequence[Problem], suites: Sequence[TestSuite]) -> Sequence[Candidate]:
        """`solutions.samples` solutions of each problem that has inputs."""
        tested = {s.problem_id for s in suites}
        chosen = [p for p in problems if p.id in tested]
        figures = SamplingFigures()

        def compute() -> Iterator[Candidate]:
            asked = len(chosen) * self.config.solutions.samples
            with self.run.bar(self.index, "solutions", asked, "samples") as advance:
                return sample_solutions(self.sampler, self.ask, chosen, self.config.solutions, self.seed("solutions"), advance)

        def write(path: Path, found: Iterable[Candidate]) -> None:
            with self._spending("solutions"):
                write_records(path, figures.counting(found))
            self.run.log("sampling", self.index, figures.as_dict())

        return self.run.once(self.index, "solutions", self.folder / "candidates.jsonl", compute, write, read_candidates)

    def executions(
        self, problems: Sequence[Problem], suites: Sequence[TestSuite], candidates: Sequence[Candidate]
    ) -> Sequence[BankProgram]:
        """Every distinct program on all its problem's inputs, in the sandbox."""
        counts: Counter[str] = Counter()

        def compute() -> Iterator[BankProgram]:
            self.sampler.close()  # an engine of its own gives its memory back
            programs = distinct_programs(candidates)
            with self.run.bar(self.index, "executions", len(programs), "programs") as advance:
                executor = SharedExecutor(self.run.executor, self.run.ranks, self.folder / "parts" / "executions", counts, advance)
                return execute_bank(problems, suites, programs, executor)

        def write(path: Path, bank: Iterable[BankProgram]) -> None:
            write_bank(path, self._few_missing(bank))
            self.run.log_outcomes(self.index, counts)

        return self.run.once(self.index, "executions", self.folder / "executions.jsonl", compute, write, read_bank)

    def _few_missing(self, bank: Iterable[BankProgram]) -> Iterator[BankProgram]:
        """The programs themselves. Raises RoundError after the last of them when our sandbox failed on too many."""
        missing = count = 0
        for program in bank:
            missing, count = missing + program.execution.missing, count + 1
            yield program
        if missing > self.config.grpo.max_missing * max(count, 1):
            raise RoundError(f"round {self.index}: the sandbox failed on {missing} of {count} programs; the run cannot be trusted")

    def verdicts(
        self, problems: Sequence[Problem], suites: Sequence[TestSuite], candidates: Sequence[Candidate], bank: Sequence[BankProgram]
    ) -> list[Verdict]:
        """Execution consensus on each problem; with an oracle, also whether it is right (for the log only)."""
        programs, answers, pool = grouped(bank), grouped(candidates), {s.problem_id: s for s in suites}
        parts = cut([1] * len(suites), PART_PROBLEMS)

        def work(part: int) -> list[Verdict]:
            chosen = [suites[i] for i in parts[part]]
            ids = [suite.problem_id for suite in chosen]
            solutions, keep = self.config.solutions, self.config.suites.inputs
            band = (solutions.band_low, solutions.band_high)
            drawn, ran = [c for i in ids for c in answers.get(i, [])], [p for i in ids for p in programs.get(i, [])]
            verdicts = list(verdicts_of(chosen, drawn, ran, self.config.consensus, keep, band))
            references = self.references(problems, chosen, verdicts)
            return [
                replace(v, label_correct=label_is_correct(v, ProblemBank(programs[v.problem_id], pool[v.problem_id], v.inputs), reference))
                if (reference := references.get(v.problem_id)) is not None
                else v
                for v in verdicts
            ]

        def compute() -> list[Verdict]:
            shards = Shards(
                self.run.ranks,
                self.folder / "parts" / "verdicts",
                len(parts),
                work,
                write_records,
                lambda path: read_records(path, Verdict),
            )
            verdicts = [verdict for part in shards.run() for verdict in part]
            self.run.log("consensus", self.index, consensus_figures(verdicts))
            return verdicts

        return self.run.once(
            self.index, "consensus", self.folder / "clusters.jsonl", compute, write_records, lambda p: read_records(p, Verdict)
        )

    def references(self, problems: Sequence[Problem], suites: Sequence[TestSuite], verdicts: Sequence[Verdict]) -> dict[str, Any]:
        """The oracle's outcomes on each problem's kept inputs; empty unless the run is audited or is an oracle run."""
        if self.run.oracle is None or not (self.config.audit or self.config.grpo.reward == "oracle"):
            return {}
        return reference_executions(self.run.oracle, problems, dict(pick_inputs(suites, verdicts)), self.run.sandbox)

    # the probe

    def probe(
        self,
        problems: Sequence[Problem],
        suites: Sequence[TestSuite],
        candidates: Sequence[Candidate],
        bank: Sequence[BankProgram],
        verdicts: Sequence[Verdict],
    ) -> FrozenProbe:
        """The quality probe on the frozen policy, fitted on consensus labels; scores.jsonl holds every candidate's vote, and the probe's
        score of those that it read.

        Audited, also which candidates are right and how well each score tells (for the log and the report only).
        """

        def compute() -> tuple[FrozenProbe | None, Iterable[dict[str, Any]]]:
            read = read_answers([v.problem_id for v in verdicts if v.kept], grouped(candidates), self.config.probe)
            reader = HiddenStates(*self._loaded, self.config.probe.layers)
            states = self._states(reader, problems, read)
            if not self.run.main:
                return None, []
            banks, references = Banks(suites, bank, verdicts), self.references(problems, suites, verdicts) if self.config.audit else None
            known = score_candidates(verdicts, banks, self.config.consensus, references)
            places = [(c.problem_id, c.index) for c in read]
            sources = known.label_sources(places, self.config.probe.label_margin)
            seed = self.seed("probe") % 2**32
            probe, score_R = fit_frozen_probe(reader, states, sources, [c.problem_id for c in read], self.config.probe, seed)
            rows: Iterable[dict[str, Any]] = known.rows(candidates, dict(zip(places, score_R, strict=True)))
            audit: dict[str, float] = {}
            if self.config.audit:
                rows = list(rows)
                audit = aurocs_against_references(rows)
            self.run.log("probe", self.index, {**asdict(probe.probe.report), **audit})
            return probe, rows

        def write(path: Path, result: tuple[FrozenProbe | None, Iterable[dict[str, Any]]]) -> None:
            assert result[0] is not None
            result[0].save(path.parent)
            write_rows(path, result[1])

        def read(path: Path) -> tuple[FrozenProbe | None, Iterable[dict[str, Any]]]:
            return FrozenProbe.load(path.parent, *self._loaded, self.config.probe), []

        found, _ = self.run.once(self.index, "probe", self.folder / "scores.jsonl", compute, write, read)
        assert found is not None
        return found

    def _states(self, reader: HiddenStates, problems: Sequence[Problem], answers: Sequence[Candidate]) -> StateFeatures | None:
        """The frozen policy's hidden states on some answers, read by all ranks; None on all ranks but the first, or without answers."""
        prompt_of = {p.id: solve_question(self.ask, p).text for p in problems}
        with self.run.bar(self.index, "hidden states", len(answers), "samples") as advance:
            folder = self.folder / "parts" / "states"
            states = SharedStates(reader, [prompt_of[c.problem_id] for c in answers], answers, self.run.ranks, folder, advance)
            states.do_mine()
        return states.all() if self.run.main and answers else None


def asker_of(config: Config, tokenizer: PreTrainedTokenizerBase) -> Asker:
    """How this run asks a checkpoint: its prompt set in the checkpoint's chat format."""
    return Asker.of(tokenizer, config.prompts, config.chat_template_args)


def shared_sampler(
    run: Run, folder: Path, policy: str, load: Callable[[], tuple[Any, Any]], sampling: SamplingConfig | None = None
) -> SharedSampler:
    """The sampler of a checkpoint over all ranks, with its parts in `folder`.

    load: model and tokenizer, where they are at hand. sampling: settings other than the run's.
    """
    config = sampling or run.config.sampling
    draws_itself = config.backend == "transformers"
    return SharedSampler(
        lambda: open_sampler(config, policy, load), run.ranks, folder / "parts", config.part, config.stride, can_choose=draws_itself
    )


class RoundError(RuntimeError):
    """A round that cannot go on, with what the user can look at."""
