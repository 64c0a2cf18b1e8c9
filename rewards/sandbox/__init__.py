"""The sandbox: model-written programs in, typed outcomes out. See docs/security.md for what it promises."""

from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.pool import Sandbox

__all__ = ["Sandbox", "SandboxConfig", "SandboxError"]
