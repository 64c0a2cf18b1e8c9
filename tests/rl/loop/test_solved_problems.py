"""What `problems.depth` goes beyond: which problems of earlier rounds count as solved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from probing.records import Problem
from rl.config.schema import Config, load_config
from rl.console import UserError
from rl.loop.asking import is_solved, solved_problems
from rl.round_files import PROBLEMS, VERDICTS, Verdict, write_records

# ten answers, all alike
SOLVED = Verdict("x", (0,), (0,) * 10, (10,), 0, 1.0, 1.0, 0.0, 10, False)


def problem(name: str, source: str = "self") -> Problem:
    return Problem(name, "T", "Do it.", "f", "def f(x: int) -> int:", "", "graphs", source=source)


def leave(folder: Path, *rows: tuple[Problem, Verdict]) -> None:
    folder.mkdir()
    write_records(folder / PROBLEMS.file, [p for p, _ in rows])
    write_records(folder / VERDICTS.file, [replace(v, problem_id=p.id) for p, v in rows])


def test_the_self_made_ones_of_all_earlier_rounds_and_of_no_other(tmp_path: Path) -> None:
    split = replace(SOLVED, labels=(0,) * 9 + (1,), counts=(9, 1), top_share=0.9)
    leave(tmp_path / "round_01", (problem("r01-a"), SOLVED), (problem("r01-b"), split), (problem("r01-own", "mine.jsonl#1"), SOLVED))
    leave(tmp_path / "round_02", (problem("r02-a"), SOLVED))
    leave(tmp_path / "round_03", (problem("r03-a"), SOLVED))
    run = SimpleNamespace(round_folder=lambda number: tmp_path / f"round_{number:02d}")
    config = Config(solutions={"band_high": 0.95})
    found = {index: [p.id for p in solved_problems(SimpleNamespace(run=run, index=index, config=config))] for index in (1, 2, 3)}
    assert found == {1: [], 2: ["r01-a"], 3: ["r01-a", "r02-a"]}


@pytest.mark.parametrize(
    "change",
    [
        {"top": -1},  # nobody won
        {"margin": -0.2},  # more programs are constant
        {"labels": (0, 0) + (-1,) * 8, "counts": (2,), "n_valid": 2},  # of ten answers two run
        {"labels": (0,) * 8 + (1, 1), "counts": (8, 2), "top_share": 0.8},
    ],
)
def test_what_is_no_sign_of_a_solved_problem(change: dict[str, object]) -> None:
    assert is_solved(SOLVED, 0.8)
    assert not is_solved(replace(SOLVED, **change), 0.8)


def test_where_no_problem_could_be_solved_depth_is_refused() -> None:
    with pytest.raises(UserError, match=r"problems\.depth \(0\.5\) goes beyond problems"):
        load_config(None, ["--problems.depth", "0.5", "--solutions.band_high", "1"])
