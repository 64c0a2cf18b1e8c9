"""What the ablation runs: the arms, their configs, and what they share.

An arm is a config of `rl/train.py` that differs from the *lead*'s (soft consensus, what the bundled run is rewarded by) in the keys named
here and in nothing else. Arms of one seed start from the same base, on the same problems. Whatever of a round does not depend on what an
arm changes is made by the seed's lead and taken over by the others (`shared_stages`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rl.config.run_folder import flatten
from rl.config.schema import Config, load_config

CONSENSUS = ("--consensus.rule", "soft", "--reward.w_quality", "0")
SIGNALS = ("entropy", "distinct", "majority", "length", "probe", "kl", "held_out", "between_rounds")
# The guards' problems stay apart, so that an arm without guards trains on the same problems as one with them.
UNGUARDED = (*(word for name in SIGNALS for word in (f"--guards.{name}", "null")), "--guards.kl_every", "0")

# Both learn as many steps as the others (`sft.steps` in the settings), from the same candidates.
SFT = ("--consolidation", "sft", "--sft.learning_rate", "3e-4", "--sft.batch", "32")

LEAD = "soft"
ARMS: dict[str, tuple[str, ...]] = {
    "soft": CONSENSUS,
    "oracle": (*CONSENSUS, "--grpo.reward", "oracle", *UNGUARDED),  # guards look at agreement, which an oracle may well lower
    "hard": ("--consensus.rule", "hard", "--reward.w_quality", "0"),
    "mixed": ("--consensus.rule", "soft", "--reward.w_quality", "1"),
    "probe": ("--consensus.rule", "soft", "--reward.w_consensus", "0", "--reward.w_quality", "1"),
    "soft_unguarded": (*CONSENSUS, *UNGUARDED),
    "sft_ipc": (*CONSENSUS, *SFT),
    "sft_unexecuted": (*CONSENSUS, *SFT, "--sft.select", "unexecuted"),
    "random": (*CONSENSUS, "--grpo.reward", "random"),
}
LONG_ARMS: dict[str, tuple[str, ...]] = {  # guards off, reward off: one thing at a time
    "soft": CONSENSUS,
    "soft_unguarded": ARMS["soft_unguarded"],
    "random": ARMS["random"],
}
TITLES = {
    "base": "base",
    "random": "random reward",
    "sft_ipc": "SFT-IPC (the paper)",
    "sft_unexecuted": "SFT, nothing executed",
    "soft": "consensus, soft",
    "soft_unguarded": "consensus, soft, no guards",
    "hard": "consensus, hard",
    "probe": "probe only",
    "mixed": "mixed: consensus and probe",
    "oracle": "oracle",
}


def title(arm: str) -> str:
    """How tables and plots call an arm; one that was only tried goes by its own name."""
    return TITLES.get(arm, arm)


# A stage of round 1 (or the base's evaluation): the files that it leaves, the stage's name in metrics.jsonl, the keys that it reads.
# A stage also reads whatever the stages before it do.
_ROUND = "round_01"
BAND = ("solutions.band_low", "solutions.band_high")
SAMPLING = ("solutions.samples", "solutions.temperature", "solutions.top_p", "solutions.max_new_tokens")


@dataclass(frozen=True)
class Stage:
    """A part of a run that several arms may have in common."""

    name: str
    files: tuple[str, ...]  # below the run folder; patterns; the one that marks it as done comes last
    logged_as: str | None  # in metrics.jsonl
    keys: tuple[str, ...]  # config keys or sections that its result depends on


STAGES = (
    Stage(
        "base eval",
        ("round_00/temperature.json", "round_00/eval_*.jsonl", "round_00/eval.json"),
        None,
        ("model", "sampling", "sandbox", "evals"),
    ),
    Stage("problems", (f"{_ROUND}/funnel.json", f"{_ROUND}/problems.jsonl"), "problems", ("seed", "problems", "choice.proposals")),
    Stage("suites", (f"{_ROUND}/suites.jsonl",), "suites", ("suites",)),
    Stage("candidates", (f"{_ROUND}/candidates.jsonl",), None, SAMPLING),
    Stage("executions", (f"{_ROUND}/executions.jsonl",), "sandbox", ("grpo.max_missing", "consensus.recheck")),
    Stage(
        "verdicts",
        (f"{_ROUND}/behaviours.jsonl", f"{_ROUND}/clusters.jsonl"),
        "consensus",
        (*BAND, "solutions.repeats", "consensus.rho", "consensus.tau", "consensus.signature", "oracle", "audit"),
    ),
    Stage("base held out", ("round_00/held_out.json",), "held_out", ("choice", "guards.enabled", "guards.held_out_problems")),
    Stage("probe", (f"{_ROUND}/probe*", f"{_ROUND}/scores.jsonl"), "probe", ("probe", "consensus")),
)


@dataclass(frozen=True)
class Settings:
    """How much of everything. `overrides` hold for every run, `long_overrides` for the long ones on top; `long_seeds`: seeds of these."""

    name: str
    seeds: int
    overrides: tuple[str, ...]
    long_overrides: tuple[str, ...]
    long_seeds: int


FULL = Settings(
    "full",
    seeds=5,
    overrides=("--rounds", "1", "--sft.steps", "30"),
    long_overrides=(
        "--rounds",
        "20",
        "--problems.count",
        "200",
        "--grpo.steps",
        "10",
        *("--choice.problems", "96", "--choice.proposals", "400", "--choice.temperature", "0", "--probe.problems", "32"),
        "--evals.sampled",
        "40",
        "--evals.chosen_on",
        "null",
    ),
    long_seeds=3,
)
QUICK = Settings(
    "quick",
    seeds=1,
    overrides=("--rounds", "1", "--grpo.steps", "12", "--sft.steps", "12", "--problems.count", "120", "--evals.limit", "60"),
    long_overrides=("--rounds", "3", "--problems.count", "80", "--grpo.steps", "4"),
    long_seeds=1,
)


@dataclass(frozen=True)
class Job:
    """One run of `rl/train.py`."""

    arm: str
    seed: int
    long: bool
    config: Config
    overrides: tuple[str, ...]  # upon the base config: what is typed to repeat it

    @property
    def name(self) -> str:
        return f"{'long, ' if self.long else ''}seed {self.seed} · {title(self.arm)}"

    @property
    def folder(self) -> Path:
        return Path(self.config.run_dir)

    def command(self, base: Path) -> list[str]:
        return [sys.executable, "rl/train.py", "--config", str(base), *self.overrides]


def make_job(base: Path, settings: Settings, out: Path, arm: str, keys: Sequence[str], seed: int, long: bool, extra: Sequence[str]) -> Job:
    folder = out / f"{'long-' if long else ''}seed-{seed}" / arm
    words = (
        *settings.overrides,
        *(settings.long_overrides if long else ()),
        *("--seed", str(seed), "--evals.seed", str(1000 + seed), "--run_dir", str(folder), "--tracking.report_to", "[]"),
        *extra,
        *keys,  # last: what an arm is for holds against keys that are given for all
    )
    return Job(arm, seed, long, load_config(base, words), words)


def make_plan(
    base: Path,
    settings: Settings,
    out: Path,
    seeds: Sequence[int],
    arms: Sequence[str],
    extra: Sequence[str] = (),
    tried: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[Job]:
    """Every run, in the order in which it should be started: each seed's lead first, the long ones last.

    tried: arms of the user's own, by name, with the keys in which they differ from the lead. Raises UserError for keys that no config has.
    """
    others = {arm: keys for arm, keys in ARMS.items() if arm in arms and arm != LEAD} | dict(tried)
    jobs = [make_job(base, settings, out, LEAD, ARMS[LEAD], seed, False, extra) for seed in seeds]
    jobs += [make_job(base, settings, out, arm, keys, seed, False, extra) for seed in seeds for arm, keys in others.items()]
    for arm, keys in LONG_ARMS.items():
        jobs += [make_job(base, settings, out, arm, keys, seed, True, extra) for seed in seeds[: settings.long_seeds]]
    return jobs


def lead_of(job: Job, jobs: Sequence[Job]) -> Job | None:
    """The run of the same length that this one takes over from what they share; None for leads."""
    if job.arm == LEAD:
        return None
    return next(other for other in jobs if other.arm == LEAD and other.seed == job.seed and other.long == job.long)


def differing_keys(one: Config, other: Config) -> list[str]:
    """The config keys in which two runs differ."""
    mine, theirs = (flatten(config.model_dump(mode="json")) for config in (one, other))
    return [key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key)]


def differ_in_guards_alone(one: Config, other: Config) -> bool:
    """Whether two runs are the same but for what the guards do: where none acts, both make the same steps."""
    return all(key == "run_dir" or key.startswith("guards.") for key in differing_keys(one, other))


def shared_stages(lead: Config, arm: Config) -> list[Stage]:
    """The first stages of a run, as far as the two configs agree in all that they depend on."""
    differing = differing_keys(lead, arm)
    shared = []
    for stage in STAGES:
        if any(key == name or key.startswith(f"{name}.") for key in differing for name in stage.keys):
            break
        shared.append(stage)
    return shared
