"""The `sampling` section of a run's config."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from probing.samplers.base import SamplingParams


class SamplingConfig(BaseModel):
    """Which sampler draws the samples, and how.

    >>> SamplingConfig(temperature=0.8).params().temperature
    0.8
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Literal["transformers"] = Field("transformers", description="engine that draws the samples")
    temperature: float = Field(1.0, ge=0, description="0 is greedy decoding")
    top_p: float = Field(1.0, gt=0, le=1, description="probability mass kept; 1 keeps the whole vocabulary")
    max_new_tokens: int = Field(256, ge=1, description="tokens, end token included")
    batch_size: int = Field(256, ge=1, description="most sequences decoded at once")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="auto: bfloat16 where the hardware has it")

    def params(self) -> SamplingParams:
        """The knobs that a `Sampler.sample` call takes."""
        return SamplingParams(self.temperature, self.top_p, self.max_new_tokens)
