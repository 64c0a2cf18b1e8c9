"""The `ray` sampler: replicas of another on a Ray cluster. One that dies, or its node, costs time and no sample (`remote.replicas`).

The checkpoint must lie on a disk that the nodes see, or on the Hub.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from probing.samplers.base import Completion, Progress, Sampler, SamplerError, SamplingParams
from probing.samplers.config import SamplingConfig
from remote.replicas import ClusterError, Replicas

TASK_SAMPLES = 256  # in one task: what a dead replica costs

OpenSampler = Callable[[SamplingConfig, str], Sampler]  # `probing.samplers.engines.factory.open_sampler`
Task = tuple[list[str], int, SamplingParams, int, list[int]]


def make_worker(open_sampler: OpenSampler, config: SamplingConfig, model_path: str) -> Callable[[Task], list[list[Completion]]]:
    """Runs on a node: the sampler of one replica, opened there."""
    sampler = open_sampler(config, model_path)

    def draw(task: Task) -> list[list[Completion]]:
        prompts, n, params, seed, indices = task
        return sampler.sample(prompts, n, params, seed, indices=indices)

    return draw


class RaySampler:
    """A `Sampler` over the replicas. open_sampler: opens the sampler of one replica, on its node."""

    def __init__(self, config: SamplingConfig, model_path: str, open_sampler: OpenSampler) -> None:
        inner = config.model_copy(update={"backend": config.ray.engine})
        self._replicas: Replicas | None = Replicas(
            make_worker, (open_sampler, inner, model_path), config.ray.replicas, config.ray.cpus, config.ray.gpus, config.ray.address
        )

    def sample(
        self,
        prompts: Sequence[str],
        n: int,
        params: SamplingParams,
        seed: int,
        progress: Progress | None = None,
        indices: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        """See `Sampler.sample`."""
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        if self._replicas is None:
            raise SamplerError("this sampler is closed")
        names = list(range(len(prompts)) if indices is None else indices)
        each = max(1, TASK_SAMPLES // n)
        tasks = [(list(prompts[i : i + each]), n, params, seed, names[i : i + each]) for i in range(0, len(prompts), each)]
        groups: list[list[Completion]] = []
        try:
            for done in self._replicas.map(tasks):
                groups += done
                if progress is not None:
                    progress(n * len(done), sum(len(completion.token_ids) for group in done for completion in group))
        except ClusterError as error:
            raise SamplerError(str(error)) from error
        return groups

    def close(self) -> None:
        """End the replicas."""
        if self._replicas is not None:
            self._replicas.close()
            self._replicas = None
