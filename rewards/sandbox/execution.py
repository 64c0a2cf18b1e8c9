"""The sandbox that a config asks for: on this machine or on a Ray cluster."""

from __future__ import annotations

from rewards.sandbox.config import ExecutionConfig, SandboxConfig
from rewards.sandbox.sandbox import Sandbox


def make_sandbox(execution: ExecutionConfig, config: SandboxConfig) -> Sandbox:
    """The sandbox that the config asks for, to be used as a context manager."""
    if execution.backend == "ray":
        from rewards.sandbox.ray_pool import RaySandbox

        return RaySandbox(config, execution.ray)
    return Sandbox(config)
