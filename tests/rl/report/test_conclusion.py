"""The report's first screen: better or not, by how much, can it be trusted, what to do next."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rl.cli import COMMANDS
from rl.report import write_report
from rl.report.checks import Check, CheckStatus
from rl.report.conclusion import conclude
from rl.report.headline import how_measured
from rl.report.next_steps import next_steps
from rl.report.page import render
from rl.run_data import RunData, read_run
from tests.rl.fake_run import write_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def with_summary(run: Path, **changes: Any) -> RunData:
    """The run as it would read had its final row been another."""
    data = read_run(run)
    last = {**data.rows[-1], **changes}
    return RunData(**{**data.__dict__, "rows": [*data.rows[:-1], last], "final": last})


@pytest.mark.parametrize(
    ("gain", "interval", "status", "words"),
    [
        (0.13, [0.09, 0.17], "good", "improved by 13.0 points"),
        (-0.11, [-0.15, -0.07], "bad", "got worse by 11.0 points"),
        (0.01, [-0.03, 0.05], "warn", "No clear change: +1.0 points"),
    ],
)
def test_the_verdict_follows_the_paired_interval(folder: Path, gain: float, interval: list[float], status: str, words: str) -> None:
    conclusion = conclude(with_summary(folder, **{"pass@1": 0.41 + gain, "gain": gain, "gain_ci": interval}))
    assert (conclusion.status, conclusion.low, conclusion.high) == (status, *interval)
    assert words in conclusion.headline
    assert "paired" in conclusion.interval_kind


def test_without_a_paired_interval_the_two_intervals_are_joined(folder: Path) -> None:
    conclusion = conclude(with_summary(folder, **{"pass@1": 0.42, "pass@1_ci": [0.39, 0.45], "gain": None}))
    assert conclusion.interval_kind.startswith("unpaired")
    assert (conclusion.low, conclusion.high) == pytest.approx((0.01 - math.hypot(0.025, 0.03), 0.01 + math.hypot(0.025, 0.03)))


def test_the_headline_says_what_was_measured(folder: Path, page: str) -> None:
    assert "pass@1 on seedling, 16 samples a task at temperature 1, float32; interval bootstrap, paired over tasks<" in page
    data = read_run(folder)
    greedy = RunData(**{**data.__dict__, "config": {**data.config, "evals": {**data.config["evals"], "temperature": 0.0}}})
    assert how_measured(greedy) == "pass@1 on seedling, greedy, float32"
    assert not any("sharpness" in check.title for check in conclude(greedy).checks), "greedy decoding has no sharpness"


GREEDY = {"greedy_pass@1": 0.5, "greedy_gain": 0.06, "greedy_gain_ci": [0.02, 0.1]}


def with_greedy(folder: Path, **changes: Any) -> RunData:
    """A run whose base was decoded greedily too."""
    run = with_summary(folder, **(GREEDY | changes))
    base = {**run.rows[0], "greedy_pass@1": 0.44, "greedy_pass@1_ci": [0.41, 0.47], "best_temperature": 0.0}
    return RunData(**{**run.__dict__, "rows": [base, *run.rows[1:]]})


def test_greedy_decoding_is_the_headline_where_it_was_measured(folder: Path) -> None:
    run = with_greedy(folder, gain=0.2, gain_ci=[0.15, 0.25])
    conclusion = conclude(run)
    assert (conclusion.headline, conclusion.low) == ("The model improved by 6.0 points of greedy pass@1.", 0.02)
    assert (conclusion.base, conclusion.base_interval) == (0.44, (0.41, 0.47))
    assert how_measured(run) == "greedy pass@1 on seedling, float32"
    flat = conclude(with_greedy(folder, greedy_gain=0.0, greedy_gain_ci=[-0.03, 0.03], gain=0.2, gain_ci=[0.15, 0.25]))
    assert flat.status == "warn", "a gain at temperature 1 does not make up for none of greedy decoding"


@pytest.mark.parametrize(("interval", "status"), [([0.01, 0.05], "good"), ([-0.01, 0.05], "warn"), ([-0.05, -0.01], "bad")])
def test_more_than_sharpness_is_a_gain_of_best_over_best(folder: Path, interval: list[float], status: str) -> None:
    best = {"best_gain": sum(interval) / 2, "best_gain_ci": interval, "best_temperature": 0.2, "gain": 0.2, "gain_ci": [0.1, 0.3]}
    checks = {check.title: check for check in conclude(with_greedy(folder, **best)).checks}
    check = checks["Was more gained than sharpness?"]
    assert check.status == status
    assert "(0 and 0.2)" in check.detail and "At temperature 1 by +20.0 points." in check.detail


def test_without_pass_at_1_there_is_no_verdict(folder: Path) -> None:
    conclusion = conclude(with_summary(folder, **{"pass@1": None}))
    assert (conclusion.status, conclusion.gain) == ("unknown", None)
    assert "not measured" in conclusion.headline


@pytest.mark.parametrize(
    ("title", "changes", "status"),
    [
        ("Was breadth kept?", {}, "good"),
        ("Was breadth kept?", {"pass@16": 0.6}, "warn"),
        ("Was breadth kept?", {"pass@16": None}, "unknown"),
        ("Was more gained than sharpness?", {"majority@16": 0.6}, "good"),
        ("Was more gained than sharpness?", {"majority@16": 0.495}, "warn"),
        ("Was more gained than sharpness?", {"majority@16": None}, "unknown"),
        ("Did it hold to the end?", {"pass@1": 0.45}, "warn"),
        ("Were the labels better than the model?", {"label_accuracy": 0.2}, "warn"),
        ("Did the probe know more than length?", {"probe_auroc_within_controlled": 0.55}, "warn"),
        ("Did the probe know more than length?", {"probe_weight": 0.0}, "warn"),
        ("Did the probe know more than length?", {"probe_weight": 0.2}, "good"),
        ("Did length stay put?", {"mean_length": 100.0}, "warn"),
        ("Did the guards stay quiet?", {}, "warn"),
        ("Did the sandbox hold?", {}, "good"),
    ],
)
def test_checks_change_with_the_figures(folder: Path, title: str, changes: dict[str, Any], status: str) -> None:
    checks = {check.title: check.status for check in conclude(with_summary(folder, **changes)).checks}
    assert checks[title] == status


def ended_with_base(folder: Path, **changes: Any) -> RunData:
    """The run as if no round had agreed more than its base."""
    run = read_run(folder)
    return replace(run, final={**run.base, "choice": {"round": 0, "reason": "the base"}}, **changes)


def test_a_run_that_ends_with_its_base_has_no_gain(folder: Path) -> None:
    conclusion = conclude(ended_with_base(folder))
    assert conclusion.headline == "The run ends with its base model: no round agreed more."
    assert (conclusion.status, conclusion.gain, conclusion.low, conclusion.high, conclusion.interval_kind) == (
        "unknown",
        None,
        None,
        None,
        "",
    )
    assert conclude(ended_with_base(folder, finished=False)).headline.startswith("So far the base model is kept")
    compared = ("more than noise", "breadth", "sharpness", "length stay")
    assert not [check.title for check in conclusion.checks if any(words in check.title for words in compared)], (
        "nothing is held against itself"
    )


def test_the_base_is_not_to_be_compared_with_itself(folder: Path) -> None:
    assert not [step for step in steps_of(ended_with_base(folder)) if "ucoder eval" in step or "compare" in step]


def test_the_first_screen_of_a_run_that_ends_with_its_base_shows_the_base_alone(folder: Path) -> None:
    first = render(ended_with_base(folder)).split('<section id="verdict"')[1].split("</section>")[0]
    assert "41.0 %" in first and "the base model, 95 %" in first and "after 0 rounds" not in first


def test_trust_rests_on_the_probe_only_where_it_has_a_weight(folder: Path) -> None:
    run = with_summary(folder, probe_weight=0.5)
    for given, said in ((0.0, []), (0.4, ["Its weight in the reward was 0.20."])):
        told = RunData(**{**run.__dict__, "config": {**run.config, "reward": {"w_quality": given}}})
        found = [check.detail for check in conclude(told).checks if "probe" in check.title]
        assert [detail[-len(words) :] for detail, words in zip(found, said, strict=True)] == said


def test_the_first_screen_answers_four_questions_in_order(page: str) -> None:
    first = page.split('<section id="verdict"')[1].split("</section>")[0].split("Other checks")[0]
    places = [first.index(words) for words in ("The model improved", "+13.0 points", "Can I trust it?", "What to do next")]
    assert places == sorted(places)
    titles = re.findall(r"<strong>([^<]*)</strong>", first)
    guards, answers, sandbox, labels = titles
    assert (guards, answers) == ("Did the guards stay quiet?", "Did every answer get its verdict?")
    assert (sandbox, labels) == ("Did the sandbox hold?", "Were the labels better than the model?")
    assert "<code>ucoder eval --model" in first


@pytest.mark.parametrize(
    ("statuses", "status", "words"),
    [
        (["good", "good"], "good", "Yes: all 2 checks hold."),
        (["good", "unknown"], "unknown", "As far as is known: 1 of 2"),
        (["warn", "unknown"], "warn", "With care: 1 of 2 checks asks"),
        (["bad", "warn", "good"], "bad", "No: 1 of 3 checks failed, 1 more"),
    ],
)
def test_trust_is_that_of_the_worst_check(folder: Path, statuses: list[CheckStatus], status: str, words: str) -> None:
    conclusion = replace(conclude(read_run(folder)), checks=tuple(Check(found, "title", "detail") for found in statuses))
    assert conclusion.trust[0] == status and conclusion.trust[1].startswith(words)


def lost(run: RunData, answers: int) -> RunData:
    """The run as if so many answers of each evaluation had no verdict."""
    rows = [{**row, "benchmarks": {"toy": {"samples": 1000, "missing": answers}}} for row in run.rows]
    return replace(run, rows=rows, final=rows[-1])


@pytest.mark.parametrize(("answers", "status"), [(0, "good"), (10, "good"), (11, "bad")])
def test_answers_without_a_verdict_cost_trust(folder: Path, answers: int, status: str) -> None:
    check = next(check for check in conclude(lost(read_run(folder), answers)).checks if "its verdict" in check.title)
    assert check.status == status and f"{2 * answers} are missing" in check.detail


def test_failures_of_the_sandbox_in_rounds_and_in_training_count(folder: Path) -> None:
    run = read_run(folder)
    for stage, prefix in (("sandbox", ""), ("grpo", "outcomes/")):
        row = {"round": 1, "stage": stage, "step": 1, f"{prefix}value": 90, f"{prefix}infrastructure": 10, "rechecked": 10_000}
        check = next(check for check in conclude(replace(run, metrics=(row,))).checks if check.title == "Did the sandbox hold?")
        assert check.status == "bad" and "10.00 %" in check.detail, stage


def steps_of(run: RunData) -> list[str]:
    return [f"{step.text} {step.command}" for step in next_steps(run, conclude(run))]


def test_the_next_steps_follow_from_the_verdict(folder: Path, tmp_path: Path) -> None:
    better = steps_of(with_summary(folder, round=3))
    assert any("--benchmarks humaneval_plus,mbpp_plus" in step for step in better), "benchmarks that it has not looked at"
    assert any("--rounds 4" in step for step in better)
    assert "Do not use this result" in steps_of(with_summary(folder, gain=-0.1, gain_ci=[-0.2, -0.05]))[0]
    unclear = steps_of(with_summary(folder, gain=0.0, gain_ci=[-0.1, 0.1]))[0]
    assert "on more benchmarks" in unclear and "--benchmarks seedling,humaneval_plus,mbpp_plus" in unclear
    narrower = with_summary(folder, **{"pass@16": 0.6})
    sampled = replace(narrower, config={**narrower.config, "evals": {**narrower.config["evals"], "sampled": 200}})
    assert any("pass@16 fell on 200 tasks" in step and "--samples 32" in step for step in steps_of(sampled))
    unaudited = write_run(tmp_path / "plain", rounds=2, audited=False)
    assert any(f"ucoder audit {unaudited} marks.json" in step for step in steps_of(read_run(unaudited)))
    halted = replace(read_run(folder), metrics=({"stage": "guards", "step": 7, "guard_action": "stop", "guard": "kl", "cause": "KL is 9"},))
    rate = halted.config["grpo"]["learning_rate"] / 2
    assert "KL is 9" in steps_of(halted)[0] and f"--grpo.learning_rate {rate:g}" in steps_of(halted)[0]


def test_falling_back_between_rounds_ends_no_training(folder: Path) -> None:
    event = {"stage": "guards", "round": 2, "step": None, "guard_action": "roll_back", "guard": "between_rounds", "cause": "after round 2"}
    assert not [step for step in steps_of(replace(read_run(folder), metrics=(event,))) if "A guard ended training" in step]


@pytest.mark.parametrize(
    ("problems", "rounds", "proposals", "advised"),
    [
        (16, 4, 0, "256"),  # of 256 proposals a sixth was kept apart, which gave 16: six times that many are wanted
        (24, 4, 100, "400"),  # the yield of 100
        (16, 3, 0, None),
        (96, 4, 0, None),
        (None, 4, 0, None),
    ],
)
def test_many_rounds_compared_on_few_problems_want_more_of_them(
    tmp_path: Path, problems: int | None, rounds: int, proposals: int, advised: str | None
) -> None:
    run = read_run(write_run(tmp_path / "run", rounds=rounds))
    config = {**run.config, "problems": {"count": 256}, "choice": {"proposals": proposals}}
    steps = steps_of(replace(run, config=config, final={**run.final, "choice": {**run.final["choice"], "problems": problems}}))
    found = [step.partition("--choice.proposals ")[2].split()[0] for step in steps if "--choice.proposals" in step]
    assert found == ([advised] if advised else []), steps


def test_an_unfinished_run_is_to_be_watched(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", rounds=3)
    (folder / "summary.json").unlink()
    (folder / "round_03" / "metrics.json").unlink()
    first = steps_of(read_run(folder))[0]
    assert first.startswith("Round 3 of 3 is not evaluated yet") and first.endswith(f"ucoder watch {folder}")


def test_every_command_that_is_advised_is_one(folder: Path) -> None:
    runs = [
        with_summary(folder, round=3),
        with_summary(folder, gain=0.0, gain_ci=[-0.1, 0.1]),
        with_summary(folder, **{"majority@16": 0.49}),
        with_summary(folder, **{"pass@16": 0.6}),
    ]
    for step in (step for run in runs for step in next_steps(run, conclude(run)) if step.command.startswith("ucoder ")):
        command, *words = shlex.split(step.command)[1:]
        assert command in COMMANDS
        if command == "eval":
            assert set(words[::2]) <= {"--model", "--benchmarks", "--samples", "--temperature", "--json"}


def test_modules_that_programs_missed_are_named(folder: Path) -> None:
    title = "Did programs miss a module?"
    assert title not in [check.title for check in conclude(read_run(folder)).checks]
    eval_figures = {"outcomes": {"passed": 90, "module not offered: numpy": 10}, "samples": 100}
    checks = conclude(with_summary(folder, benchmarks={"toy": eval_figures})).checks
    [check] = [check for check in checks if check.title == title]
    assert check.status == "warn" and "toy: 10 of 100 answers import numpy" in check.detail
