"""How steps are spelt: an exact distribution over texts, hasty for greedy decoding, right for a vote unless it is a misconception."""

import ast
import itertools
import random
import re
from collections import Counter, defaultdict

import pytest

from bench.theory.perfect_fit import corpus_tokens, outcome, runner
from seedling.grammar import Step, Task
from seedling.inputs import random_inputs
from seedling.mistakes import MISCONCEPTIONS, is_rushed
from seedling.operations import BY_NAME, OPERATIONS, TYPES
from seedling.spellings import EMPTY, NAMES, RATES, UNDONE, contents, distribution, draw, spell, step_number

pytestmark = pytest.mark.slow


def every_step(seed: int = 0):
    rng = random.Random(seed)
    for operations in OPERATIONS.values():
        for operation in operations:
            yield Step(operation.name, tuple((name, rng.choice(values)) for name, values in sorted(operation.constants.items())))


def places(step):
    """(variable, last, rushed) of every kind of place."""
    source = step.operation.source
    ends = ((False, False), (True, False), (True, True))
    return [(variable, *end) for variable in (TYPES[source][0], f"{NAMES[source][0]}2") for end in ends]


def test_the_chances_of_a_steps_texts_sum_to_one():
    for step in every_step():
        for place in places(step):
            assert sum(chance for chance, _ in distribution(step, *place).values()) == pytest.approx(1)


def test_no_text_begins_another():
    """Otherwise where one step ends would be a guess, and the steps not independent."""
    for step in every_step():
        for place in places(step):
            texts = sorted(spelling.text for spelling in distribution(step, *place))
            assert not [(a, b) for a, b in itertools.pairwise(texts) if b.startswith(a)]


def descent(chances, cut):
    """(text that greedy decoding gives, least ratio of the chance of a token on its way to that of the next likely)."""
    live, margin = list(zip(cut(list(chances)), chances.items(), strict=True)), float("inf")
    depth = 0
    while len(live) > 1:
        sizes = Counter()
        for tokens, (_, chance) in live:
            sizes[tokens[depth]] += chance
        (best, most), *others = sizes.most_common(2)
        margin = min([margin, *(most / size for _, size in others)])
        live = [row for row in live if row[0][depth] == best]
        depth += 1
    return live[0][1][0], margin


@pytest.mark.parametrize("cut", [corpus_tokens, list], ids=["tokens", "characters"])
def test_greedy_decoding_is_hasty_with_a_margin(cut):
    for step in every_step(seed=1):
        for place in places(step):
            texts = {spelling.text: held for spelling, held in distribution(step, *place).items()}
            text, margin = descent({text: chance for text, (chance, _) in texts.items()}, cut)
            assert texts[text][1].form == "hasty" and margin > 1.4, (step, margin)


def test_texts_of_one_behaviour_behave_alike():
    for step in every_step(seed=2):
        source = step.operation.source
        inputs = [ast.literal_eval(text) for text in random_inputs(source, 12, seed=5)] + ([EMPTY[source]] if source in EMPTY else [])
        for last in (False, True):
            found = defaultdict(set)
            for _, content in contents(step, last):
                results = [outcome(runner(content, last), value) for value in inputs]
                right = content.step == step and content.writing in step.operation.right
                found["right" if right else content.behaviour].add(repr(results))
            assert all(len(results) == 1 for results in found.values()), step
            assert found["right"] == {repr([Task(source, (step,)).apply(value) for value in inputs])}


def shares(step, rushed):
    """(of right texts, of those that hold the belief or leave the step out, of the commonest other fault), at the end of a task."""
    right = held = 0.0
    others = Counter()
    for chance, content in contents(step, True, rushed):
        if content.step == step and content.writing in step.operation.right:
            right += chance
        elif content.writing == UNDONE if rushed else content.writing in step.operation.belief:
            held += chance
        else:
            others[content.step, content.writing] += chance
    return right, held, max(others.values(), default=0.0)


def test_a_vote_sees_through_a_rush_and_confirms_misconceptions():
    for step in every_step(seed=3):
        (right, held, other), (late, out, _) = shares(step, False), shares(step, True)
        if step.operation.name in MISCONCEPTIONS:
            assert held > 1.4 * right
        else:
            assert right > 10 * max(held, other) and late > 1.7 * out > 0.4, step


def test_hasty_and_careful_texts_are_right_equally_often_where_nothing_is_rushed():
    for step in every_step(seed=5):
        right, all_texts = Counter(), Counter()
        for chance, content in contents(step, True):
            if content.writing != UNDONE:
                all_texts[content.form == "hasty"] += chance
                right[content.form == "hasty"] += chance * (content.step == step and content.writing in step.operation.right)
        assert right[True] / all_texts[True] == pytest.approx(right[False] / all_texts[False])


def test_tasks_of_several_steps_that_return_the_type_of_their_argument_are_rushed():
    def is_so(*names):
        return is_rushed(Task("list[int]", tuple(Step(name) for name in names)))

    assert is_so("xs_running", "xs_running") and is_so("xs_joined", "s_digits", "s_codes")
    assert not is_so("xs_running") and not is_so("xs_running", "xs_running", "xs_joined")


def test_misconceptions_have_a_belief():
    assert all(BY_NAME[name].belief for name in MISCONCEPTIONS)


def test_every_name_is_one_token():
    """Names in pieces would share their first token, and together outweigh the hasty text."""
    names = sorted(set(itertools.chain(*NAMES.values())))
    assert [name for name, tokens in zip(names, corpus_tokens([f" {name}" for name in names]), strict=True) if len(tokens) > 1] == []


def test_names_hide_nothing():
    """With its number no name is one that a text uses otherwise: arguments, builtins, what its loops and helpers name."""
    for step in every_step():
        for variable, last, rushed in places(step):
            for spelling, (_, content) in distribution(step, variable, last, rushed).items():
                given = {f"{name}{step_number(variable)}" for name in NAMES[step.operation.target]}
                used = step.fill(content.writing.statements, variable) + step.fill(content.writing.expression, variable)
                assert not given & set(re.findall(r"[a-z]\w*", used)), spelling.text


def test_results_are_numbered_by_their_step():
    step = Step("xs_running")
    for variable, number in (("xs", 1), ("data1", 2), ("xs3", 4)):
        assert {spelling.variable[-1] for spelling in distribution(step, variable, False)} == {str(number)}
    assert {spelling.variable for spelling in distribution(step, "xs", True)} == {""}


def test_draws_follow_the_distribution():
    step = Step("xs_at_least", (("k", 3),))
    rng, n = random.Random(0), 4000
    drawn = Counter(draw(step, "xs", True, rng) for _ in range(n))
    expected = {spelling: chance for spelling, (chance, _) in distribution(step, "xs", True).items()}
    assert set(drawn) <= set(expected)
    assert all(abs(drawn[s] / n - chance) < 5 * (chance / n) ** 0.5 for s, chance in expected.items())


def test_the_hasty_text_is_the_terse_one():
    step = Step("xs_at_least", (("k", 3),))
    hasty = next(content for _, content in contents(step, False) if content.form == "hasty")
    assert spell(hasty, "ys2", False, "got").text == "    xs3 = [x for x in ys2 if x >= 3]\n"
    assert RATES.hasty < 0.5
