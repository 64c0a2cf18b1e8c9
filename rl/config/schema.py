"""The config of a run: one frozen pydantic model, composed of the sections that each floor owns.

    config = config_from_argv(["--config", "configs/seedling.yaml", "--rounds", "1", "--grpo.learning_rate", "1e-5"])
    run = open_run(config)            # rl.config.run_folder: every check that can fail before any work

Unknown keys, wrong types and values at odds end in a `UserError` (one screen, exit status 2; see `rl.console.fail`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from probing.probe.config import ProbeConfig
from probing.records import SELF_MADE
from probing.samplers.config import SamplingConfig
from probing.section import Section
from probing.stages.config import ProblemsConfig, SolutionsConfig, SuitesConfig
from rewards.mixed import MixedConfig
from rewards.rules.consensus import ConsensusConfig
from rewards.sandbox.config import ExecutionConfig, SandboxConfig
from rl.config.evals import EvalsConfig, TemplateArgs
from rl.config.loader import load
from rl.config.training import ChoiceConfig, GrpoConfig, GuardsConfig, ProposerConfig, SftConfig, TeacherConfig
from rl.console import UserError

BARE_CONFIG = Path(__file__).resolve().parents[2] / "configs" / "seedling.yaml"  # what a run reads that is given no --config: the laptop's


class TrackingConfig(Section):
    """Where metrics go beside the run folder's metrics.jsonl, which is always written."""

    report_to: tuple[Literal["wandb", "tensorboard", "trackio"], ...] = Field(("wandb",), description="trackers to write to")
    project: str = Field("ucoder", min_length=1, description="project name at the tracker")
    entity: str | None = Field(None, description="team or user at Weights & Biases; null: the login's default")
    name: str | None = Field(None, description="name of the run; null: the run folder's name")
    group: str | None = Field(None, description="runs shown together, the seeds of one arm for example")
    tags: tuple[str, ...] = Field((), description="labels of the run")
    mode: Literal["auto", "online", "offline", "disabled"] = Field("auto", description="auto: online when logged in to wandb, else offline")
    tables: int = Field(4, ge=0, description="problems a round whose clusters are logged as a table")
    artifacts: bool = Field(False, description="log checkpoints, probe and report as wandb artifacts")


class Config(Section):
    """Everything that a run depends on. Saved, resolved, as config.yaml in its run folder."""

    model: str = Field("seedling", min_length=1, description="`seedling` (bundled), a checkpoint folder, a .gguf file, or a Hub id")
    run_dir: str = Field("runs/seedling", min_length=1, description="folder of the run; the same folder and config resume it")
    seed: int = Field(0, ge=0, description="seed of every random choice")
    rounds: int = Field(3, ge=1, description="rounds of probing and training")
    consolidation: Literal["grpo", "sft", "sft+grpo"] = Field("grpo", description="how a round trains; sft is the paper's way")
    oracle: str | None = Field(None, description="`module:function` giving a statement's reference code, for audits")
    audit: bool = Field(False, description="log label and reward accuracy against the oracle; never trained on")

    prompts: str | None = Field(
        None,
        min_length=1,
        description="prompt set: the name of a bundled one or a folder (ucoder config --prompts shows them); null: the one that the "
        "checkpoint names, else instruct, or completion for a model without a chat template",
    )

    chat_template_args: TemplateArgs = Field({}, description="arguments of the model's chat template: {enable_thinking: false}")

    teacher: TeacherConfig = Field(default_factory=TeacherConfig, description="the model that stages 1 to 5 ask")
    problems: ProblemsConfig = Field(default_factory=ProblemsConfig, description="stages 1 to 3: problems, rating, interface")
    suites: SuitesConfig = Field(default_factory=SuitesConfig, description="stage 4: test inputs")
    solutions: SolutionsConfig = Field(default_factory=SolutionsConfig, description="stage 5: solutions")
    sampling: SamplingConfig = Field(default_factory=SamplingConfig, description="the sampler behind every stage")
    consensus: ConsensusConfig = Field(default_factory=ConsensusConfig, description="how candidates vote")
    sandbox: SandboxConfig = Field(default_factory=SandboxConfig, description="where model-written programs run, and their limits")
    execution: ExecutionConfig = Field(default_factory=ExecutionConfig, description="which machines run model-written programs")
    probe: ProbeConfig = Field(default_factory=ProbeConfig, description="the quality probe of hidden states")
    reward: MixedConfig = Field(default_factory=MixedConfig, description="how consensus and probe are mixed")
    grpo: GrpoConfig = Field(default_factory=GrpoConfig, description="stage 6: reinforcement")
    sft: SftConfig = Field(default_factory=SftConfig, description="stage 6: supervised consolidation")
    proposer: ProposerConfig | None = Field(
        None,
        description="stage 6: training of the proposer, before what `consolidation` names; {}: with its defaults; null: it is not trained",
    )
    guards: GuardsConfig = Field(default_factory=GuardsConfig, description="what is done when training goes astray")
    choice: ChoiceConfig = Field(default_factory=ChoiceConfig, description="which round's checkpoint is the result")
    evals: EvalsConfig = Field(default_factory=EvalsConfig, description="evaluation after every round")
    tracking: TrackingConfig = Field(default_factory=TrackingConfig, description="metrics trackers")

    @property
    def evaluation(self) -> EvalsConfig:
        """The section `evals`, with the run's `chat_template_args` where it has none of its own."""
        if self.evals.chat_template_args is not None:
            return self.evals
        return self.evals.model_copy(update={"chat_template_args": self.chat_template_args})

    @field_validator("oracle")
    @classmethod
    def _oracle_names_a_function(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
            raise ValueError(f"write it as module:function, not {value!r}")
        return value

    @model_validator(mode="after")
    def _weights_survive_scaling(self) -> Self:
        if self.reward.by_margin and self.grpo.scale_rewards == "group":
            raise ValueError(
                f"reward.by_margin is {self.reward.by_margin:g}, but grpo.scale_rewards: group divides each problem's rewards by their own "
                "spread, which undoes it: set grpo.scale_rewards to batch or none"
            )
        return self

    @model_validator(mode="after")
    def _contests_are_of_the_bank(self) -> Self:
        if self.reward.contest and self.consensus.anchor == "group":
            raise ValueError(
                f"reward.contest ({self.reward.contest:g}) compares clusters of the bank, but with consensus.anchor: group the bank has no "
                "vote: set consensus.anchor to bank or both, or reward.contest to 0"
            )
        return self

    @model_validator(mode="after")
    def _collected_solutions_have_problems(self) -> Self:
        if self.solutions.source != SELF_MADE and self.problems.self_made:
            raise ValueError(
                "solutions.source names solutions that were collected for problems of your own: name these by problems.source (it may be "
                "the same file), and leave problems.share at 0"
            )
        return self

    @model_validator(mode="after")
    def _proposer_has_proposals(self) -> Self:
        if self.proposer is None:
            return self
        for name, source in (("problems.source", self.problems.source), ("solutions.source", self.solutions.source)):
            if source != SELF_MADE:
                raise ValueError(
                    f"proposer trains the policy on the problems that it invents, but {name} is {source}: set {name} to {SELF_MADE}, or "
                    "proposer to null"
                )
        if self.problems.top_p < 1:
            raise ValueError(
                f"proposer takes the gradient of the distribution that proposals are drawn from, and problems.top_p "
                f"({self.problems.top_p:g}) cuts its tail off: set problems.top_p to 1 (not problems.temperature), or proposer to null"
            )
        return self

    @model_validator(mode="after")
    def _teacher_can_be_made(self) -> Self:
        if self.teacher.decay and self.proposer is not None:
            raise ValueError(
                "proposer trains the policy on its own proposals, but with teacher.decay "
                f"({self.teacher.decay:g}) the teacher makes them: set teacher.decay to 0, or proposer to null"
            )
        sections = {"sft": (self.sft,), "grpo": (self.grpo,), "sft+grpo": (self.sft, self.grpo)}[self.consolidation]
        adapters = any(section.lora is not None and section.lora.checkpoint == "adapter" for section in sections)
        if 0 < self.teacher.decay < 1 and adapters:
            raise ValueError(
                f"teacher.decay ({self.teacher.decay:g}) takes the mean of whole weights, but the checkpoints are adapters: set "
                "lora.checkpoint to merged, or teacher.decay to 0 or 1"
            )
        return self

    @model_validator(mode="after")
    def _proposals_are_kept_apart(self) -> Self:
        if self.choice.proposals and not self.choice.problems:
            raise ValueError(
                f"choice.proposals ({self.choice.proposals}) draws problems to be kept apart, and choice.problems is 0: set it to the "
                "number of them, or choice.proposals to 0"
            )
        return self

    @model_validator(mode="after")
    def _repeats_are_self_made(self) -> Self:
        if self.solutions.repeats == "drop" and not self.problems.self_made:
            raise ValueError(
                "solutions.repeats: drop leaves out self-made problems, and with this problems.source "
                f"({self.problems.source}) there is none: set it to keep, or mix self-made problems in (problems.share)"
            )
        return self

    @model_validator(mode="after")
    def _problems_can_be_solved(self) -> Self:
        if self.problems.depth and self.solutions.band_high == 1:
            raise ValueError(
                f"problems.depth ({self.problems.depth:g}) goes beyond problems on which more than solutions.band_high of the answers "
                "agree, and that is 1, so there would be none: lower solutions.band_high, or set problems.depth to 0"
            )
        return self

    @model_validator(mode="after")
    def _programs_have_no_asserts(self) -> Self:
        if self.problems.io == "stdin" and self.consensus.needs_expected_outputs:
            raise ValueError(
                "consensus compares with asserts, which call functions, but problems.io is stdin: take consensus.rule soft, hard or sharp "
                "and consensus.signature outputs"
            )
        return self

    @model_validator(mode="after")
    def _samples_have_logprobs(self) -> Self:
        if self.sampling.http.text_only:
            raise ValueError(
                "sampling.http.text_only is for `ucoder solve`: a run needs the logprobs of its samples. Set it to false, and serve the "
                "model with vLLM, or with a server that gives logprobs beside sampling.http.retokenise: true"
            )
        return self

    @model_validator(mode="after")
    def _audit_has_an_oracle(self) -> Self:
        if self.audit and self.oracle is None:
            raise ValueError("audit is true but oracle is null: name the function that gives reference code, or set audit: false")
        return self

    @model_validator(mode="after")
    def _oracle_arm_is_named(self) -> Self:
        if self.grpo.reward != "oracle" or "grpo" not in self.consolidation:
            return self
        if self.oracle is None:
            raise ValueError(
                "grpo.reward is oracle but oracle is null: name the function that gives reference code, or set grpo.reward: label_free"
            )
        if "oracle" not in Path(self.run_dir).name:
            raise ValueError(
                f"grpo.reward is oracle, which trains on reference outcomes, but the run's folder is named {Path(self.run_dir).name}: put "
                "oracle into the last part of run_dir, so that nobody takes its figures for label-free ones"
            )
        return self


def config_from_argv(argv: Sequence[str], defaults: bool = False) -> Config:
    """`["--config", "FILE", "--rounds", "1"]` (or the FILE alone in front) as a Config; the rest are overrides.

    Without a FILE it is the laptop's config, or with `defaults` the built-in values of all keys. Raises UserError.
    """
    words, path = list(argv), None if defaults else BARE_CONFIG
    if words and not words[0].startswith("--"):
        return load_config(words[0], words[1:])
    for i, word in enumerate(words):
        if word.startswith("--config="):
            path = Path(word.removeprefix("--config="))
            del words[i]
            break
        if word == "--config":
            if i + 1 == len(words):
                raise UserError("--config has no value", "command line", "write --config configs/seedling.yaml")
            path = Path(words[i + 1])
            del words[i : i + 2]
            break
    if path == BARE_CONFIG and not BARE_CONFIG.is_file():
        raise UserError("no config is given, and the laptop's, which is read then, is not installed", str(path), "give --config FILE")
    return load_config(path, words)


def load_config(path: Path | str | None, overrides: Sequence[str] = ()) -> Config:
    """A Config from a YAML file (None: all defaults) and dotted overrides."""
    return load(Config, Path(path) if path is not None else None, overrides)
