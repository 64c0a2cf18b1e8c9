"""The sections `sandbox` (limits, lanes and isolation) and `execution` (on which machines) of the config."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from probing.section import Section
from rewards.outcomes.typed import Canonicaliser


class SandboxError(RuntimeError):
    """The sandbox cannot do its work here (never a verdict on a program)."""


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


class SandboxConfig(Section):
    """How model-written programs are run. Times are seconds, sizes as the names say."""

    workers: int = Field(default_factory=available_cores, ge=1, le=512, description="worker processes, one program at a time each")
    seconds_per_input: float = Field(1.0, gt=0, le=600, description="processor time for one call; four times as much by the clock")
    seconds_per_program: float = Field(10.0, gt=0, le=3600, description="clock time for all calls of one program")
    max_timeouts: int = Field(2, ge=1, description="after so many timeouts the program's remaining inputs count as timeouts too")
    seconds_per_run: float | None = Field(None, gt=0, description="clock time for one run() call; what is left then is missing")
    memory_mb: int = Field(512, ge=64, le=65536, description="address space of a child beyond its interpreter")
    output_kb: int = Field(256, ge=1, le=65536, description="printed output, and canonical text of a result, for one call")
    source_kb: int = Field(1024, ge=1, le=1536, description="longest program that is accepted; longer ones are refused")
    scratch_mb: int = Field(
        16, ge=1, le=4096, description="private scratch folder (only inside bubblewrap; elsewhere nothing can be written)"
    )
    file_modes: bool = Field(False, description="let programs change the modes of files in the scratch folder, as shutil.copy does")
    clock: Literal["fixed", "real"] = Field("fixed", description="the date and time that programs read: the same for all, or the machine's")
    significant_digits: int = Field(10, ge=1, le=17, description="digits at which floats are compared")
    whole_floats: bool = Field(True, description="whether an outcome 1.0 is another one than 1")
    digest_over: int = Field(1000, ge=100, description="characters above which a digest stands for a result's canonical text")
    isolation: Literal["auto", "bwrap", "nobwrap"] = Field("auto", description="bubblewrap where it works, always, or never")
    unsafe: bool = Field(False, description="run even with neither namespaces nor seccomp")
    packages: tuple[str, ...] = Field(
        (), description="installed packages that programs may import, with what those require: names of distributions or of modules"
    )
    environment: Path | None = Field(
        None, description="virtual environment whose interpreter runs programs and offers the packages; none: ucoder's own"
    )
    fast_lane: bool = Field(True, description="let programs that are proved tame share a child")
    fast_batch: int = Field(64, ge=1, le=256, description="tame programs in one child")
    fast_seconds: float = Field(0.25, gt=0, le=60, description="a call in the fast lane that takes longer moves to the strict lane")
    recheck_share: float = Field(0.01, ge=0, le=1, description="share of the fast lane that is run again in the strict lane")
    check_determinism: bool = Field(False, description="run everything again under a second hash seed; what differs is nondeterministic")
    hash_seeds: tuple[int, int] = Field((0, 1), description="PYTHONHASHSEED of the run and of its determinism check")
    cache_dir: Path | None = Field(None, description="folder of a disk cache shared by runs and processes; none by default")

    @model_validator(mode="after")
    def _consistent(self) -> SandboxConfig:
        if self.seconds_per_program < self.seconds_per_input:
            raise ValueError(
                f"sandbox.seconds_per_program ({self.seconds_per_program}) is less than sandbox.seconds_per_input "
                f"({self.seconds_per_input}): raise the first or lower the second"
            )
        if self.hash_seeds[0] == self.hash_seeds[1]:
            raise ValueError(f"sandbox.hash_seeds are both {self.hash_seeds[0]}: the determinism check needs two different seeds")
        return self

    def canonicaliser(self) -> Canonicaliser:
        """Writes values of ours as this sandbox writes those of programs."""
        return Canonicaliser(self.significant_digits, self.output_kb << 10, self.digest_over, self.whole_floats)


class RayExecutionConfig(Section):
    """Sandboxes on a Ray cluster."""

    address: str | None = Field(None, description="address of the cluster; null: as Ray finds it, else a cluster of this machine's own")
    replicas: int = Field(2, ge=1, description="sandboxes on the cluster")
    cpus: float = Field(1.0, gt=0, description="CPUs that Ray reserves for a sandbox; it gets as many workers, at least one")


class ExecutionConfig(Section):
    """Where model-written programs are executed."""

    backend: Literal["local", "ray"] = Field("local", description="sandboxes on this machine (each rank its own), or on a Ray cluster")
    ray: RayExecutionConfig = Field(default_factory=RayExecutionConfig, description="settings of the backend ray")
