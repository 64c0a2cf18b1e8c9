"""One round: its context, and what its stages have left so far.

    problems.jsonl → suites.jsonl → candidates.jsonl → executions.jsonl → clusters.jsonl → scores.jsonl → checkpoint → metrics.json

A stage is a function of the round (`rl.loop.teacher`, `rl.loop.asking`, `rl.loop.labelling`, `rl.loop.update`). It sets one field of the
round and leaves one file in the round's folder; where the file is there already, it reads it. Resuming therefore means: the first file
that is missing, and in that stage the first part that is missing (`rl.ranks.shards`: every rank calls every stage, and does its parts).
What depends on chance takes its seed from (run seed, round, stage).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from probing.models.loading import load_model, load_tokenizer
from probing.prompts.asking import Asker
from probing.records import Candidate, Problem, TestSuite
from probing.samplers.config import SamplingConfig
from probing.samplers.engines.factory import open_sampler
from rl.labels.bank import pick_inputs
from rl.labels.frozen_probe import FrozenProbe
from rl.labels.oracle import reference_executions
from rl.ranks.sampler import SharedSampler
from rl.round_files import BankProgram, Verdict
from rl.training.rollouts import derive_seed

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from rl.config.schema import Config
    from rl.run import Run


class RoundError(RuntimeError):
    """A round that cannot go on, with what the user can look at."""


class LoadedPolicy:
    """A checkpoint that is loaded when first asked for, and kept until `release`."""

    def __init__(self, checkpoint: str, sampling: SamplingConfig) -> None:
        self.checkpoint, self.sampling = checkpoint, sampling
        self._loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None = None

    def load(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The model, on the sampling device in its dtype, and its tokenizer."""
        if self._loaded is None:
            self._loaded = load_model(self.checkpoint, self.sampling.device, self.sampling.dtype)
        return self._loaded

    def release(self) -> None:
        """Let go of the model; it is loaded again when it is asked for again."""
        self._loaded = None


class Round:
    """Round `index` (from 1) of a run, which trains the checkpoint `start`. Fields below are empty until their stage has run."""

    def __init__(self, run: Run, index: int, start: str) -> None:
        self.run, self.index, self.start, self.config = run, index, start, run.config
        self.folder: Path = run.round_folder(index)
        self.teacher = start  # the checkpoint that stages 1 to 5 sample from
        self.problems: Sequence[Problem] = ()
        self.suites: Sequence[TestSuite] = ()  # a pool of test inputs for each problem that has any
        self.candidates: Sequence[Candidate] = ()  # solutions: the voters
        self.executions: Sequence[BankProgram] = ()  # every distinct program on its problem's pool
        self.verdicts: Sequence[Verdict] = ()  # execution consensus, one for each suite
        self.probe: FrozenProbe | None = None

    @functools.cached_property
    def loaded(self) -> LoadedPolicy:
        """The teacher: it is sampled from, and is the frozen model of the probe."""
        return LoadedPolicy(self.teacher, self.config.sampling)

    @functools.cached_property
    def sampler(self) -> SharedSampler:
        return shared_sampler(self.run, self.folder, self.teacher, self.loaded.load)

    @functools.cached_property
    def ask(self) -> Asker:
        return asker_of(self.config, load_tokenizer(self.start))

    def seed(self, stage: str) -> int:
        return derive_seed(self.config.seed, self.index, stage)

    def stopped(self) -> bool:
        """Whether a guard ended the run in this round."""
        return bool(json.loads((self.folder / "training.json").read_text()).get("stop_run"))

    def references(self, verdicts: Sequence[Verdict]) -> dict[str, Any]:
        """The oracle's outcomes on each problem's kept inputs; empty unless the run is audited or is an oracle run."""
        if self.run.oracle is None or not (self.config.audit or self.config.grpo.reward == "oracle"):
            return {}
        return reference_executions(self.run.oracle, self.problems, dict(pick_inputs(self.suites, verdicts)), self.run.sandbox)

    @contextmanager
    def spending(self, stage: str) -> Iterator[None]:
        """Logs how many samples and tokens the block asked of the model."""
        samples, tokens = self.sampler.samples, self.sampler.tokens
        yield
        spent = {f"{stage}/samples": self.sampler.samples - samples, f"{stage}/tokens": self.sampler.tokens - tokens}
        self.run.log("spent", self.index, spent)


def begun(folder: Path) -> bool:
    """Whether anything of a round lies in its folder."""
    return any(path.is_file() for path in folder.rglob("*"))


def asker_of(config: Config, tokenizer: PreTrainedTokenizerBase) -> Asker:
    """How this run asks a checkpoint: its prompt set in the checkpoint's chat format."""
    return Asker.of(tokenizer, config.prompts, config.chat_template_args)


def shared_sampler(
    run: Run, folder: Path, policy: str, load: Callable[[], tuple[Any, Any]], sampling: SamplingConfig | None = None
) -> SharedSampler:
    """The sampler of a checkpoint over all ranks, with its parts in `folder`.

    load: model and tokenizer, where they are at hand. sampling: settings other than the run's.
    """
    config = sampling or run.config.sampling
    draws_itself = config.backend == "transformers"
    return SharedSampler(
        lambda: open_sampler(config, policy, load), run.ranks, folder / "parts", config.part, config.stride, can_choose=draws_itself
    )
