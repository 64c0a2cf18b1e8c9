"""What a plan assumes of a model's answers, and the same read off a finished run (`ucoder plan CONFIG --like RUN`)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rl.config.run_folder import read_json
from rl.console import UserError
from rl.round_files import count_lines
from rl.run_data import read_config, read_logged, rounds_of

ASKED = ("problems", "rating", "interface", "test inputs", "solutions", "grpo", "eval")  # stages that ask the model something


@dataclass(frozen=True)
class Shares:
    """Shares lie in [0, 1]; lengths are tokens of an answer by stage (absent: `filled` of the stage's max_new_tokens)."""

    kept: float = 0.5  # proposals that survive parsing, duplicates, rating and interface
    rated: float = 0.7  # proposals that are well-formed and new, and so are rated
    filled: float = 0.5  # of max_new_tokens that an answer takes
    distinct: float = 0.5  # samples of a problem that differ after normalisation, and are run
    lengths: Mapping[str, float] = field(default_factory=dict)
    source: str = "assumed"

    def tokens(self, stage: str, most: int) -> float:
        """Tokens of an answer."""
        return self.lengths.get(stage, most * self.filled)


def shares_of(run: Path) -> Shares:
    """Means over the run's rounds. Raises UserError where the folder holds no finished round."""
    spent = spent_by_stage(run)
    rounds = [path.parent for path in sorted(run.glob("round_*/executions.jsonl"))]
    if not rounds:
        raise UserError("no finished round to measure", str(run), "give the folder of a run, with round_01 and so on in it")
    funnels = [read_json(folder / "funnel.json") for folder in rounds]
    if missing := [str(folder) for folder, funnel in zip(rounds, funnels, strict=True) if not funnel]:
        raise UserError("a round has no funnel.json", missing[0], "give a run whose rounds are whole")
    if missing := [str(folder) for folder in rounds if not (folder / "candidates.jsonl").is_file()]:
        raise UserError("a round has no candidates.jsonl", missing[0], "give a run whose rounds are whole")
    proposed = sum(funnel["proposed"] for funnel in funnels)
    late = sum(funnel["dropped"].get(reason, 0) for funnel in funnels for reason in ("unrated", "low rating", "no interface"))
    kept = sum(funnel["kept"] for funnel in funnels)
    candidates = sum(count_lines(folder / "candidates.jsonl") for folder in rounds)
    programs = sum(count_lines(folder / "executions.jsonl") for folder in rounds)
    return Shares(
        kept=kept / max(proposed, 1),
        rated=(kept + late) / max(proposed, 1),
        distinct=programs / max(candidates, 1),
        lengths={stage: tokens / samples for stage, (samples, tokens) in spent.items() if samples},
        source=f"measured in {run}",
    )


def finished_rounds(run: Path) -> list[int]:
    """The rounds that are evaluated, 0 (the base) among them."""
    return [files.number for files in rounds_of(run) if (files.folder / "metrics.json").is_file()]


def spent_by_stage(run: Path, rounds: Container[int] | None = None) -> dict[str, tuple[float, float]]:
    """(samples, tokens) of each stage, from the run's log, over these rounds (None: all). Raises UserError where the folder is no run."""
    if not (run / "config.yaml").is_file():
        raise UserError("not the folder of a run: there is no config.yaml in it", str(run), "give the run_dir of a run that has begun")
    spent: dict[str, tuple[float, float]] = {}

    def add(stage: str, samples: float, tokens: float) -> None:
        before = spent.get(stage, (0.0, 0.0))
        spent[stage] = (before[0] + samples, before[1] + tokens)

    config = read_config(run / "config.yaml").get("grpo")
    if config is None:
        raise UserError("the config has no section grpo", str(run / "config.yaml"), "give the run_dir of a run that has begun")
    rollouts = config["rollouts_per_step"] / config["num_iterations"]  # drawn for one optimizer step
    for row in read_logged(run / "metrics.jsonl"):
        if rounds is not None and row["round"] not in rounds:
            continue
        if row["stage"] == "grpo" and row.get("tokens") is not None:
            add("grpo", rollouts, rollouts * row["tokens"])
        for stage in ASKED if row["stage"] == "spent" else ():
            if f"{stage}/samples" in row:
                add(stage, row[f"{stage}/samples"], row[f"{stage}/tokens"])
        if row["stage"] == "spent" and "temperature/samples" in row:  # a part of every evaluation
            add("eval", row["temperature/samples"], row["temperature/tokens"])
    return spent
