"""The `sampling` section of a run's config."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SamplingConfig(BaseModel):
    """Which sampler draws the samples, and on what. How hot and how long is each stage's own affair."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Literal["transformers"] = Field("transformers", description="engine that draws the samples")
    batch_size: int = Field(256, ge=1, description="most sequences decoded at once")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="auto: bfloat16 where the hardware has it")
