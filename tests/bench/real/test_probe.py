"""bench.real.probe: what its probes find and must not find, that no fit sees the task it scores, and that it goes on where it stopped."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.real.probe import __main__ as bench
from bench.real.probe import drawing
from bench.real.probe.scores import (
    CONTROLS,
    MEAN_LOGPROB,
    PAIRS,
    RESIDUAL,
    STATES,
    WITH_CONTROLS,
    WITH_LOGPROBS,
    Answers,
    FitSettings,
    Fitted,
    bare_scores,
    bears,
    pairs_of,
    votes,
)
from bench.real.probe.stored import closed
from bench.real.probe.summary import aurocs, drawn, markdown, summary
from probing.probe.hidden_states import LAST, POOLINGS, HiddenStates, StateFeatures
from probing.samplers.base import Completion
from rl.benchmarks.base import Benchmark
from tests.evals.toys import DOUBLE, fenced
from tests.probing import tiny_models

SETTINGS = FitSettings(folds=4, pca=8, c_grid=(1e-3, 1e-1))
RIGHT, WRONG = "def double(x):\n    return x + x", "def double(x):\n    return x * x"


def made(signal: float = 0.0, by_logprob: float = 0.0, by_length: float = 0.0, tasks: int = 40, n: int = 8, seed: int = 0) -> Answers:
    """Answers whose states hold a signal at one place, and at every place their logprob, their length and which task they are of."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(tasks), n)
    right = (rng.random(tasks * n) < rng.uniform(0.2, 0.8, tasks)[groups]).astype(float)
    states = rng.normal(size=(tasks * n, 2, 3, 12)) + 3 * rng.normal(size=(tasks, 2, 3, 12))[groups]
    states[:, 1, 0, :3] += signal * right[:, None]
    logprob = rng.normal(size=tasks * n) + by_logprob * right
    lengths = rng.integers(40, 80, tasks * n) + (by_length * right).astype(int)
    states[..., 4] += logprob[:, None, None]
    states[..., 5] += lengths[:, None, None] * 0.1
    features = StateFeatures(
        states.astype(np.float32), logprob.astype(np.float32), (logprob - 1).astype(np.float32), lengths, groups, (2, 3), (*POOLINGS, LAST)
    )
    return Answers(features, groups, right, right * 0.5, right)


def figures(answers: Answers, splits: int = 2) -> tuple[dict[Any, float], dict[Any, list[float]]]:
    """AUROC by (fitted on, score), and the interval of each gain."""
    found = summary(answers, splits, 0, SETTINGS, lambda _: None)
    gains = {(g["fitted_on"], g["score"], g["over"]): g["gain_ci"] for g in found["gains"]}
    return {(s["fitted_on"], s["score"]): s["auroc"] for s in found["scores"]}, gains


def test_a_signal_in_the_states_is_found_and_where_it_lies() -> None:
    found, gains = figures(made(signal=1.0))
    assert abs(found[None, MEAN_LOGPROB] - 0.5) < 0.08
    for name in (STATES, PAIRS, WITH_LOGPROBS, RESIDUAL, WITH_CONTROLS):
        assert found["votes", name] > 0.75, name
    assert found["votes", "states, layer 3, last token of the code"] > 0.75 > 0.6 > found["votes", "states, layer 2, mean over the code"]
    assert gains["references", WITH_CONTROLS, CONTROLS][0] > 0.1


def test_noise_gives_one_half_though_the_states_name_the_task() -> None:
    found, gains = figures(made())
    assert all(abs(auroc - 0.5) < 0.1 for (source, name), auroc in found.items() if name != "share of the vote"), found
    low, high = gains["votes", WITH_CONTROLS, CONTROLS]
    assert low < 0 < high


def test_states_that_hold_only_logprob_and_length_add_nothing_to_them() -> None:
    found, gains = figures(made(by_logprob=1.0, by_length=15))
    assert min(found["votes", STATES], found["votes", CONTROLS], found["votes", "states, layer 2, end of the answer"]) > 0.7
    assert abs(found["votes", RESIDUAL] - 0.5) < 0.1
    assert gains["votes", WITH_CONTROLS, CONTROLS][0] < 0.01


def test_what_is_learnt_of_a_task_never_reaches_its_own_scores() -> None:
    answers = made(signal=1.0, tasks=16)
    fitted = Fitted(answers, SETTINGS, 0)
    before = fitted.scores(answers.voted, 0)
    own = answers.groups == 5
    after = fitted.scores(np.where(own, 1 - answers.voted, answers.voted), 0)
    for name, scores in before.items():
        np.testing.assert_array_equal(after[name][own], scores[own], err_msg=name)
        assert not np.array_equal(after[name], scores), name


def test_references_do_not_reach_probes_that_learn_from_votes() -> None:
    answers = made(signal=1.0, tasks=16)
    other = replace(answers, right=np.roll(answers.right, 1))
    np.testing.assert_array_equal(*(Fitted(a, SETTINGS, 0).scores(a.voted, 0)[STATES] for a in (answers, other)))
    assert figures(answers, 1)[0]["votes", STATES] != figures(other, 1)[0]["votes", STATES]


def test_answers_without_a_verdict_are_left_out_not_wrong() -> None:
    answers = made()
    gone = np.arange(len(answers.right)) % 5 == 0
    logprob = np.where(gone, -100, answers.features.mean_logprob).astype(np.float32)
    features = replace(answers.features, mean_logprob=logprob)
    missing, wrong = (replace(answers, features=features, right=np.where(gone, value, answers.right)) for value in (np.nan, 0.0))
    scores = bare_scores(missing)[MEAN_LOGPROB]
    assert abs(aurocs(missing, [scores]).mean() - 0.5) < 0.08 and aurocs(wrong, [scores]).mean() > 0.65


def test_pairs_are_right_and_wrong_answers_of_one_task() -> None:
    right, wrong = pairs_of(np.array([1.0, 0, 0, 1, 1, 0]), np.array([0, 0, 0, 1, 2, 2]), np.array([True] * 5 + [False]))
    assert list(zip(right.tolist(), wrong.tolist(), strict=True)) == [(0, 1), (0, 2)]


@pytest.mark.parametrize(
    ("clusters", "winner", "share"),
    [
        ([0, 1, 0, -1], [1, 0, 1, 0], [2 / 3, 1 / 3, 2 / 3, 0]),
        ([0, 0, 1, 1], [np.nan] * 4, [0.5] * 4),  # no margin
        ([0, 1, 2, -1], [np.nan] * 4, [1 / 3, 1 / 3, 1 / 3, 0]),  # nobody agrees
        ([-1, -1], [np.nan] * 2, [0, 0]),
    ],
)
def test_votes(clusters: list[int], winner: list[float], share: list[float]) -> None:
    np.testing.assert_allclose(votes(clusters, [True] * len(clusters)), [winner, share])


def test_only_tasks_that_enter_a_figure_are_read() -> None:
    assert bears([0, 0, 1], [True, True, False], 3)
    assert bears([0, 0, 1, 1, 0], [False] * 5, 3)  # all are wrong, yet votes tell them apart
    assert bears([0, 1], [True, False], 2)  # no winner, yet one is right
    assert not bears([0, 0, 1, 0], [True, True, False, True], 2)  # the third is not read
    assert not bears([0, 0, -1], [True, True, None], 3)
    assert not bears([0, 1, 2], [False] * 3, 3)


def test_figures_of_all_drawn_tasks_count_those_that_are_not_read() -> None:
    rows = [
        {"clusters": [0, 0, 1, 0], "passed": [True, True, False, True]},
        {"clusters": [0, 0, 0, 0], "passed": [False] * 4},
        {"clusters": [0, 1, -1, -1], "passed": [True, None, False, False]},
        {"clusters": [-1] * 4, "passed": [None] * 4},
    ]
    found = drawn(rows, 3)
    assert (found["tasks"], found["tasks_to_read"]) == (4, 2)
    assert (found["pass@1"], found["mixed_share"]) == (pytest.approx((2 / 3 + 0 + 1 / 2) / 3), pytest.approx(2 / 3))
    assert (found["clear_winners"], found["clear_winners_right"]) == (2, 1)


def test_an_answer_that_our_infrastructure_failed_on_has_no_vote_of_its_own() -> None:
    winner, share = votes([0, 0, -1], [True, False, None])
    assert winner[:2].tolist() == [1, 1] and np.isnan(winner[2]) and np.isnan(share[2])


def test_only_a_finished_answer_gets_its_fence() -> None:
    text = "```python\nx = 1"
    assert closed(Completion(text, (0,), (), False)) == text
    assert closed(Completion(f"{text}\n```\nDone.", (0,), (), True)) == f"{text}\n```\nDone."


# The command, on a tiny model and twelve copies of one task.

TASKS = tuple(replace(DOUBLE, id=f"toy/{i}", statement=f"Double x, {i}.", prompt=f"double x, {i}") for i in range(12))
TEXTS = [WRONG, RIGHT, RIGHT, "def double(x):\n    return 2 * x"]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rows = [
        {"benchmark": "mbpp_plus", "task": task.id, "index": i, "completion": fenced(text), "tokens": 9, "finished": True}
        for task in TASKS
        for i, text in enumerate(TEXTS)
    ]
    (tmp_path / "drawn.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    monkeypatch.setattr(bench, "load_benchmark", lambda *_: Benchmark("mbpp_plus", TASKS, "tests"))
    monkeypatch.setattr(bench, "resolve_model", lambda path: path)
    monkeypatch.setattr(bench, "model_hash", lambda path: path)
    monkeypatch.setattr(bench, "load_model", lambda *_, **__: (tiny_models.model("qwen2", positions=512), tiny_models.tokenizer()))
    monkeypatch.setattr(bench, "FitSettings", lambda: SETTINGS)
    return ["--answers", str(tmp_path / "drawn.jsonl.gz"), "--samples", "3", "--splits", "1", "--json", str(tmp_path / "found.json")]


def run(words: list[str], out: Path, model: str = "tiny") -> dict[str, Any]:
    assert bench.main([*words, "--model", model, "--out", str(out)]) == 0
    rows = json.loads(Path(words[words.index("--json") + 1]).read_text())["rows"]
    return next(row for row in rows if row["model"] == model)


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_ends_with_the_same_row(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(words, tmp_path / "whole")
    assert (whole["tasks"], whole["tasks_read"], whole["mixed_tasks"], whole["answers"], whole["pass@1"]) == (
        12,
        12,
        12,
        36,
        pytest.approx(2 / 3),
    )
    extract, asked = HiddenStates.extract, []

    def counted(reader: HiddenStates, *args: Any) -> StateFeatures:
        asked.append(args[0])
        if len(asked) == 6:
            raise KeyboardInterrupt
        return extract(reader, *args)

    monkeypatch.setattr(HiddenStates, "extract", counted)
    with pytest.raises(KeyboardInterrupt):
        run(words, tmp_path / "stopped")
    monkeypatch.setattr(bench, "grade_all", lambda *args: pytest.fail("graded twice") if len(args[0].rows) < 12 else None)
    again = run(words, tmp_path / "stopped")
    assert len(asked) == 6 + 7  # five were there
    assert again["scores"] == whole["scores"] and again["gains"] == whole["gains"]


@pytest.mark.slow
def test_models_stand_beside_one_another_and_collect_reads_nothing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(words, tmp_path / "a")
    run(words, tmp_path / "b", "other")
    monkeypatch.setattr(bench, "measure", lambda *_: pytest.fail("measured"))
    path = tmp_path / "found.json"
    assert bench.main(["--collect", "--splits", "1", "--out", str(tmp_path / "a"), "--json", str(path)]) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [row["model"] for row in rows] == ["other", "tiny"] and rows[1]["scores"] == first["scores"]
    assert "/" not in first["command"] and first["layers"] == [1, 2, 3]
    text = markdown(rows)
    assert "| mean logprob | " in text and "tiny: 12 tasks of mbpp_plus drawn at random, 3 answers each (drawn.jsonl.gz)" in text
    assert text.count("| states + logprobs + length − logprobs + length | ") == 2


@pytest.mark.slow
def test_a_folder_of_other_settings_and_too_few_tasks_are_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run([*words, "--tasks", "3"], tmp_path / "out")
    assert left.value.code == 2 and "3 tasks have right and wrong answers" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        run([*words, "--samples", "2"], tmp_path / "out")
    assert left.value.code == 2 and "other settings: samples" in capsys.readouterr().err
    assert run(words, tmp_path / "out")["tasks"] == 12  # more tasks go on in the same folder


class Parrot:
    """A sampler that gives the answers of TEXTS, and is killed at its `last` call."""

    calls = 0

    def __init__(self, last: int | None = None) -> None:
        self.last = last

    def sample(self, prompts: list[str], n: int, params: Any, seed: int, progress: Any = None) -> list[list[Completion]]:
        Parrot.calls += 1
        if Parrot.calls == self.last:
            raise KeyboardInterrupt
        return [[Completion(fenced(text), (0,) * 9, (), True) for text in TEXTS[:n]] for _ in prompts]

    def close(self) -> None:
        pass


@pytest.mark.slow
def test_without_a_file_the_model_answers_each_task_once(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_file = run(words, tmp_path / "file")
    monkeypatch.setattr(drawing, "load_tokenizer", lambda _: tiny_models.tokenizer())
    monkeypatch.setattr(drawing, "open_sampler", lambda *_: Parrot(last=2))
    monkeypatch.setattr(drawing, "CHUNK", 10)
    here = [*words[2:], "--votes", "4"]
    with pytest.raises(KeyboardInterrupt):
        run(here, tmp_path / "here")
    assert run(here, tmp_path / "here")["scores"] == of_file["scores"]
    assert Parrot.calls == 3  # ten tasks, killed, the other two
    with pytest.raises(SystemExit) as left:
        run([*here, "--temperature", "1"], tmp_path / "here")
    assert left.value.code == 2 and "other settings: temperature" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [([], "there is nothing to read"), (["--collect"], "no states were read"), (["--samples", "9", "--model", "tiny"], "has 4 answers")],
)
def test_what_is_lacking_is_said(given: list[str], said: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = words[:2] if "--model" in given else []
    with pytest.raises(SystemExit) as left:
        bench.main([*given, *answers, "--out", str(tmp_path / "none")])
    assert left.value.code == 2 and said in capsys.readouterr().err
