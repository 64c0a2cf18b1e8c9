"""Are steps beyond solved problems worth more than problems asked for by topic (`problems.depth`)? bench/results/real_depth.json

    python -m bench.real.depth --config configs/qwen2.5-coder-0.5b-cpu.yaml --model MODEL --run_dir runs/depth --problems.depth 0.5

Stages 1 to 5 of two rounds with one model, which is not trained in between: the first asks by topic alone (for more problems with
`--choice.proposals N`), the second for both kinds. Each kind, over both rounds: how many of its proposals become problems, and how many
of these have a vote in the band, above it or below it (or no winner). The headline is the share of proposals that end as a problem in the
band, with 95 % intervals by bootstrap over proposals, where those beyond one solved problem stay together. Takes any key of a run; the
same command goes on where it was killed.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.command import module_command
from bench.markdown import interval, table
from probing.memory import keep_freed_memory
from probing.records import SELF_MADE, Problem
from probing.stages.proposals import PER_SOLVED, counts
from rl.config.run_folder import git_commit, versions, write_atomically
from rl.config.schema import Config, config_from_argv
from rl.console import UserError, error_screen
from rl.loop.asking import draw_candidates, make_problems, make_suites, problems_asked, solved_problems
from rl.loop.labelling import execute_candidates, take_votes
from rl.loop.round import Round
from rl.round_files import Verdict
from rl.run import Run

RESULT = Path(__file__).resolve().parents[1] / "results" / "real_depth.json"
RESAMPLES = 10_000
PLACES = ("in band", "above", "below", "no winner", "no inputs", "left out")  # where a problem's vote lies; left out: by other rules
STAGES: tuple[Callable[[Round], None], ...] = (make_problems, make_suites, draw_candidates, execute_candidates, take_votes)


def place_of(verdict: Verdict | None, config: Config) -> str:
    """One of PLACES."""
    if verdict is None:
        return "no inputs"
    if verdict.top < 0:
        return "no winner"
    if verdict.kept:
        return "in band"
    low, high = config.solutions.band_low, config.solutions.band_high
    return "above" if verdict.top_share > high else "below" if verdict.top_share < low else "left out"


def kind_row(problems: Sequence[Problem], verdicts: Mapping[str, Verdict], proposals: int, config: Config) -> dict[str, Any]:
    """One kind of problem in figures."""
    places = Counter(place_of(verdicts.get(p.id), config) for p in problems)
    voted = [verdicts[p.id].top_share for p in problems if p.id in verdicts]
    return {
        "proposals": proposals,
        "problems": len(problems),
        "votes": dict(places),
        "in_band": places["in band"] / proposals,  # of the proposals
        "mean_top_share": float(np.mean(voted)) if voted else None,
        "distinct_behaviours": float(np.mean([len(verdicts[p.id].counts) for p in problems if p.id in verdicts])) if voted else None,
    }


def bootstrap(shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """RESAMPLES means, float64."""
    values = np.asarray(shares, dtype=float)
    return values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)


def ends(means: np.ndarray) -> list[float]:
    """The 95 % interval of bootstrapped means."""
    return [float(end) for end in np.quantile(means, (0.025, 0.975))]


def measure(config: Config) -> dict[str, Any]:
    """Both rounds, and their figures."""
    problems: list[Problem] = []
    verdicts: dict[str, Verdict] = {}
    asked = [0, 0]  # proposals by topic, and beyond solved problems
    with Run(config) as run:
        for index in (1, 2):
            current = Round(run, index, run.model)
            solved = solved_problems(current)
            if index == 2 and not solved:
                raise UserError("no problem of the first round was solved", "problems.count", "raise it, or lower solutions.band_high")
            for stage in STAGES:
                stage(current)
            problems += current.problems
            verdicts |= {v.problem_id: v for v in current.verdicts}
            asked = [had + more for had, more in zip(asked, counts(problems_asked(config, index), len(solved)), strict=True)]
    kinds = [p for p in problems if p.beyond is None], [p for p in problems if p.beyond is not None]
    by_topic, beyond = (kind_row(kind, verdicts, proposals, config) for kind, proposals in zip(kinds, asked, strict=True))
    taught = [p for p in problems if place_of(verdicts.get(p.id), config) == "in band"]
    of_parent = Counter(p.beyond for p in taught if p.beyond is not None)
    fresh = sum(p.beyond is None for p in taught)
    rng = np.random.default_rng(0)
    means = bootstrap([1.0] * fresh + [0.0] * (asked[0] - fresh), rng)
    parents = [count / PER_SOLVED for count in of_parent.values()] + [0.0] * (asked[1] // PER_SOLVED - len(of_parent))
    means_beyond = bootstrap(parents, rng)
    by_topic["in_band_ci"], beyond["in_band_ci"] = ends(means), ends(means_beyond)
    return {
        "model": Path(config.model).name,
        "solved": len(solved),
        "by_topic": by_topic,
        "beyond": beyond,
        "gain": beyond["in_band"] - by_topic["in_band"],  # beyond minus by topic
        "gain_ci": ends(means_beyond - means),
        "seed": config.seed,
        "commit": git_commit(),
        "command": module_command("bench.real.depth", sys.argv[1:]),
        "versions": versions(),
    }


def shown(row: Mapping[str, Any]) -> str:
    """Markdown: a line a kind of problem, and their difference."""
    lines = []
    for name in ("by_topic", "beyond"):
        kind = row[name]
        votes = [str(kind["votes"].get(place, 0)) for place in PLACES]
        lines.append([name.replace("_", " "), str(kind["proposals"]), str(kind["problems"]), *votes, interval(kind, "in_band")])
    header = ["asked for", "proposals", "problems", *PLACES, "proposals that end in the band"]
    return f"{table(header, lines)}\n\nbeyond minus by topic, points: {interval(row, 'gain', points=True)}"


def main() -> None:
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return
    keep_freed_memory()
    with error_screen():
        config = config_from_argv(sys.argv[1:])
        if not counts(config.problems, config.problems.count)[1]:
            said = f"there is nothing to compare: no one of {config.problems.count} proposals would go beyond a solved problem"
            raise UserError(
                said, "problems.depth", f"raise it, say to 0.5, or problems.count ({PER_SOLVED} proposals for each solved problem)"
            )
        if config.problems.source != SELF_MADE:
            raise UserError("problems of your own are asked for in neither way", "problems.source", f"leave it at {SELF_MADE}")
        row = measure(config)
        rows = json.loads(RESULT.read_text())["rows"] if RESULT.is_file() else []
        rows = [old for old in rows if (old["model"], old["seed"]) != (row["model"], row["seed"])] + [row]
        write_atomically(RESULT, json.dumps({"rows": rows}, indent=1) + "\n")
    print(shown(row))


if __name__ == "__main__":
    main()
