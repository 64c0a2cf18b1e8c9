"""Solutions that were collected elsewhere: whose they are, and that the candidates made of them are what the policy would have given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from probing.models.loading import load_model
from probing.probe.hidden_states import HiddenStates
from probing.prompt import Question
from probing.prompts.asking import Asker
from probing.reading import read_program
from probing.records import Problem
from probing.samplers.base import SamplingParams
from probing.samplers.config import SamplingConfig
from probing.samplers.engines.factory import open_sampler
from probing.stages.solutions import solve_question
from rl.console import UserError
from rl.models.source import check_model
from rl.own.problems import read_problem
from rl.own.samples import CandidateReader, CollectedSamples, as_answer
from rl.own.source import Rows
from tests.own.rows import write_rows

TEXT = "Given an integer n: 1. add 3 to it. Return the result."
SIGNATURE = "def add(n: int) -> int:"
RIGHT = "def add(n: int) -> int:\n    return n + 3"


OWN = {"id": 7, "description": TEXT, "signature": SIGNATURE}


def problem(**row: Any) -> Problem:
    return read_problem({**OWN, **row}, "mine.jsonl#7")


def collected(folder: Path, *rows: dict[str, Any], own: Sequence[dict[str, Any]] = (OWN,)) -> CollectedSamples:
    return CollectedSamples(str(write_rows(folder / "samples.jsonl", list(rows))), Rows("mine.jsonl", own, ""))


@pytest.mark.parametrize("name", ["candidates", "completions", "samples"])
@pytest.mark.parametrize("key", [{"id": 7}, {"task_id": "7"}, {"prompt": TEXT}, {"id": "other", "text": TEXT}])
def test_a_row_names_its_problem_by_id_or_statement(name: str, key: dict[str, Any], tmp_path: Path) -> None:
    found = collected(tmp_path, {**key, name: ["a", "b"]}, {"id": "8", name: ["c"]})
    assert list(found.of(problem())) == ["a", "b"]


def test_rows_of_one_problem_are_joined_in_order(tmp_path: Path) -> None:
    assert list(collected(tmp_path, {"id": "7", "samples": ["a"]}, {"id": "7", "samples": ["b", "c"]}).of(problem())) == ["a", "b", "c"]


def test_rows_that_name_a_problem_by_id_and_by_statement_are_joined_once_each(tmp_path: Path) -> None:
    rows = [{"id": "7", "samples": ["a"]}, {"text": TEXT, "samples": ["b"]}, {"id": "7", "text": TEXT, "samples": ["c"]}]
    assert list(collected(tmp_path, *rows).of(problem())) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": "8", "samples": ["a", "b"]}, "no samples"),
        ({"id": "7", "samples": ["a"]}, "one sample alone"),
        ({"id": "7", "samples": ["a", "b"]}, ""),
    ],
)
def test_a_problem_that_cannot_vote_has_a_reason(row: dict[str, Any], reason: str, tmp_path: Path) -> None:
    assert collected(tmp_path, row).unusable(problem()) == reason


def test_an_id_counts_as_a_whole(tmp_path: Path) -> None:
    own = [{**OWN, "id": "a#7"}, {**OWN, "id": "b#7"}]
    rows = [{"id": "7", "samples": ["wrong"]}, {"id": "a#7", "samples": ["a"]}, {"id": "b#7", "samples": ["b"]}]
    found = collected(tmp_path, *rows, own=own)
    assert [list(found.of(read_problem(row, f"mine.jsonl#{row['id']}"))) for row in own] == [["a"], ["b"]]


def test_a_problem_without_an_id_has_no_samples_by_the_number_of_its_row(tmp_path: Path) -> None:
    own = [{"description": TEXT, "signature": SIGNATURE}]
    assert not collected(tmp_path, {"id": "1", "samples": ["a", "b"]}, own=own).of(read_problem(own[0], "mine.jsonl#1"))


def test_programs_of_a_function_that_nobody_names_cannot_be_called(tmp_path: Path) -> None:
    nameless = read_problem({"id": 7, "description": TEXT}, "mine.jsonl#7")
    assert collected(tmp_path, {"id": "7", "samples": ["a", "b"]}).unusable(nameless) == "no entry for its samples"


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([{"id": "7", "samples": "a"}], "no list of texts"),
        ([{"id": "7", "samples": [1]}], "no list of texts"),
        ([{"samples": ["a", "b"]}], "names no problem"),
        ([{"id": "7", "samples": ["a", "\ud800"]}], "half a surrogate pair"),
        ([{"id": "7"}, {"id": "8"}], "no row of solutions.source has candidate programs"),
    ],
)
def test_a_bad_file_of_samples_is_one_screen(rows: list[dict[str, Any]], what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=what):
        collected(tmp_path, *rows)


@pytest.mark.parametrize("prefill", ["", "```python\n", "<think>\n"])
def test_an_answer_goes_on_from_its_prefill_and_is_read_as_the_program(prefill: str) -> None:
    answer = prefill + as_answer(RIGHT, Question("...", prefill))
    assert read_program(answer, "add") == RIGHT
    assert answer.count("```python") == 1


@pytest.fixture(scope="module")
def policy() -> tuple[Any, Any]:
    return load_model(check_model("seedling", Path("kept")), "cpu", "float32")


@pytest.mark.slow
def test_the_policys_own_answers_come_back_with_their_tokens_and_logprobs(policy: tuple[Any, Any]) -> None:
    """Collected from the policy itself, a sample is the candidate that stage 5 would have made of it."""
    model, tokenizer = policy
    ask, asked = Asker.of(tokenizer), problem()
    config = SamplingConfig(device="cpu", dtype="float32")
    sampler = open_sampler(config, check_model("seedling", Path("kept")), lambda: policy)
    (drawn,) = sampler.sample([solve_question(ask, asked).text], 6, SamplingParams(1.0, 1.0, 112), seed=3)
    kept = [answer for answer in drawn if answer.finished and read_program(answer.text, "add") is not None]
    assert kept
    found = CandidateReader(ask, tokenizer, HiddenStates(model, tokenizer), 112).candidates(asked, [answer.text for answer in kept])
    assert [c.index for c in found] == list(range(len(kept)))
    same = [(answer, c) for answer, c in zip(kept, found, strict=True) if c.token_ids == answer.token_ids]
    assert len(same) == len(kept)
    for answer, candidate in same:
        assert candidate.logprobs == pytest.approx(answer.logprobs, abs=1e-3)
        assert candidate.code is not None and candidate.finished


@pytest.mark.slow
def test_what_is_too_long_is_left_out_and_what_is_no_program_has_no_code(policy: tuple[Any, Any]) -> None:
    model, tokenizer = policy
    reader = CandidateReader(Asker.of(tokenizer), tokenizer, HiddenStates(model, tokenizer), 60)
    found = reader.candidates(problem(), ["I do not know.", RIGHT + "\n" + "# more\n" * 100, RIGHT])
    assert [c.code for c in found] == [None, RIGHT] and [c.index for c in found] == [0, 1]
    assert all(len(c.logprobs) == c.n_tokens for c in found)
