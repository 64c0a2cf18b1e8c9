"""What a run asks the model for: the config sections of stages 1 to 5 (ground floor).

Only the questions: how many, how long, at what temperature, what is dropped. How they are sampled is `probing.samplers.config`;
how the answers are executed and judged belongs to the floors above.
"""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from probing.records import SELF_MADE
from probing.section import Section

HUB = "hub:"
FILES = (".jsonl", ".jsonl.gz")
TOPICS = (
    "integers and digits",
    "lists of integers",
    "strings",
    "lists of words",
    "dictionaries and pairs",
    "sorting and searching",
    "matrices and grids",
    "intervals and dates",
    "recursion and trees",
    "graphs",
    "dynamic programming",
    "parsing and formatting",
)


class ProblemsConfig(Section):
    """Stages 1 to 3: invented problems, their rating, their interface."""

    source: str = Field(
        SELF_MADE,
        description="where statements are from; self: the model invents them; FILE.jsonl or hub:DATASET[:SPLIT]: your own",
    )
    io: Literal["function", "stdin"] = Field(
        "function", description="what a solution is; function: one that is called; stdin: a program that reads standard input and prints"
    )
    share: float = Field(0.0, ge=0, lt=1, description="share of self-made problems that is mixed with those of your own `source`")
    count: int = Field(256, ge=1, description="problems a round: proposed, or taken from `source`, before any is dropped")
    depth: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of self-made problems that are asked for as a step beyond one that an earlier round solved: more than "
        "solutions.band_high of its answers behave alike. Four for each such problem at most, the rest by topic",
    )
    topics: tuple[str, ...] = Field(TOPICS, min_length=1, description="topics asked for, in turn")
    temperature: float = Field(1.0, gt=0, description="sampling temperature of a proposal")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus mass of a proposal")
    max_new_tokens: int = Field(512, ge=1, description="tokens a proposal may take")
    near_duplicate: float = Field(0.8, gt=0, le=1, description="Jaccard similarity of word 3-grams from which on a problem is dropped")
    decontamination_ngram: int = Field(10, ge=1, description="words in a row shared with a benchmark that drop a problem")
    ratings_per_problem: int = Field(1, ge=1, description="times the model rates each problem; the mean counts")
    rating_cutoff: float = Field(0.5, ge=0, le=1, description="mean rating, in [0, 1], below which a problem is dropped")
    rating_max_new_tokens: int = Field(64, ge=1, description="tokens a rating may take")
    interface_max_new_tokens: int = Field(256, ge=1, description="tokens an interface (signature and docstring) may take")

    @field_validator("source")
    @classmethod
    def _source_is_readable(cls, value: str) -> str:
        if value != SELF_MADE and not value.startswith(HUB) and not value.endswith(FILES):
            raise ValueError(f"{value!r} is neither {SELF_MADE}, nor a file FILE.jsonl (or FILE.jsonl.gz), nor {HUB}DATASET[:SPLIT]")
        if value.startswith(HUB) and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?(:[\w.\[\]%:+-]+)?", value.removeprefix(HUB)):
            raise ValueError(f"write {HUB}OWNER/DATASET or {HUB}OWNER/DATASET:SPLIT, not {value!r}")
        return value

    @model_validator(mode="after")
    def _share_is_of_something(self) -> Self:
        if self.share and self.source == SELF_MADE:
            raise ValueError(f"share ({self.share:g}) mixes self-made problems with your own, but source is {SELF_MADE}: name your source")
        return self

    @model_validator(mode="after")
    def _depth_is_of_something(self) -> Self:
        if self.depth and not self.self_made:
            raise ValueError(
                f"depth ({self.depth:g}) is a share of the problems that the model invents, and with source {self.source} it invents none: "
                "set depth to 0, or mix self-made problems in (share)"
            )
        return self

    @property
    def self_made(self) -> bool:
        """Whether the model invents problems, all or some of them."""
        return self.source == SELF_MADE or self.share > 0


class SuitesConfig(Section):
    """Stage 4: test inputs. Expected outputs are asked for only where consensus compares with them."""

    inputs: int = Field(100, ge=1, description="inputs wanted for each problem")
    samples: int = Field(4, ge=1, description="answers sampled for each problem, each with several inputs")
    temperature: float = Field(0.6, gt=0, description="sampling temperature of an answer: below 1, as unreadable inputs are wasted")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus mass of an answer")
    max_new_tokens: int = Field(512, ge=1, description="tokens an answer may take")
    pool: int = Field(200, ge=1, description="inputs considered (model-written, then mutated) before the most telling `inputs` are kept")

    @model_validator(mode="after")
    def _pool_holds_inputs(self) -> Self:
        if self.pool < self.inputs:
            raise ValueError(f"pool ({self.pool}) is smaller than inputs ({self.inputs}): raise pool or lower inputs")
        return self


class SolutionsConfig(Section):
    """Stage 5: the bank of sampled solutions, and which problems are worth training on."""

    source: str = Field(
        SELF_MADE,
        description="where solutions are from; self: the policy samples them; FILE.jsonl: collected elsewhere, for your own problems",
    )
    samples: int = Field(128, ge=2, description="solutions sampled for each problem (n in docs/method.md)")
    views: int = Field(
        1,
        ge=1,
        le=2,
        description="ways in which solutions are asked for; 2: half of the samples see the problem's title in place of the docstring that "
        "the model wrote, so that a docstring which says something else than the statement loses votes",
    )
    temperature: float = Field(1.0, gt=0, description="sampling temperature of a solution")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus mass of a solution")
    max_new_tokens: int = Field(512, ge=1, description="tokens a solution may take")
    band_low: float = Field(0.3, ge=0, le=1, description="least share of the largest cluster: below it a problem is hopeless")
    band_high: float = Field(0.8, ge=0, le=1, description="greatest share of the largest cluster: above it nothing is left to learn")
    repeats: Literal["keep", "drop"] = Field(
        "keep",
        description="self-made problems in the band whose winner behaves like that of a problem of an earlier round, or of one of the same "
        "round with a larger margin; keep: trained on as others are; drop: left out, and counted",
    )

    @field_validator("source")
    @classmethod
    def _source_is_readable(cls, value: str) -> str:
        if value != SELF_MADE and not value.endswith(FILES):
            raise ValueError(f"{value!r} is neither {SELF_MADE} nor a file FILE.jsonl (or FILE.jsonl.gz)")
        return value

    @model_validator(mode="after")
    def _band_is_a_band(self) -> Self:
        if self.band_low >= self.band_high:
            raise ValueError(f"band_low ({self.band_low}) is not below band_high ({self.band_high}): no problem would be kept")
        return self

    @model_validator(mode="after")
    def _views_share_samples(self) -> Self:
        if self.samples % self.views:
            raise ValueError(f"samples ({self.samples}) cannot be shared among {self.views} views: give an even number")
        if self.views > 1 and self.source != SELF_MADE:
            raise ValueError(f"views ({self.views}) is how solutions are asked for, and these are collected (source): leave views at 1")
        return self
