"""The report's problem browser: everything that is to be judged is there, and nothing that a model wrote can act in the page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rl.report import write_report
from rl.report.browser import PROBLEMS_SHOWN, browser_data, first_in_order, sample_order, script_json
from rl.round_files import read_rows, write_rows
from rl.run_data import read_run, run_id
from tests.rl.fake_run import write_run

pytestmark = pytest.mark.slow

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]><img src=x onerror=alert(1)>",
    "&lt;b&gt; & \u2028\u2029\u202e evil",
    "\ud800 lone",
    "quote \" ' ` ${1+1} {{ 7*7 }}",
)


class Elements(HTMLParser):
    """Tags of a page with their attributes, and the text of its script elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def hostile_run(folder: Path) -> Path:
    """A run whose model wrote what would act in a page that trusts it."""
    write_run(folder, rounds=1)
    problems = read_rows(folder / "round_01" / "problems.jsonl")
    for place, row in enumerate(problems):
        text = HOSTILE[place % len(HOSTILE)]
        row |= {"title": text, "description": text, "topic": text, "interface": text}
    write_rows(folder / "round_01" / "problems.jsonl", problems)
    programs = read_rows(folder / "round_01" / "executions.jsonl")
    for place, row in enumerate(programs):
        text = HOSTILE[place % len(HOSTILE)]
        row |= {"program": text, "outcomes": [f"value:{text}" for _ in row["outcomes"]]}
    write_rows(folder / "round_01" / "executions.jsonl", programs)
    return folder


def data_of(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Elements(page).scripts[0])
    return found


def test_what_a_model_wrote_cannot_leave_its_place(tmp_path: Path) -> None:
    page = write_report(hostile_run(tmp_path / "run")).read_text(encoding="utf-8")
    elements = Elements(page)
    scripts = [attrs for tag, attrs in elements.tags if tag == "script"]
    assert [attrs.get("type") for attrs in scripts] == ["application/json", None]
    assert {tag for tag, _ in elements.tags} & {"img", "iframe", "object", "embed", "b"} - {"b"} == set()
    assert not [name for _, attrs in elements.tags for name in attrs if name.startswith("on")]
    shown = data_of(page)["problems"]
    assert {row["title"] for row in shown} == set(HOSTILE), "the text itself is kept as it was"
    assert all(row["clusters"][0]["code"] in {text.strip("\n") for text in HOSTILE} for row in shown)


def test_only_the_page_s_own_script_may_run(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "run", rounds=1)).read_text(encoding="utf-8")
    elements = Elements(page)
    policy = next(
        attrs["content"] for tag, attrs in elements.tags if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(elements.scripts[1].encode()).digest()).decode()
    assert policy is not None and f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy


def test_the_script_builds_no_html_from_text() -> None:
    script = (Path(__file__).parents[3] / "rl" / "report" / "browser.js").read_text(encoding="utf-8")
    assert not re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|fetch\(|XMLHttpRequest|import\(", script
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_json_in_a_script_is_plain_ascii_and_reads_back(text: str) -> None:
    found = script_json({"text": text})
    assert found.isascii() and not set(found) & set("<>&")
    assert json.loads(found) == {"text": text}


def test_each_problem_has_its_vote_its_programs_and_what_they_returned(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", rounds=2))
    found = browser_data(run)
    assert (found["run"], found["voted"], len(found["problems"])) == (run_id(run.rounds), 28, 28)
    verdicts = {row["problem_id"]: row for files in run.rounds for row in files.rows("clusters")}
    for problem in found["problems"]:
        verdict = verdicts[problem["id"]]
        assert problem["kept"] == verdict["kept"] and problem["votes"] == verdict["n_valid"]
        assert [cluster["members"] for cluster in problem["clusters"]] == list(verdict["counts"])
        assert problem["clusters"][0]["winner"] and "sum(x for x in xs" in problem["clusters"][0]["code"]
        assert len(problem["clusters"][0]["outcomes"]) == len(problem["inputs"])


def test_the_random_order_depends_on_the_ids_alone() -> None:
    ids = [f"r01-{i:04d}" for i in range(200)]
    order = sample_order(ids)
    assert sample_order(ids[::-1]) == order and sorted(order) == ids and order != ids
    assert [name for name in order if name in ids[:50]] == sample_order(ids[:50]), "more problems leave the order of the others"
    assert abs(sum(int(name[-4:]) for name in order[:100]) / 100 - 99.5) < 20, "the first half is no worse than chance"


def test_problems_with_a_winner_come_first() -> None:
    rows = [{"problem_id": str(i), "counts": [1], "top": -1 if i % 2 else 0} for i in range(20)]
    rows.append({"problem_id": "none", "counts": [], "top": -1})
    drawn = first_in_order(rows, 12)
    assert [row["top"] for row in drawn] == [0] * 10 + [-1] * 2


def test_later_rounds_do_not_change_what_is_shown_of_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / "run", rounds=3)
    monkeypatch.setattr("rl.report.browser.PROBLEMS_SHOWN", 15)
    whole = browser_data(read_run(folder))["problems"]
    assert sorted(row["round"] for row in whole) == [1] * 5 + [2] * 5 + [3] * 5
    for number in (2, 3):
        for path in (folder / f"round_{number:02d}").iterdir():
            path.unlink()
        (folder / f"round_{number:02d}").rmdir()
    (folder / "summary.json").unlink()
    assert browser_data(read_run(folder))["problems"] == [row for row in whole if row["round"] == 1]


def test_a_thousand_problems_stay_a_small_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", rounds=1)
    for name in ("problems", "suites", "executions", "clusters", "scores"):
        rows = read_rows(folder / "round_01" / f"{name}.jsonl")
        key = "id" if name == "problems" else "problem_id"
        many = [{key: f"{row[key]}-{copy}", **{k: v for k, v in row.items() if k != key}} for copy in range(100) for row in rows]
        write_rows(folder / "round_01" / f"{name}.jsonl", many)
    started = time.process_time()
    data = browser_data(read_run(folder))
    assert time.process_time() - started < 20
    assert (data["voted"], len(data["problems"])) == (1400, PROBLEMS_SHOWN)
    assert len(script_json(data)) < 4e6
