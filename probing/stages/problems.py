"""Stages 1 to 3: the model invents problems, rates them and writes their interfaces (paper, section 2: problem space probing).

Every answer is parsed, never trusted: what is malformed, too like another, known from a benchmark, badly rated or without a
valid interface is dropped, and the reason is counted in the `Funnel`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from probing.parsing.interfaces import parse_interface
from probing.parsing.proposals import Unreadable, read_proposal
from probing.parsing.stdin_proposals import read_stdin_proposal
from probing.prompts.asking import Ask, answers_to
from probing.reading.text import answer_text
from probing.records import Problem
from probing.samplers.base import Progress, Sampler, SamplingParams, chooses
from probing.stages.config import ProblemsConfig
from probing.stages.proposals import Drawn

if TYPE_CHECKING:
    from datasketch import MinHash

TOP_RATING = 9  # ratings are digits from 0 to 9
PERMUTATIONS = 64  # hash functions of a MinHash sketch


@dataclass
class Funnel:
    """How many problems were proposed and kept, and why the others were dropped; for self-made ones also which.

    Proposals are numbered from 0, in the order in which `select_proposals` saw them.
    """

    proposed: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    problem_of: dict[int, str] = field(default_factory=dict)  # number of a proposal that passed `select_proposals` -> id of its problem
    reasons: dict[int | str, str] = field(default_factory=dict)  # number of a proposal, or id of a problem -> why it was dropped

    def drop(self, reason: str, which: int | str | None = None) -> None:
        """which: the number of a proposal, or the id of a problem, where the caller knows it."""
        self.dropped[reason] += 1
        if which is not None:
            self.reasons[which] = reason

    def reason_of(self, proposal: int) -> str | None:
        """Why a proposal gave no problem; None where it gave one."""
        return self.reasons.get(proposal, self.reasons.get(self.problem_of.get(proposal, "")))

    def as_dict(self) -> dict[str, object]:
        return {"proposed": self.proposed, "kept": self.kept, "dropped": dict(sorted(self.dropped.items()))}


def words_of(text: str) -> list[str]:
    """The words, numbers and other characters of a text, in lower case."""
    return re.findall(r"[a-z]+|\d+|[^\sa-z\d]", text.lower())


def ngrams(text: str, n: int) -> set[str]:
    """Runs of n words (or all of a shorter text)."""
    words = words_of(text)
    return {" ".join(words[i : i + n]) for i in range(max(len(words) - n + 1, 1))}


def sketch(text: str) -> MinHash:
    """The MinHash of a text's runs of three words."""
    from datasketch import MinHash  # not in a light install, whose commands import this module for their --help

    found = MinHash(num_perm=PERMUTATIONS, seed=1)
    found.update_batch([gram.encode() for gram in ngrams(text, 3)])
    return found


def select_proposals(
    proposals: Iterable[Drawn],
    config: ProblemsConfig,
    prefix: str,
    funnel: Funnel,
    known: Iterable[str] = (),
    benchmark_texts: Iterable[str] = (),
) -> list[Problem]:
    """Well-formed proposals that are like no earlier one (nor any of `known`) and share no long run of words with a benchmark."""
    from datasketch import MinHashLSH

    forbidden: set[str] = set()
    for text in benchmark_texts:
        forbidden |= ngrams(text, config.decontamination_ngram)
    index = MinHashLSH(threshold=config.near_duplicate, num_perm=PERMUTATIONS)
    for i, text in enumerate(known):
        index.insert(f"known-{i}", sketch(text))
    kept: list[Problem] = []
    read = read_stdin_proposal if config.io == "stdin" else read_proposal
    for number, drawn in enumerate(proposals):
        funnel.proposed += 1
        try:
            problem = replace(read(drawn.answer.text, drawn.topic, prefix), beyond=drawn.beyond)
        except Unreadable as reason:
            funnel.drop(str(reason) if drawn.answer.finished else "cut off", number)
            continue
        found = sketch(problem.description)
        if index.query(found):
            funnel.drop("near duplicate", number)
        elif ngrams(problem.description, config.decontamination_ngram) & forbidden:
            funnel.drop("benchmark overlap", number)
        else:
            index.insert(f"new-{len(kept)}", found)
            funnel.problem_of[number] = problem.id
            kept.append(problem)
    return kept


_RATING = re.compile(r"^\s*\**(?:Clarity|Completeness|Quality|Rating)\**\s*:\s*\**(\d)\b", re.MULTILINE | re.IGNORECASE)


def parse_rating(text: str) -> float | None:
    """Mean of the scores of an answer such as `Clarity: 8`, in [0, 1]; None when there is none."""
    scores = [int(digit) for digit in _RATING.findall(answer_text(text))]
    return sum(scores) / len(scores) / TOP_RATING if scores else None


def ratings_of(
    sampler: Sampler,
    ask: Ask,
    descriptions: Sequence[str],
    config: ProblemsConfig,
    seed: int,
    progress: Progress | None = None,
) -> list[float | None]:
    """Stage 2's question: the model's mean rating of each statement in [0, 1], None where no answer could be read.

    Where the prompt set names the digits to choose among and the sampler can read their probabilities, the rating is their mean; else
    `config.ratings_per_problem` answers are drawn, as for statements behind which the model's tokenizer has no single token for a digit.
    """
    questions = [ask("rate", description=d) for d in descriptions]
    choices = questions[0].choices if questions else ()
    ratings: list[float | None] = [None] * len(questions)
    drawn = list(range(len(questions)))
    if choices and chooses(sampler):
        found = sampler.choose([question.text for question in questions], choices, progress)
        for place, shares in enumerate(found):
            if shares is not None:
                ratings[place] = sum(int(digit) * share for digit, share in zip(choices, shares, strict=True)) / TOP_RATING
        drawn, progress = [place for place, shares in enumerate(found) if shares is None], None  # which has counted them
    if drawn:
        params = SamplingParams(1.0, 1.0, config.rating_max_new_tokens)
        answers = answers_to(sampler, [questions[place] for place in drawn], config.ratings_per_problem, params, seed, progress)
        for place, group in zip(drawn, answers, strict=True):
            read = [score for score in (parse_rating(answer.text) for answer in group) if score is not None]
            ratings[place] = sum(read) / len(read) if read else None
    return ratings


def ratings_asked(sampler: Sampler, ask: Ask, problems: int, config: ProblemsConfig) -> int:
    """Answers, or choices, that `ratings_of` asks for."""
    choosing = chooses(sampler) and bool(ask("rate", description="").choices)
    return problems * (1 if choosing else config.ratings_per_problem)


def rate(
    sampler: Sampler,
    ask: Ask,
    problems: Sequence[Problem],
    config: ProblemsConfig,
    seed: int,
    funnel: Funnel,
    progress: Progress | None = None,
) -> list[Problem]:
    """Stage 2: the problems whose own rating reaches the cut-off."""
    ratings = ratings_of(sampler, ask, [p.description for p in problems], config, seed, progress)
    kept = []
    for problem, rating in zip(problems, ratings, strict=True):
        if rating is None:
            funnel.drop("unrated", problem.id)
        elif rating < config.rating_cutoff:
            funnel.drop("low rating", problem.id)
        else:
            kept.append(replace(problem, rating=rating))
    return kept


def write_interfaces(
    sampler: Sampler,
    ask: Ask,
    problems: Sequence[Problem],
    config: ProblemsConfig,
    seed: int,
    funnel: Funnel,
    progress: Progress | None = None,
) -> list[Problem]:
    """Stage 3: the problems with the interface that the model wrote for them; those without a valid one are dropped."""
    params = SamplingParams(0.0, 1.0, config.interface_max_new_tokens)
    questions = [ask("interface", description=p.description, entry=p.entry, signature=p.signature) for p in problems]
    answers = answers_to(sampler, questions, 1, params, seed, progress)
    kept = []
    for problem, (answer,) in zip(problems, answers, strict=True):
        interface = parse_interface(answer.text, problem.entry)
        if interface is None:
            funnel.drop("no interface", problem.id)
        else:
            kept.append(replace(problem, interface=interface))
    funnel.kept = len(kept)
    return kept


def lexical_entropy(texts: Iterable[str]) -> float:
    """Entropy in bits of the distribution of words over all texts (the paper reports 3.64 bits of token entropy)."""
    counts = Counter(word for text in texts for word in words_of(text))
    total = sum(counts.values())
    return -sum(c / total * math.log2(c / total) for c in counts.values()) if total else 0.0


def topic_shares(problems: Sequence[Problem]) -> dict[str, float]:
    """Share of the problems by topic, in [0, 1], topics sorted."""
    counts = Counter(p.topic for p in problems)
    return {topic: count / len(problems) for topic, count in sorted(counts.items())}
