"""Stages 3 to 5 for a person's statement: signatures that fit, suites that hold the examples, and what is kept when a stage fails."""

from __future__ import annotations

import pytest

from probing.stages.config import SuitesConfig
from rl.solve.stages import WrittenProblem, usable_signature, write_inputs, write_problems
from rl.solve.statement import Statement, read_statement
from tests.probing.asking import Wording
from tests.solve.toys import STATEMENT, ToyModel, no_bar

ASK = Wording("instruct")
SHOWN = "Return the largest gap.\nassert largest_gap([1, 5]) == 4"
SUITES = SuitesConfig(inputs=20, pool=40, samples=1)


def problem(model: ToyModel, text: str) -> WrittenProblem | None:
    [written] = write_problems(model, ASK, [read_statement(text)], 0, no_bar)
    return written


def test_the_model_is_asked_for_a_signature_only_where_the_statement_has_none() -> None:
    model = ToyModel(signature=["xs: list[int]) -> int"])
    assert problem(model, STATEMENT) is not None and "signature" not in model.asked
    written = problem(model, SHOWN)
    assert written is not None and written.signature_from == "the model"
    assert written.problem.signature == "def largest_gap(xs: list[int]) -> int:"
    assert [prompt.count("largest_gap") for prompt in model.asked["signature"]] == [2]  # it names the function


def test_a_signature_that_does_not_fit_the_examples_is_not_taken() -> None:
    written = problem(ToyModel(signature=["word: str) -> int", "xs: list[int], k: int) -> int"]), SHOWN)
    assert written is not None and written.signature_from == "the examples"
    assert written.problem.signature == "def largest_gap(x1: list[int]):"


@pytest.mark.parametrize("text", ["def other(xs: list[int]) -> int", "def largest_gap(f: Callable) -> int", "no idea"])
def test_signatures_that_cannot_be_used(text: str) -> None:
    assert usable_signature(f"```python\n{text}", read_statement(SHOWN)) is None


UNTYPED = "Count the numbers of xs above k.\n\n    def count_larger(xs, k):\n"


@pytest.mark.parametrize("header", ["def count_larger(xs, k):", "def count_larger(self, xs, k):", "def count_larger(xs: list[int], k=0):"])
def test_a_signature_with_another_number_of_arguments_than_the_statement_s_header_is_not_taken(header: str) -> None:
    statement = read_statement(f"Count the numbers of xs above k.\n\n    {header}\n")
    assert statement.signature is None
    taken = "def count_larger(xs: list[int], k: int) -> int:"
    assert usable_signature("def count_larger(xs: list[int]) -> int:", statement) is None
    assert usable_signature(taken, statement) == taken


def test_the_model_s_signature_begins_with_the_first_argument_of_an_untyped_header() -> None:
    model = ToyModel(signature=[" list[int]) -> int:", " list[int], k: int) -> int:"])
    for header in ("(xs, k)", "(self, xs, k)"):
        written = problem(model, UNTYPED.replace("(xs, k)", header))
        assert written is not None and written.signature_from == "the model"
        assert written.problem.signature == "def count_larger(xs: list[int], k: int) -> int:"


def test_examples_with_another_number_of_arguments_than_the_header_say_nothing_of_the_signature() -> None:
    text = UNTYPED + "\ncount_larger([1, 2]) == 2"
    asked = problem(ToyModel(signature=[" list[int], k: int) -> int:"]), text)
    assert asked is not None and asked.problem.signature == "def count_larger(xs: list[int], k: int) -> int:"
    assert problem(ToyModel(), text) is None  # the types of one argument are no signature of two


def test_without_signature_and_examples_there_is_no_problem_but_others_go_on() -> None:
    statements = [read_statement("Do something nice."), read_statement(STATEMENT)]
    nothing, written = write_problems(ToyModel(), ASK, statements, 0, no_bar)
    assert nothing is None and written is not None and written.has_interface


def test_a_prompt_set_without_a_signature_prompt_falls_to_the_examples() -> None:
    class Seedling(ToyModel):
        def _answers(self, prompt: str, n: int):  # type: ignore[no-untyped-def]
            self.asked.setdefault("all", []).append(prompt)
            return super()._answers("Write a docstring", n)

    statement = read_statement(SHOWN)
    [written] = write_problems(Seedling(), Wording("seedling"), [statement], 0, no_bar)
    assert written is not None and written.signature_from == "the examples"


def test_an_interface_that_cannot_be_read_leaves_the_signature() -> None:
    written = problem(ToyModel(interface=['""" + 1']), STATEMENT)
    assert written is not None and not written.has_interface and written.problem.signature.startswith("def largest_gap")


def test_the_inputs_of_the_examples_are_in_front_and_the_pool_grows_no_larger() -> None:
    written = problem(ToyModel(), STATEMENT + "\nlargest_gap([7, 7, 8]) == 1\nlargest_gap([1, 5, 2]) == 4")
    assert written is not None
    suite = write_inputs(ToyModel(), ASK, [written], SUITES, 0, no_bar)[written.problem.id]
    assert suite.inputs[:2] == ("[[7, 7, 8]]", "[[1, 5, 2]]") and suite.origins[:2] == ("statement", "statement")
    assert len(suite.inputs) == len(set(suite.inputs)) == len(suite.origins) == SUITES.pool


def test_the_examples_are_enough_where_the_model_writes_no_call() -> None:
    written = problem(ToyModel(), STATEMENT + "\nlargest_gap([7, 7, 8]) == 1")
    assert written is not None
    suites = write_inputs(ToyModel(tests=["I cannot"]), ASK, [written], SUITES, 0, no_bar)
    assert suites[written.problem.id].inputs[0] == "[[7, 7, 8]]" and len(suites[written.problem.id].inputs) > 1


def test_without_any_input_there_is_no_suite() -> None:
    written = problem(ToyModel(), STATEMENT)
    assert written is not None
    assert write_inputs(ToyModel(tests=["('text')"]), ASK, [written], SUITES, 0, no_bar) == {}


def test_an_example_that_leaves_out_an_argument_with_a_default_is_an_input() -> None:
    text = STATEMENT.replace("xs: list[int]", "xs: list[int], step: int = 1") + "\nlargest_gap([7, 8]) == 1"
    written = problem(ToyModel(), text)
    assert written is not None and written.problem.signature == "def largest_gap(xs: list[int], step: int) -> int:"
    assert written.shown_inputs == ["[[7, 8], 1]"]


def test_an_example_with_another_number_of_arguments_is_no_input() -> None:
    text = STATEMENT + "\nlargest_gap([7, 8], 2) == 1"
    written = problem(ToyModel(), text)
    assert written is not None and isinstance(written.statement, Statement)
    suite = write_inputs(ToyModel(), ASK, [written], SUITES, 0, no_bar)[written.problem.id]
    assert "[[7, 8], 2]" not in suite.inputs
