"""The loop with `problems.depth`: from the second round on, a share of the problems goes a step beyond what the first one solved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from probing.prompts.templates import FOLDER
from rl.round_files import read_rows
from tests.loop.runs import finish

SHORT = ("--evals.limit", "1", "--choice.problems", "0", "--grpo.steps", "1", "--audit", "false", "--solutions.band_high", "0.6")


@pytest.mark.slow
def test_the_second_round_goes_beyond_problems_that_the_first_one_solved(tmp_path: Path) -> None:
    prompts = shutil.copytree(FOLDER / "seedling", tmp_path / "prompts")
    # the bundled model knows this request alone: whatever was solved, it is asked for another problem about lists
    (prompts / "deepen.jinja").write_text((prompts / "invent.jinja").read_text().replace("{{ topic }}", "lists of integers"))
    finish(tmp_path / "run", "--rounds", "2", "--prompts", str(prompts), "--problems.depth", "0.4", *SHORT)
    first, second = tmp_path / "run" / "round_01", tmp_path / "run" / "round_02"
    settled = {v["problem_id"] for v in read_rows(first / "clusters.jsonl") if v["top"] >= 0 and v["top_share"] > 0.6}
    problems = read_rows(second / "problems.jsonl")
    beyond = {p["beyond"] for p in problems} - {None}
    assert beyond and beyond <= settled and any(p["beyond"] is None for p in problems)
    assert all(p["beyond"] is None for p in read_rows(first / "problems.jsonl"))
    funnel = json.loads((second / "funnel.json").read_text())
    assert funnel["solved_before"] == len(settled) and funnel["proposed"] == 30
    assert funnel["beyond_proposed"] == min(12, 4 * len(settled))
    assert funnel["beyond_kept"] == sum(p["beyond"] is not None for p in problems)
    [voted] = [row for row in read_rows(tmp_path / "run" / "metrics.jsonl") if (row["round"], row["stage"]) == (2, "consensus")]
    kept = {v["problem_id"]: v["kept"] for v in read_rows(second / "clusters.jsonl")}
    shares = [kept[p["id"]] for p in problems if p["beyond"] is not None and p["id"] in kept]
    assert voted["beyond_in_band"] == pytest.approx(sum(shares) / len(shares))
