"""The `execution` section of a run's config: where the sandbox's workers are, on this machine or on a Ray cluster."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rewards.sandbox.config import SandboxConfig
from rewards.sandbox.pool import Sandbox


class RayExecutionConfig(BaseModel):
    """Sandboxes on a Ray cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str | None = Field(None, description="address of the cluster; null: as Ray finds it, else a cluster of this machine's own")
    replicas: int = Field(2, ge=1, description="sandboxes on the cluster")
    cpus: float = Field(1.0, gt=0, description="CPUs that Ray reserves for a sandbox; it gets as many workers, at least one")


class ExecutionConfig(BaseModel):
    """Where model-written programs are executed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["local", "ray"] = Field("local", description="sandboxes on this machine (each rank its own), or on a Ray cluster")
    ray: RayExecutionConfig = Field(default_factory=RayExecutionConfig, description="settings of the backend ray")


def make_sandbox(execution: ExecutionConfig, config: SandboxConfig) -> Sandbox:
    """The sandbox that the config asks for, to be used as a context manager."""
    if execution.backend == "ray":
        from rewards.sandbox.ray_pool import RaySandbox

        return RaySandbox(config, execution.ray)
    return Sandbox(config)
