"""Config of evaluations: what is measured of each checkpoint, and how its answers are decoded."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from probing.models.chat_template import RESERVED
from probing.section import Section


def _not_reserved(args: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if reserved := sorted(RESERVED & set(args)):
        raise ValueError(f"{', '.join(reserved)} cannot be an argument of the chat template: the prompts decide it")
    return args


TemplateArgs = Annotated[dict[str, JsonValue], AfterValidator(_not_reserved)]


def normal_name(name: str) -> str:
    """The registry's spelling of a benchmark's name. Its options, after a colon, stay as they are: they may be dates.

    >>> normal_name("HumanEval+"), normal_name("LiveCodeBench:v6:2024-08-01")
    ('humaneval_plus', 'livecodebench:v6:2024-08-01')
    """
    key, colon, options = name.strip().partition(":")
    return key.rstrip().lower().replace("+", "_plus").replace("-", "_") + colon + options


class EvalsConfig(Section):
    """What is measured after every round (and once before the first)."""

    benchmarks: tuple[str, ...] = Field(("seedling",), description="benchmarks run after every round")
    prompt: Literal["evalplus", "qwen", "plain"] = Field(
        "evalplus",
        description="how HumanEval and MBPP are asked: as evalplus or Qwen's harness does, or plainly; others have their own prompts",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "float32",
        description="precision of the evaluated weights, whatever sampling says; auto: bfloat16 where the hardware has it; "
        "int8: 8-bit weights, on x86 CPUs",
    )
    chat_template_args: TemplateArgs | None = Field(None, description="arguments of the chat template in evaluations; null: the run's")
    samples: int = Field(16, ge=1, description="completions sampled for each task; pass@k needs k <= samples")
    temperature: float = Field(1.0, ge=0, description="sampling temperature; 0 is greedy")
    sampled: int | None = Field(
        None, ge=1, description="tasks of each benchmark that are sampled so, the first ones; null: all (greedy decoding takes all)"
    )
    greedy: bool = Field(True, description="decode all tasks greedily too, one completion each: the headline: no temperature raises it")
    chosen_on: str | None = Field(
        None,
        description="benchmark on which each checkpoint's best temperature is chosen, never one that is reported; null: no such choice",
    )
    temperatures: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (0.0, 0.2, 0.6, 0.8, 1.0), min_length=1, description="temperatures among which it is chosen, by pass@1"
    )
    choice_samples: int = Field(
        4, ge=1, description="completions of each task at each of these temperatures, and at the best one; one where it is 0"
    )
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus mass")
    max_new_tokens: int = Field(512, ge=1, description="tokens a completion may take")
    limit: int | None = Field(None, ge=1, description="tasks taken from each benchmark; null: all")
    seed: int = Field(1234, ge=0, description="sampling seed of every evaluation, the same in all rounds so that they can be compared")
    bootstrap: int = Field(2000, ge=100, description="resamples of the tasks behind each 95 % interval")

    @property
    def draws(self) -> int:
        """Completions that are sampled for each task: one where decoding is greedy, since all would be the same."""
        return 1 if self.temperature == 0 else self.samples

    @model_validator(mode="after")
    def _chosen_apart(self) -> Self:
        if self.chosen_on is not None and normal_name(self.chosen_on) in map(normal_name, self.benchmarks):
            raise ValueError(
                f"chosen_on is {self.chosen_on}, which is one of the benchmarks: a temperature chosen on the reported tasks flatters the "
                "result; name another, such as seedling_dev, or null"
            )
        return self

    def at(self, temperature: float, samples: int) -> EvalsConfig:
        """The same evaluation at another temperature."""
        return self.model_copy(update={"temperature": temperature, "samples": samples})
