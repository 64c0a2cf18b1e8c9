"""The oracle: reference programs for statements, used to audit a run and by the arms named "oracle", never by a label-free reward.

The config names it as `module:function`; the function takes a statement and returns (reference code, entry), or None.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

from probing.records import Problem
from rewards.records import Execution, Program
from rewards.sandbox import Sandbox
from rl.console import UserError

Oracle = Callable[[str], tuple[str, str] | None]


def load_oracle(name: str) -> Oracle:
    """The function that `module:function` names. Raises UserError when there is none."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise UserError(f"the oracle {name!r} cannot be loaded: {error}", "oracle", "give module:function, or set oracle: null") from None
    return found


def reference_executions(
    oracle: Oracle, problems: Sequence[Problem], inputs: dict[str, tuple[str, ...]], sandbox: Sandbox
) -> dict[str, Execution]:
    """Outcomes of the reference on each problem's inputs, where the statement has one. It runs in the sandbox like any program."""
    found = [(p.id, reference) for p in problems if p.id in inputs and (reference := oracle(p.description)) is not None]
    programs = [Program(code, entry, inputs[problem_id]) for problem_id, (code, entry) in found]
    executions = sandbox.run(programs)
    return {problem_id: execution for (problem_id, _), execution in zip(found, executions, strict=True) if not execution.missing}
