"""Execution consensus as the reward of a `verifiers` environment (Prime Intellect's library, verifiers 0.4: `import verifiers.v1 as vf`).

    pip install ucoder verifiers
    PYTHONPATH=examples vf-eval verifiers_consensus --env.taskset.file problems.jsonl --env.n 8 --env.agent.harness.id null -m MODEL

An episode is a group: the agent attempts its task n times, and `finalize`, where verifiers judges the attempts of an episode together, lets
them vote. Each trace gets the reward `consensus`. An attempt that failed, or that the sandbox lost, has no vote, and its reward stays None,
verifiers' mark for "not scored".

problems.jsonl: one object a line with "prompt", "entry" (name of the function), "inputs" (one list of arguments each) and optionally
"given" (code that the prompt gave).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from pydantic import Field

from rewards import ConsensusReward

__all__ = ["ConsensusEnv", "Problems"]  # verifiers finds the environment and the taskset here


class ProblemData(vf.TaskData):
    """One problem: no expected output."""

    entry: str
    inputs: list[Any] | str
    given: str = ""


class Problem(vf.Task[ProblemData]):
    """Has no reward of its own: attempts are judged against one another."""


class ProblemsConfig(vf.TasksetConfig):
    file: Path = Path("problems.jsonl")


class Problems(vf.Taskset[Problem, ProblemsConfig]):
    """The problems of a JSON lines file."""

    def load(self) -> Iterator[Problem]:
        with self.config.file.open(encoding="utf-8") as lines:
            for line in filter(str.strip, lines):
                yield Problem(ProblemData(**json.loads(line)), self.config.task)


class ConsensusEnvConfig(vf.EnvConfig):
    agent: vf.AgentConfig = vf.AgentConfig()
    n: int = Field(8, ge=2)
    """Attempts at the task, which vote on one another."""


class ConsensusEnv(vf.Env[ConsensusEnvConfig]):
    async def start(self) -> None:
        self.consensus = ConsensusReward()

    async def stop(self) -> None:
        if hasattr(self, "consensus"):
            self.consensus.close()

    async def run(self, task: vf.Task, agents: vf.Agents) -> None:
        async with asyncio.TaskGroup() as attempts:
            for _ in range(self.config.n):
                attempts.create_task(agents.agent.run(task))

    async def finalize(self, task: vf.Task, episode: vf.Episode) -> None:
        for trace in episode.traces:
            trace.rewards["consensus"] = None
        voters = [trace for trace in episode.traces if not trace.errors]
        data = task.data
        answers = [trace.last_reply for trace in voters]
        rewards = await asyncio.to_thread(self.consensus.score, answers, data.entry, data.inputs, data.given)
        for trace, reward in zip(voters, rewards, strict=True):
            if reward is not None:
                trace.record_reward("consensus", reward)
