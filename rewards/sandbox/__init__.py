"""The sandbox: model-written programs in, typed outcomes out.

    from rewards.sandbox import Program, Sandbox

    with Sandbox() as sandbox:
        for execution in sandbox.run([Program("def f(x):\\n    return x + 1", "f", ("[1]", "['a']"))]):
            print(execution.outcomes)

Its use: docs/sandbox.md. What it promises: docs/security.md.
"""

from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox.config import SandboxConfig, SandboxError
from rewards.sandbox.sandbox import Sandbox

__all__ = ["Execution", "Kind", "Outcome", "Program", "Sandbox", "SandboxConfig", "SandboxError"]
