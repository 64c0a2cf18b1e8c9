"""Stage 3 for the user's own problems: what a row says stays, what is missing is written, and what cannot be written is counted."""

from __future__ import annotations

from dataclasses import replace

from probing.prompt import Question
from probing.records import Problem
from probing.stages.config import ProblemsConfig
from probing.stages.problems import Funnel
from rl.own.problems import read_problem
from rl.own.signatures import complete
from tests.probing.asking import Wording
from tests.solve.toys import INTERFACE, ToyModel, no_bar

ASK = Wording("instruct")
TEXT = "Return the largest difference between neighbours in a list."
TYPED = "def largest_gap(xs: list[int]) -> int:"


def problem(**row: object) -> Problem:
    return read_problem({"description": TEXT, **row}, "mine.jsonl#1")


def completed(model: ToyModel, *problems: Problem) -> tuple[list[Problem], Funnel]:
    funnel = Funnel()
    return complete(model, ASK, problems, ProblemsConfig(), (1, 2), funnel, no_bar), funnel


def test_a_typed_signature_stays_and_an_interface_is_written_for_it() -> None:
    model = ToyModel()
    (found,), funnel = completed(model, problem(signature=TYPED))
    assert found.signature == TYPED and found.interface == f'{TYPED}\n    """{INTERFACE}"""'
    assert "signature" not in model.asked and not funnel.dropped


def test_an_untyped_signature_is_shown_to_the_model_and_gets_its_types() -> None:
    model = ToyModel(signature=[" list[int], k: int) -> int"])
    (found,), _ = completed(model, problem(signature="def largest_gap(numbers, k):"))
    assert (found.entry, found.signature) == ("largest_gap", "def largest_gap(numbers: list[int], k: int) -> int:")
    assert "def largest_gap(numbers, k):" in model.asked["signature"][0]
    assert found.description == TEXT, "what the solver reads is the row's own statement"


def test_a_function_that_no_row_names_is_named_by_the_model() -> None:
    (found,), _ = completed(ToyModel(signature=["biggest(xs: list[int]) -> int"]), problem())
    assert (found.entry, found.signature) == ("biggest", "def biggest(xs: list[int]) -> int:")


def test_a_written_signature_with_other_arguments_is_not_taken() -> None:
    found, funnel = completed(ToyModel(signature=[" list[int], k: int) -> int"]), problem(signature="def largest_gap(xs):"))
    assert found == [] and funnel.dropped == {"no signature": 1}


def test_a_problem_without_a_signature_is_dropped_and_its_neighbours_are_not() -> None:
    first, last = replace(problem(signature=TYPED), id="a"), replace(problem(signature=TYPED), id="c")
    found, funnel = completed(ToyModel(signature=["no idea"]), first, replace(problem(), id="b"), last)
    assert [p.id for p in found] == ["a", "c"] and funnel.dropped == {"no signature": 1}


def test_a_problem_keeps_its_signature_where_no_interface_can_be_read() -> None:
    (found,), funnel = completed(ToyModel(interface=[""]), problem(signature=TYPED))
    assert (found.signature, found.interface) == (TYPED, None) and not funnel.dropped


def test_an_interface_with_other_arguments_is_not_taken() -> None:
    """Sets without a prefill let the model write the header anew; test inputs are of the row's signature."""

    class Anew(Wording):
        def __call__(self, skill: str, **fields: object) -> Question:
            return replace(super().__call__(skill, **fields), prefill="")

    other = f'def largest_gap(word: str) -> int:\n    """{INTERFACE}"""'
    same = f'{TYPED}\n    """{INTERFACE}"""'
    problems = [problem(signature=TYPED)]
    for written, kept in ((other, None), (same, same)):
        (found,) = complete(ToyModel(interface=[written]), Anew("instruct"), problems, ProblemsConfig(), (1, 2), Funnel(), no_bar)
        assert (found.signature, found.interface) == (TYPED, kept)
