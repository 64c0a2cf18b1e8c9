"""The measurement of growth: exponents of made-up runs whose growth is known, and which runs are still to be made."""

from __future__ import annotations

from typing import Any

import pytest

from bench.speed.scale import BASE, DIALS, STAGES, exponents, missing, table


def run(setting: dict[str, int], kept_share: float = 0.5) -> dict[str, Any]:
    """Solutions cost a second for 100 samples, consensus goes with the square of the samples, memory is flat."""
    kept = setting["problems"] * kept_share
    cpu = {
        "problems": setting["problems"] / 10,
        "solutions": kept * setting["samples"] / 100,
        "consensus": kept * setting["samples"] ** 2 / 1000,
    }
    return {**setting, "kept": kept, "cpu_seconds": cpu, "peak_memory_mb": 1000.0}


def test_known_growth_is_found() -> None:
    runs = [run(setting) for setting in missing([])]
    found = {dial: exponents(runs, dial) for dial in DIALS}
    assert found["problems"]["problems"] == pytest.approx([1, 1]) and found["problems"]["solutions"] == pytest.approx([1, 1])
    assert found["samples"]["consensus"] == pytest.approx([2, 2]) and found["inputs"]["consensus"] == pytest.approx([0, 0])
    assert all(found[dial]["memory"] == pytest.approx([0, 0]) for dial in DIALS)
    assert found["problems"]["training"] is None  # not measured is not 0


def test_later_stages_are_held_against_the_problems_that_were_kept() -> None:
    """Twice the work where twice as many are kept of the same proposals' growth is still linear."""
    line = [BASE | {"problems": n} for n in DIALS["problems"]]
    runs = [run(setting, share) for setting, share in zip(line, (0.6, 0.4, 0.3), strict=True)]
    assert exponents(runs, "problems")["solutions"] == pytest.approx([1, 1])


def test_what_has_been_run_is_not_run_again_and_every_dial_has_its_base() -> None:
    settings = missing([])
    assert settings[0] == BASE and len(settings) == 1 + sum(len(values) - 1 for values in DIALS.values())
    assert missing([run(setting) for setting in settings[:3]]) == settings[3:]


def test_the_table_has_a_row_for_each_dial() -> None:
    runs = [run(setting) for setting in missing([])]
    rows = table({"runs": runs, "exponents": {dial: exponents(runs, dial) for dial in DIALS if dial != "ranks"}}).splitlines()
    assert len(rows) == 2 + len(DIALS) and all(row.count("|") == len(STAGES) + 3 for row in rows)
