"""Are steps beyond solved problems worth more than problems asked for by topic (`problems.depth`)? bench/results/real_depth.json

    python -m bench.real.depth --config configs/qwen2.5-coder-0.5b-cpu.yaml --model MODEL --run_dir runs/depth --problems.depth 0.5

Stages 1 to 5 of two rounds with one model, which is not trained in between: the first asks by topic alone (for more problems with
`--choice.proposals N`), the second for both kinds. Each kind, over both rounds: how many of its proposals become problems, and how many
of these have a vote in the band, above it or below it (or no winner). The headlines are the share of the problems that are in the band,
which is what solutions are sampled for, and the share of the proposals that end there, with 95 % intervals by bootstrap over proposals,
where those beyond one solved problem stay together. Takes any key of a run; the same command goes on where it was killed.
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
        "of_problems": places["in band"] / len(problems) if problems else None,
        "of_proposals": places["in band"] / proposals,
        "mean_top_share": float(np.mean(voted)) if voted else None,
        "distinct_behaviours": float(np.mean([len(verdicts[p.id].counts) for p in problems if p.id in verdicts])) if voted else None,
    }


def bootstrap(counts_G3: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float64[RESAMPLES, 2]: the share of the problems in the band, and of the proposals that end there; NaN where a draw has no problem.

    counts_G3: int[groups, 3]: of each group of proposals that is drawn together, how many there are, how many became problems, and how many
    of these are in the band.
    """
    drawn = np.stack([counts_G3[rng.integers(len(counts_G3), size=len(counts_G3))].sum(axis=0) for _ in range(RESAMPLES)]).astype(float)
    with np.errstate(invalid="ignore"):
        return np.stack([drawn[:, 2] / drawn[:, 1], drawn[:, 2] / drawn[:, 0]], axis=1)


def ends(means: np.ndarray) -> list[float]:
    """The 95 % interval of bootstrapped figures."""
    return [float(end) for end in np.nanquantile(means, (0.025, 0.975))]


def grouped_counts(problems: Sequence[Problem], verdicts: Mapping[str, Verdict], groups: int, together: int, config: Config) -> np.ndarray:
    """int[groups, 3], as `bootstrap` takes them: a group is the proposals beyond one solved problem, or a single one by topic."""
    counts_G3 = np.zeros((groups, 3), dtype=np.int64)
    counts_G3[:, 0] = together
    place_in: dict[str, int] = {}
    for problem in problems:
        row = counts_G3[place_in.setdefault(problem.beyond or problem.id, len(place_in))]
        row[1:] += (1, place_of(verdicts.get(problem.id), config) == "in band")
    return counts_G3


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
    rng, draws = np.random.default_rng(0), []
    for row, kind, proposals, together in ((by_topic, kinds[0], asked[0], 1), (beyond, kinds[1], asked[1], PER_SOLVED)):
        draws.append(bootstrap(grouped_counts(kind, verdicts, proposals // together, together, config), rng))
        row["of_problems_ci"], row["of_proposals_ci"] = ends(draws[-1][:, 0]), ends(draws[-1][:, 1])
    gains = {
        f"gain_{of}": None if None in (beyond[of], by_topic[of]) else beyond[of] - by_topic[of] for of in ("of_problems", "of_proposals")
    }
    return {
        "model": Path(config.model).name,
        "run": Path(config.run_dir).name,
        "solved": len(solved),
        "by_topic": by_topic,
        "beyond": beyond,
        **gains,  # beyond minus by topic
        "gain_of_problems_ci": ends(draws[1][:, 0] - draws[0][:, 0]),
        "gain_of_proposals_ci": ends(draws[1][:, 1] - draws[0][:, 1]),
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
        lines.append(
            [
                name.replace("_", " "),
                str(kind["proposals"]),
                str(kind["problems"]),
                *votes,
                interval(kind, "of_problems"),
                interval(kind, "of_proposals"),
            ]
        )
    header = ["asked for", "proposals", "problems", *PLACES, "in band, of the problems", "in band, of the proposals"]
    gains = [interval(row, f"gain_{of}", points=True) for of in ("of_problems", "of_proposals")]
    lines.append(["beyond minus by topic, points", *[""] * (len(PLACES) + 2), *gains])
    return table(header, lines)


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
        rows = [old for old in rows if old["run"] != row["run"]] + [row]
        write_atomically(RESULT, json.dumps({"rows": rows}, indent=1) + "\n")
    print(shown(row))


if __name__ == "__main__":
    main()
