"""Does the share of a vote still tell who is right, once the policy has been trained on its votes?

    python -m bench.ablate.revote runs/five-0 runs/five-1 runs/five-2

Takes finished, audited runs of two rounds or more. Two electorates, the base and the last round's teacher, vote on two sets of problems:
those of the first round and those of the last. The run has cast half of these votes itself; the rest are cast here with the run's
settings, in --out, where what is finished is kept. Writes bench/results/revote.json: how many labels are right (by the oracle, which
nothing was trained on) among all problems, in the band, and above it (*unanimous*); the difference between the electorates in the band,
with a 95 % interval (bootstrap over each run's problems); and whether agreement of the two electorates tells which labels are right.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.command import module_command
from bench.markdown import interval, table
from rl.config.run_folder import git_commit, read_json, versions, write_atomically
from rl.config.schema import Config
from rl.console import UserError, error_screen
from rl.loop.asking import draw_candidates, make_problems, make_suites
from rl.loop.choice import checkpoint_of, started_from
from rl.loop.labelling import execute_candidates, take_votes
from rl.loop.round import Round
from rl.models.source import resolve_model
from rl.round_files import EXECUTIONS, PROBLEMS, SUITES, VERDICTS, Verdict, read_bank, read_records
from rl.run import Run
from rl.run_data import read_config
from rl.stored import grouped

RESULT = Path(__file__).resolve().parents[1] / "results" / "revote.json"
RESAMPLES = 2000
PARTS: dict[str, Callable[[Vote], bool]] = {"all": lambda v: True, "band": lambda v: v.in_band, "unanimous": lambda v: v.unanimous}


@dataclass(frozen=True)
class Vote:
    """One electorate's label of one problem, where somebody won and the oracle knows the problem."""

    right: bool
    in_band: bool
    unanimous: bool  # the winner's share is above the band
    winner: tuple[str, ...]  # what it does on each input of the pool


Votes = Mapping[str, Vote]  # by problem


def votes_of(folder: Path, band_high: float) -> dict[str, Vote]:
    """The votes in a round's folder."""
    programs, found = grouped(read_bank(folder / EXECUTIONS.file)), {}
    for verdict in read_records(folder / VERDICTS.file, Verdict):
        if verdict.top < 0 or verdict.label_correct is None:
            continue
        winner = next(p for p in programs[verdict.problem_id] if verdict.labels[p.candidates[0]] == verdict.top)
        does = tuple(map(str, winner.execution.outcomes))
        found[verdict.problem_id] = Vote(
            verdict.label_correct, verdict.kept or verdict.repeats is not None, verdict.top_share > band_high, does
        )
    return found


def cast(run: Path, config: Mapping[str, Any], number: int, checkpoint: str, out: Path) -> Path:
    """The folder with a checkpoint's votes on the problems of a run's round, which are cast now unless they are there.

    Its name is made of the problems and the checkpoint, so votes of a run that was made anew are not taken for its own.
    """
    source = run / f"round_{number:02d}"
    asked = [source / PROBLEMS.file, source / SUITES.file, *sorted(Path(resolve_model(checkpoint)).glob("*.safetensors"))]
    digest = hashlib.sha256()
    for path in asked:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    out = out / f"{run.name}-round-{number}-{digest.hexdigest()[:12]}"
    target = out / "round_01"
    target.mkdir(parents=True, exist_ok=True)
    for name in (PROBLEMS.file, SUITES.file):
        shutil.copy(source / name, target / name)
    changed = {"model": checkpoint, "run_dir": str(out), "rounds": 1, "teacher": {}, "tracking": {"report_to": []}}
    solutions = {**config["solutions"], "repeats": "keep"}
    with Run(Config.model_validate({**config, **changed, "solutions": solutions})) as opened:
        current = Round(opened, 1, opened.model)
        for stage in (make_problems, make_suites, draw_candidates, execute_candidates, take_votes):
            stage(current)
    return target


def four_votes(run: Path, out: Path) -> dict[tuple[str, str], dict[str, Vote]]:
    """Votes by (round of the problems, electorate): first or last, base or policy. Raises UserError for a run without these."""
    config, summary = read_config(run / "config.yaml"), read_json(run / "summary.json")
    last = len(summary.get("rounds", ()))
    if last < 2 or not config["audit"]:
        remedy = "make one: accelerate launch --quiet rl/train.py --config configs/seedling.yaml --rounds 5 --run_dir runs/five-0"
        raise UserError("no finished, audited run of two rounds or more lies here", str(run), remedy)
    if config.get("teacher", {}).get("decay"):
        raise UserError("the run's teacher is not its policy", str(run), "name a run with teacher.decay 0")
    here = _Here(run, config["model"])
    policy = checkpoint_of(here, started_from(here, last))
    votes = functools.partial(votes_of, band_high=config["solutions"]["band_high"])
    return {
        ("first", "base"): votes(run / "round_01"),
        ("first", "policy"): votes(cast(run, config, 1, policy, out)),
        ("last", "base"): votes(cast(run, config, last, config["model"], out)),
        ("last", "policy"): votes(run / f"round_{last:02d}"),
    }


@dataclass(frozen=True)
class _Here:
    """A run that is over, as `rl.loop.choice` asks of it."""

    folder: Path
    model: str

    @property
    def config(self) -> Config:
        return Config.model_validate(read_config(self.folder / "config.yaml"))


def right_in(votes: Votes, part: str) -> dict[str, Any]:
    chosen = [vote.right for vote in votes.values() if PARTS[part](vote)]
    return {"problems": len(chosen), "right": float(np.mean(chosen)) if chosen else None}


def pooled(votes: Sequence[Votes]) -> dict[str, Vote]:
    """The votes of several runs as one."""
    return {f"{number}/{problem}": vote for number, one in enumerate(votes) for problem, vote in one.items()}


def band_difference(base: Sequence[Votes], policy: Sequence[Votes], seed: int = 0) -> dict[str, Any]:
    """Share of right labels in the base's band minus that in the policy's, on the same problems; a run's problems are resampled."""
    rng, draws = np.random.default_rng(seed), []
    runs = []  # float64[problems, 4]: in the base's band, and right there; in the policy's, and right there
    for one, other in zip(base, policy, strict=True):
        names = sorted({*one, *other})
        runs.append(np.array([[*_counts(one.get(name)), *_counts(other.get(name))] for name in names], dtype=np.float64))

    def difference(samples: Sequence[np.ndarray]) -> float:
        band, right, other_band, other_right = np.concatenate(list(samples)).sum(axis=0)
        return float(right / band - other_right / other_band) if band and other_band else float("nan")

    for _ in range(RESAMPLES):
        draws.append(difference([rows[rng.integers(0, len(rows), len(rows))] for rows in runs]))
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return {"difference": difference(runs), "difference_ci": [float(low), float(high)]}


def _counts(vote: Vote | None) -> tuple[bool, bool]:
    return (False, False) if vote is None else (vote.in_band, vote.in_band and vote.right)


def told_by_agreement(policy: Votes, base: Votes) -> dict[str, Any]:
    """Labels in the policy's band: how many of them the base elects as well, and the share that is right of those and of the others."""
    both = [(vote.right, vote.winner == base[name].winner) for name, vote in policy.items() if vote.in_band and name in base]
    same, other = ([right for right, equal in both if equal is wanted] for wanted in (True, False))
    return {
        "problems": len(both),
        "elected_by_both": len(same) / len(both) if both else None,
        "right_if_both": float(np.mean(same)) if same else None,
        "right_if_not": float(np.mean(other)) if other else None,
    }


def compare(found: Mapping[str, Mapping[tuple[str, str], Votes]]) -> dict[str, Any]:
    """All figures, of each run and of all together."""
    together: dict[str, Any] = {}
    for problems in ("first", "last"):
        sides = {side: [votes[problems, side] for votes in found.values()] for side in ("base", "policy")}
        for side, votes in sides.items():
            together[f"{problems}, {side}"] = {part: right_in(pooled(votes), part) for part in PARTS}
        together[f"{problems}, base minus policy in the band"] = band_difference(sides["base"], sides["policy"])
        together[f"{problems}, agreement"] = told_by_agreement(pooled(sides["policy"]), pooled(sides["base"]))
    runs = {
        name: {f"{problems}, {side}": {part: right_in(one, part) for part in PARTS} for (problems, side), one in votes.items()}
        | {
            f"{problems}, agreement": told_by_agreement(votes[problems, "policy"], votes[problems, "base"])
            for problems in ("first", "last")
        }
        for name, votes in found.items()
    }
    return {"together": together, "runs": runs}


def main(argv: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m bench.ablate.revote", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="run folders")
    parser.add_argument("--out", type=Path, default=Path("runs/revote"), help="folder of the votes cast here (default runs/revote)")
    parser.add_argument("--json", type=Path, default=RESULT, help="where the figures go (default bench/results/revote.json)")
    args = parser.parse_args(words)
    with error_screen():
        found = compare({str(folder): four_votes(folder, args.out) for folder in args.folders})
    record = {"command": module_command("bench.ablate.revote", words), "commit": git_commit(), "versions": versions(), **found}
    write_atomically(args.json, json.dumps(record, indent=1) + "\n")
    print_tables(found["together"])


def print_tables(together: Mapping[str, Any]) -> None:
    rows = []
    for problems in ("first", "last"):
        for side in ("base", "policy"):
            row = together[f"{problems}, {side}"]
            cells = [f"{100 * row[p]['right']:.0f} % of {row[p]['problems']}" if row[p]["problems"] else "–" for p in PARTS]
            rows.append([f"{problems} round's", side, *cells])
    print(table(["problems", "electorate", *(f"labels right, {part}" for part in PARTS)], rows) + "\n")
    for problems in ("first", "last"):
        gap, told = together[f"{problems}, base minus policy in the band"], together[f"{problems}, agreement"]
        print(f"{problems} round's problems: base minus policy in the band {interval(gap, 'difference', points=True)} points")
        print(f"  the base elects {_percent(told['elected_by_both'])} of the policy's labels in the band too:")
        print(f"  {_percent(told['right_if_both'])} of these are right, {_percent(told['right_if_not'])} of the others")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


if __name__ == "__main__":
    main()
