"""The `sampling` section of a run's config."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from probing.section import Section

ONE_CLIENT = 2**31  # a stride that leaves the first rank alone

INT8_PARAMETERS = 50_000_000  # `weights: auto` draws from 8-bit weights on a CPU from so many on, as its description says


class VllmConfig(Section):
    """A vLLM engine in a child process for each rank (`sampling.backend: vllm`)."""

    tensor_parallel: int = Field(1, ge=1, description="GPUs that one engine spans; every so many neighbouring ranks share one engine")
    gpu_memory: float = Field(0.85, gt=0, le=1, description="share of a GPU's memory that the engine takes")
    cpu_cache_gb: int = Field(1, ge=1, description="memory for keys and values where there is no GPU, in GB")
    max_length: int | None = Field(None, ge=16, description="tokens of prompt and answer together; null: the model's own limit")
    start_seconds: float = Field(900.0, gt=0, description="time that an engine may take to start")
    answer_seconds: float = Field(7200.0, gt=0, description="time that it may take over one part before it counts as stuck")
    parity_prompts: int = Field(4, ge=1, description="prompts whose greedy answers must equal transformers' after each start")
    parity_tolerance: float | None = Field(
        None, gt=0, description="nats by which a token may miss transformers' best; null: 0.001 in float32, 0.3 in 16 bits"
    )


class HttpConfig(Section):
    """An OpenAI-compatible server (`sampling.backend: http`)."""

    url: str = Field("http://127.0.0.1:8000/v1", description="base address of the API, up to and with /v1")
    model: str | None = Field(None, description="name under which the server has the checkpoint; null: the checkpoint's own path")
    key_variable: str = Field("OPENAI_API_KEY", description="environment variable that holds the API key, if one is needed")
    requests: int = Field(16, ge=1, description="requests under way at once")
    timeout: float = Field(600.0, gt=0, description="seconds that one request may take")
    patience: float = Field(900.0, ge=0, description="seconds of failing and waiting, for a server to come back, before the run stops")
    retokenise: bool = Field(
        False, description="for servers that return no token ids: tokenise their text again, spreading each answer's logprob evenly"
    )
    text_only: bool = Field(
        False,
        description="for servers of which no more than text can be asked (llama.cpp's, Ollama, a hosted API): prompts go as text, one "
        "answer a request, and its logprob stays unknown where the server gives none; `ucoder solve` sets it by itself; not for runs",
    )
    parity_prompts: int = Field(
        4, ge=0, description="prompts whose greedy answers must fit the checkpoint before a round begins; 0: unchecked"
    )
    parity_tolerance: float = Field(0.3, gt=0, description="nats by which a token may miss the checkpoint's best")


class RaySamplingConfig(Section):
    """Samplers on a Ray cluster (`sampling.backend: ray`); the checkpoint must lie on a disk that its nodes see."""

    address: str | None = Field(None, description="address of the cluster; null: as Ray finds it, else a cluster of this machine's own")
    engine: Literal["transformers", "vllm"] = Field("transformers", description="what each replica samples with")
    replicas: int = Field(2, ge=1, description="samplers on the cluster")
    cpus: float = Field(1.0, gt=0, description="CPUs that Ray reserves for a replica")
    gpus: float = Field(0.0, ge=0, description="GPUs that Ray reserves for a replica")


class SamplingConfig(Section):
    """Which sampler draws the samples, and on what. Temperature and length are set by each stage."""

    backend: Literal["transformers", "vllm", "http", "ray"] = Field("transformers", description="engine that draws the samples")
    batch_size: int = Field(256, ge=1, description="most sequences decoded at once")
    part: int = Field(2048, ge=1, description="samples in one part of a stage: what one rank draws at a time, and what a kill can lose")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="auto: bfloat16 where the hardware has it")
    weights: Literal["auto", "full", "int8"] = Field(
        "auto",
        description="of the backend transformers: int8 samples from a copy with 8-bit weights, on x86 CPUs; full: as dtype says; "
        "auto: int8 where that is faster, on such a CPU in float32 from 50 million parameters",
    )
    vllm: VllmConfig = Field(default_factory=VllmConfig, description="settings of the backend vllm")
    http: HttpConfig = Field(default_factory=HttpConfig, description="settings of the backend http")
    ray: RaySamplingConfig = Field(default_factory=RaySamplingConfig, description="settings of the backend ray")

    @model_validator(mode="after")
    def _parity_needs_token_ids(self) -> Self:
        for name in ("retokenise", "text_only"):
            if getattr(self.http, name) and self.http.parity_prompts:
                raise ValueError(f"sampling.http.{name} leaves no token ids to compare: set sampling.http.parity_prompts to 0 beside it")
        return self

    @model_validator(mode="after")
    def _int8_has_a_sampler(self) -> Self:
        engine = self.ray.engine if self.backend == "ray" else self.backend
        if self.weights == "int8" and (engine != "transformers" or self.device.startswith("cuda")):
            where = f"sampling.device is {self.device}" if engine == "transformers" else f"samples are drawn by {engine}"
            raise ValueError(f"sampling.weights: int8 is for the transformers sampler on a CPU, and {where}: set sampling.weights to auto")
        if self.weights == "int8" and self.dtype not in ("auto", "float32"):
            raise ValueError(f"sampling.weights: int8 computes in float32, and sampling.dtype is {self.dtype}: set it to auto or float32")
        return self

    @property
    def stride(self) -> int:
        """Of every so many neighbouring ranks one samples: an engine may span several devices, and a cluster wants one client."""
        return {"vllm": self.vllm.tensor_parallel, "ray": ONE_CLIENT}.get(self.backend, 1)
