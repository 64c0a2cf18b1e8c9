"""How many problems a round asks for, and which of the user's rows it takes."""

from __future__ import annotations

import pytest

from rl.config.schema import Config, load_config
from rl.console import UserError
from rl.loop.asking import own_rows, problems_asked


def test_round_1_alone_asks_for_the_problems_that_are_kept_apart_as_well() -> None:
    config = Config(problems={"count": 20}, choice={"proposals": 40})
    assert [problems_asked(config, index).count for index in (1, 2, 3)] == [60, 20, 20]


@pytest.mark.parametrize(("share", "taken"), [(0.0, [60, 20, 20]), (0.5, [30, 10, 10])])
def test_no_row_comes_again_while_others_are_left(share: float, taken: list[int]) -> None:
    config = Config(problems={"count": 20, "source": "rows.jsonl", "share": share}, choice={"proposals": 40})
    rounds = [own_rows(config, index) for index in (1, 2, 3)]
    assert [count for _, count in rounds] == taken
    places = [place for start, count in rounds for place in range(start, start + count)]
    assert places == list(range(sum(taken)))


def test_proposals_for_a_choice_that_keeps_nothing_apart_are_refused() -> None:
    with pytest.raises(UserError, match=r"choice\.problems is 0"):
        load_config(None, ["--choice.problems", "0", "--choice.proposals", "10"])
