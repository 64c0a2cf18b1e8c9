"""`ConsensusReward`: the reward of TRL's interface, on one rank and on several."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rewards import ConsensusReward
from rewards.records import Execution, Kind, Outcome
from rewards.reward_batch import completion_text
from rewards.rules.consensus import ConsensusConfig
from rewards.sandbox import SandboxConfig, SandboxError
from tests.rewards.reward_case import COLUMNS, COMPLETIONS, PROMPTS

ROOT = Path(__file__).parents[2]
DOUBLE, SQUARE = "def f(x):\n    return 2 * x", "def f(x):\n    return x * x"
PROBLEM: dict[str, Any] = {"entry": "f", "inputs": [[1], [2], [5]]}


@pytest.fixture(scope="module")
def reward() -> Iterator[ConsensusReward]:
    with ConsensusReward(sandbox=SandboxConfig(workers=1)) as opened:
        yield opened


def columns(n: int, **more: Any) -> dict[str, list[Any]]:
    return {name: [value] * n for name, value in (PROBLEM | more).items()}


def test_the_share_of_the_others_that_agree_is_the_reward(reward: ConsensusReward) -> None:
    answers = [DOUBLE, "```python\ndef f(x):\n    return x + x\n```", SQUARE, "I cannot do that."]
    got = reward(["p"] * 4, answers, [[1]] * 4, **columns(4))
    # f(2) is 4 for both functions: on one input of three the square agrees with two of two others
    assert got == pytest.approx([(1 / 2 + 1 + 1 / 2) / 3, (1 / 2 + 1 + 1 / 2) / 3, 1 / 3, 0.0])


def test_heads_of_functions_that_are_cut_off_do_not_vote(reward: ConsensusReward) -> None:
    head = "```python\ndef f(x):\n    x += 1\n    return (x, "
    assert reward(["p"] * 5, [head, head, head, DOUBLE, DOUBLE], **columns(5)) == pytest.approx([0.0, 0.0, 0.0, 1.0, 1.0])


HEAD = "```python\ndef f(x):\n    x += 1\n"  # parses: cut between two lines, it looks like a whole function


def test_completions_as_long_as_they_may_be_are_cut_off(reward: ConsensusReward) -> None:
    limited = ConsensusReward(sandbox=reward.sandbox, max_completion_length=9)
    returned = f"```python\n{DOUBLE}\n```\nThis function"  # nothing is missing from its program
    answers, tokens = [HEAD, HEAD, HEAD, DOUBLE, returned], [[1] * n for n in (9, 9, 9, 8, 9)]
    with limited:
        assert limited(["p"] * 5, answers, tokens, **columns(5)) == pytest.approx([0.0, 0.0, 0.0, 1.0, 1.0])
        assert limited.score(answers, **PROBLEM, finished=[False] * 3 + [True, False]) == pytest.approx([0.0, 0.0, 0.0, 1.0, 1.0])
        with pytest.raises(ValueError, match="1 values for 5 answers"):
            limited.score(answers, **PROBLEM, finished=[True])
        with pytest.raises(ValueError, match="does not pass completion_ids"):
            limited(["p"] * 5, answers, **columns(5))


def test_groups_do_not_vote_on_one_another(reward: ConsensusReward) -> None:
    answers = [DOUBLE, SQUARE, DOUBLE, SQUARE]
    apart = reward(["p", "p", "q", "q"], answers, **columns(4))
    together = reward(["p"] * 4, answers, **columns(4))
    assert apart == pytest.approx([1 / 3] * 4)
    assert together != pytest.approx(apart)


def test_the_group_column_joins_prompts(reward: ConsensusReward) -> None:
    by_name = ConsensusReward(group="id", sandbox=reward.sandbox)
    with by_name:
        assert by_name(["p", "q"], [DOUBLE, DOUBLE], id=["a", "a"], **columns(2)) == [1.0, 1.0]
        with pytest.raises(ValueError, match="differ in entry or inputs"):
            by_name(["p", "q"], [DOUBLE, DOUBLE], id=["a", "a"], entry=["f", "f"], inputs=[[[1]], [[2]]])


@pytest.mark.parametrize(
    "inputs",
    [[[1], [2], [5]], ["[1]", "[2]", "[5]"], "[[1], [2], [5]]", '["[1]", "[2]", "[5]"]'],
    ids=["lists", "texts", "one text", "JSON of texts"],
)
def test_inputs_in_every_form(reward: ConsensusReward, inputs: Any) -> None:
    assert reward(["p"] * 2, [DOUBLE, DOUBLE], **columns(2, inputs=inputs)) == [1.0, 1.0]


def test_json_literals_and_python_literals_are_inputs(reward: ConsensusReward) -> None:
    code = "def f(x):\n    return (x, type(x).__name__)"
    assert reward(["p"] * 2, [code] * 2, **columns(2, inputs='[[null], [true], [{"a": 1}]]')) == [1.0, 1.0]
    assert reward(["p"] * 2, [code] * 2, **columns(2, inputs="[[None], [(1, 2)], [{3}]]")) == [1.0, 1.0]


def test_inputs_that_json_writes_alike_are_different_problems(reward: ConsensusReward) -> None:
    code = "def f(x):\n    return (x, type(x).__name__)"
    inputs = [[[(1, 2)], [(3,)]]] * 2 + [[[[1, 2]], [[3]]]] * 2
    assert reward(["p"] * 4, [code, DOUBLE] * 2, **columns(4, inputs=None) | {"inputs": inputs}) == [0.0] * 4
    by_name = ConsensusReward(group="id", sandbox=reward.sandbox)
    with by_name:
        assert by_name(["p"] * 4, [code] * 4, **columns(4) | {"inputs": inputs, "id": [(1,), (1,), [1], [1]]}) == [1.0] * 4


def test_keys_of_any_kind_may_stand_in_inputs(reward: ConsensusReward) -> None:
    code = "def f(x):\n    return list(x)"
    assert reward(["p"] * 2, [code] * 2, **columns(2, inputs=[[{1: 2, "a": 3}], [{None: 2, 5: 3}]])) == [1.0, 1.0]


def test_conversations_are_read_like_texts(reward: ConsensusReward) -> None:
    prompts = [[{"role": "user", "content": "Write f."}]] * 2
    plain = [{"role": "assistant", "content": DOUBLE}]
    last = {"role": "assistant", "content": [{"type": "text", "text": DOUBLE}]}
    parts = [{"role": "assistant", "content": "x"}, {"role": "tool", "content": SQUARE}, last]
    assert reward(prompts, [plain, parts], **columns(2)) == [1.0, 1.0]
    assert completion_text([]) == ""


def test_given_code_completes_a_body(reward: ConsensusReward) -> None:
    assert reward(["p"] * 2, ["    return 2 * x", DOUBLE], **columns(2, given="def f(x):")) == [1.0, 1.0]


@pytest.mark.parametrize("prefill", ["", "<think>\n"])
@pytest.mark.parametrize("conversation", [False, True])
def test_a_draft_in_thinking_that_the_template_opened_is_no_program(prefill: str, conversation: bool) -> None:
    prompt = [{"role": "user", "content": "Write f."}] if conversation else "Write f.<|assistant|><think>\n"
    answers = [f"{DOUBLE}\n</think>\n{DOUBLE}", f"</think>{DOUBLE}", f"Perhaps:\n```python\n{DOUBLE}\n```\nOr"]
    seen = bool(prefill) or not conversation
    with ConsensusReward(prefill=prefill) as reward:
        assert reward([prompt] * 3, answers, **columns(3)) == ([1.0, 1.0, 0.0] if seen else [1.0, 1.0, 1.0])
        assert reward.score(answers, "f", [[2], [3]]) == ([1.0, 1.0, 0.0] if prefill else [1.0, 1.0, 1.0])


def test_rows_of_another_kind_get_none(reward: ConsensusReward) -> None:
    got = reward(["p"] * 3, [DOUBLE, DOUBLE, "Paris"], entry=["f", "f", None], inputs=[[[1], [2]]] * 2 + [None])
    assert got == [1.0, 1.0, None]


def test_a_sample_alone_gets_none(reward: ConsensusReward) -> None:
    assert reward(["p"], [DOUBLE], **columns(1)) == [None]


def test_constant_programs_win_nothing(reward: ConsensusReward) -> None:
    got = reward(["p"] * 4, ["def f(x):\n    return 0"] * 3 + [DOUBLE], **columns(4))
    assert got[:3] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        ({"whole_floats": False}, [[1.0], [2.0], [3.0]]),
        ({"digest_over": 100}, [["a" * 150], ["b" * 200], ["c" * 300]]),
        ({"significant_digits": 3}, [[1.2345], [2.3456], [3.4567]]),
    ],
    ids=["whole floats", "digest", "digits"],
)
def test_echoing_programs_win_nothing_whatever_the_sandbox_writes(settings: dict[str, Any], inputs: list[Any]) -> None:
    with ConsensusReward(sandbox=SandboxConfig(workers=1, **settings)) as reward:
        got = reward.score(["def f(x):\n    return x"] * 3 + [DOUBLE] * 2, "f", inputs)
    assert got == [0.0, 0.0, 0.0, 1.0, 1.0]


class Losing:
    """An executor that loses what holds the word."""

    def __init__(self, word: str) -> None:
        self.word = word

    def run(self, programs: Any) -> Iterator[Execution]:
        for program in programs:
            kind = Kind.INFRASTRUCTURE if self.word in program.code else Kind.VALUE
            yield Execution((Outcome(kind, "1"), Outcome(kind, "2"), Outcome(kind, "3")))


def test_what_the_sandbox_loses_is_none_and_stops_above_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    for most, stops in ((0.5, False), (0.3, True)):
        reward = ConsensusReward(max_missing=most)
        monkeypatch.setattr(reward, "_opened", lambda: Losing("x * x"))
        if stops:
            with pytest.raises(SandboxError, match="lost 1 of 3"):
                reward(["p"] * 3, [DOUBLE, SQUARE, DOUBLE], **columns(3))
        else:
            assert reward(["p"] * 3, [DOUBLE, SQUARE, DOUBLE], **columns(3)) == [1.0, None, 1.0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"entry": ["f"]}, "no column 'inputs'.*it has: entry"),
        ({"inputs": [[[1]]]}, "no column 'entry'"),
        ({"entry": ["f("], "inputs": [[[1]]]}, "no name of a function"),
        ({"entry": ["f"], "inputs": [[1]]}, "row 0, columns 'entry' and 'inputs': .* no list of inputs"),
        ({"entry": ["f"], "inputs": [[]]}, "no list of inputs"),
        ({"entry": ["<stdin>"], "inputs": [[[1]]]}, "row 0, .* no list of texts"),
        ({"entry": ["<stdin>"], "inputs": [[]]}, "no list of texts"),
        ({"entry": ["<stdin>"], "inputs": [["1"]], "given": ["import math"]}, "whole programs"),
    ],
)
def test_columns_that_cannot_be_used_are_named(reward: ConsensusReward, given: dict[str, list[Any]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        reward(["p"], [DOUBLE], **given)


def test_programs_vote_by_what_they_print(reward: ConsensusReward) -> None:
    whole, decimals = "print(sum(map(int, input().split())))", "import sys\nprint(sum(float(x) for x in sys.stdin.read().split()))"
    largest, echo = "print(max(map(int, input().split())))", "print(input())"
    answers = [whole, f"It is:\n```python\n{decimals}\n```", largest, echo]
    texts = ["1 2\n", "30 4\n", "-5 9 2"]
    got = reward(["p"] * 4, answers, entry=["<stdin>"] * 4, inputs=[texts] * 4)
    assert got == [0.5, 0.5, 0.0, 0.0]  # 3 and 3.0 are one print, and one of two others agrees: a program that echoes has no vote
    assert reward.score(answers, "<stdin>", json.dumps(texts)) == got


def test_functions_and_programs_share_a_dataset(reward: ConsensusReward) -> None:
    program = "print(2 * int(input()))"
    got = reward(["p", "q"] * 2, [DOUBLE, program] * 2, entry=["f", "<stdin>"] * 2, inputs=[[[1], [2]], ["1\n", "2\n"]] * 2)
    assert got == [1.0] * 4


def test_rules_that_need_asserts_are_refused() -> None:
    with pytest.raises(ValueError, match="asserts"):
        ConsensusReward(consensus=ConsensusConfig(rule="codet"))
    with pytest.raises(ValueError, match="max_missing"):
        ConsensusReward(max_missing=2)


def test_figures_of_the_batch_are_logged(reward: ConsensusReward) -> None:
    logged: dict[str, float] = {}
    reward(["p"] * 4, [DOUBLE, DOUBLE, DOUBLE, "no"], log_metric=logged.__setitem__, **columns(4))
    assert logged == {
        "consensus/majority_share": 1.0, "consensus/behaviours": 1.0, "consensus/entropy": 0.0, "consensus/missing": 0.0,
        "consensus/no_program": 1.0,
    }  # fmt: skip


def test_one_group_is_scored_as_the_call_scores_it(reward: ConsensusReward) -> None:
    answers = [DOUBLE, DOUBLE, SQUARE]
    assert reward.score(answers, "f", [[1], [2], [5]]) == reward(["p"] * 3, answers, **columns(3))


def test_a_pickled_copy_opens_its_own_sandbox(reward: ConsensusReward) -> None:
    reward(["p"] * 2, [DOUBLE] * 2, **columns(2))
    with pickle.loads(pickle.dumps(reward)) as copy:
        assert copy._executor is None
        assert copy(["p"] * 2, [DOUBLE] * 2, **columns(2)) == [1.0, 1.0]


def test_close_ends_the_sandbox_and_a_call_opens_it_again() -> None:
    reward = ConsensusReward(sandbox=SandboxConfig(workers=1))
    assert reward(["p"] * 2, [DOUBLE] * 2, **columns(2)) == [1.0, 1.0]
    reward.close()
    assert reward._executor is None
    assert reward(["p"] * 2, [DOUBLE] * 2, **columns(2)) == [1.0, 1.0]
    reward.close()


def ranks(out: Path, count: int, *arguments: str) -> list[Any]:
    """What each of several processes got; they meet through a file."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "tests/rewards/reward_case.py", str(out)]
    started = [
        subprocess.Popen([*command, str(rank), str(count), *arguments], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(count)
    ]
    said = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0] * count, said
    return [json.loads((out / f"rank_{rank}.json").read_text()) for rank in range(count)]


def test_two_ranks_score_as_one(reward: ConsensusReward, tmp_path: Path) -> None:
    one = reward(PROMPTS, COMPLETIONS, **COLUMNS)
    assert len(set(one)) > 2  # there is something to compare
    first, second = ranks(tmp_path, 2)
    assert len(first) != len(second) and first + second == one  # a group straddles; slices need not be equally long


def test_a_bad_row_of_one_rank_stops_both(tmp_path: Path) -> None:
    first, second = ranks(tmp_path, 2, "bad")
    assert first == second and "no list of inputs" in first


def test_no_torch_is_imported() -> None:
    code = "import sys, rewards; r = rewards.ConsensusReward; print(sorted({'torch', 'trl', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_a_group_of_its_own_may_lose_one_program(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = ConsensusReward(max_missing=0.05)
    monkeypatch.setattr(reward, "_opened", lambda: Losing("x * x"))
    assert reward.score([DOUBLE, SQUARE, DOUBLE], "f", [[1], [2], [3]]) == [1.0, None, 1.0]
    with pytest.raises(SandboxError, match="lost 2 of 4"):
        reward.score([DOUBLE, SQUARE, SQUARE, DOUBLE], "f", [[1], [2], [3]])
