"""The table of agreement with BigCodeBench's official verdicts: tasks that cannot be had here count neither for nor against."""

from __future__ import annotations

from typing import Any

from bench.bigcodebench import summary


def row(task: str, official: str, ours: str, unavailable: str | None = None) -> dict[str, Any]:
    return {"task": task, "official": official, "ours": ours, "unavailable": unavailable}


def test_agreement_is_of_passes_among_what_can_be_scored() -> None:
    rows = [
        row("a", "pass", "pass"),
        row("b", "timeout", "fail"),
        row("c", "pass", "fail"),
        row("d", "fail", "missing"),
        row("e", "pass", "fail", "its own solution fails"),
    ]
    found = summary(rows)
    assert (found["tasks"], found["available"], found["agree"], found["differ"]) == (5, 3, 2, ["c"])
    assert (found["official_pass"], found["official_pass_available"], found["ours_pass"], found["missing"]) == (3, 2, 1, 1)
