"""`ucoder judge`: a report on good files, one clear screen on bad ones."""

import json
import math
from contextlib import closing
from pathlib import Path

import pytest

from rewards.clusters.inputs import InputsConfig
from rewards.judge import cli
from rewards.judge.determinism import Steady
from rewards.judge.ranking import rank
from rewards.records import Execution, Kind, Outcome
from rewards.rules.consensus import ConsensusConfig
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.user_files import read_inputs
from tests.screens import error_screen

RIGHT = ["def f(xs):\n    return sum(xs)", "def f(ys):\n    t = 0\n    for y in ys:\n        t += y\n    return t"]
WRONG = ["def f(xs):\n    return len(xs)", "def f(xs):\n    return max(xs)", "def f(xs):\n    return 0", "def f(xs: oops"]
CODES = [RIGHT[0], RIGHT[0] + "  # again", RIGHT[1], *WRONG, WRONG[2], WRONG[2], WRONG[2]]
INPUTS = [[[1, 2, 3]], "[[5]]", [[4, 4]], [[7, 1]], ["no list"]]


@pytest.fixture
def files(tmp_path):
    candidates, inputs = tmp_path / "candidates.jsonl", tmp_path / "inputs.json"
    candidates.write_text("\n".join(json.dumps({"code": code}) for code in CODES) + "\n")
    inputs.write_text(json.dumps(INPUTS))
    return [str(candidates), "--entry", "f", "--inputs", str(inputs)]


def test_right_programs_win_over_more_numerous_constants(files, capsys):
    assert cli.main([*files, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["candidates"], report["distinct_programs"], report["missing"]) == (10, 6, 0)
    winner = next(c for c in report["clusters"] if c["winner"])
    assert winner["samples"] == 3 and winner["representative"] == 0 and not winner["degenerate"]
    assert {row["candidate"] for row in report["ranking"][:3]} == {0, 1, 2}
    assert any(c["degenerate"] and c["samples"] == 4 for c in report["clusters"])
    assert report["input_quality"]["mutants_killed"] > 0.5
    assert 0 < report["theorem"]["p"] < 1 and report["theorem"]["needed"] >= 1
    hidden = report["hidden_differences"]
    assert hidden["programs"] == 6 and hidden["pool"] >= hidden["kept"] > 0 and 0 < hidden["share"] < 1


def test_the_same_verdict_for_a_person(files, capsys):
    assert cli.main([*files, "--mutants", "0"]) == 0
    out = capsys.readouterr().out
    assert (
        "winner" in out and "constant or echo" in out and "Theorem 2.4 (optimistic)" in out and "Hidden differences" in out and "#0" in out
    )


def test_asserts_serve_the_rules_that_need_them(files, tmp_path, capsys):
    asserts = tmp_path / "asserts.json"
    asserts.write_text(json.dumps(["assert f([1, 2]) == 3", "assert f([2, 9]) == 11", "assert g(1)", "assert f([3]) == 3"]))
    assert cli.main([*files, "--rule", "codet", "--asserts", str(asserts), "--json", "--mutants", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["ranking"][0]["candidate"] in (0, 1, 2)
    error_screen(capsys, ["judge", *files, "--rule", "passfail"], "--asserts")


def test_bad_files_end_in_one_screen(files, tmp_path, capsys):
    for text, words in [
        ("", ["no candidates"]),
        ("{", ["line 1", "not JSON"]),
        ('{"code": "x"}\n{"code": 3}', ["line 2", "code"]),
        ('{"code": "x", "logprob": "high"}', ["logprob"]),
        ('{"code": "x", "logprob": -1}\n{"code": "y"}', ["only 1 of 2"]),
    ]:
        file = tmp_path / "bad.jsonl"
        file.write_text(text)
        error_screen(capsys, ["judge", str(file), *files[1:]], "bad.jsonl", *words)
    for text, words in [
        ("", ["the file is empty"]),
        ("[", ["not JSON"]),
        ("{}", ["list of inputs"]),
        ("[]", ["no inputs"]),
        ("[3]", ["input 1"]),
        ('["[x]"]', ["input 1"]),
    ]:
        file = tmp_path / "bad.json"
        file.write_text(text)
        error_screen(capsys, ["judge", *files[:-1], str(file)], "bad.json", *words)
    error_screen(capsys, ["judge", str(tmp_path / "nowhere.jsonl"), *files[1:]], "no such file")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe")
    error_screen(capsys, ["judge", str(tmp_path / "bytes.jsonl"), *files[1:]], "not UTF-8")
    error_screen(capsys, ["judge", str(tmp_path), *files[1:]], "Is a directory")
    error_screen(capsys, ["judge", *files, "--given", str(tmp_path / "bytes.jsonl")], "not UTF-8")
    error_screen(capsys, ["judge", *files, "--asserts", str(tmp_path / "nowhere.json")], "nowhere.json", "no such file")
    error_screen(capsys, ["judge", *files, "--json", str(tmp_path)], "--json cannot be written", "Is a directory")


@pytest.mark.parametrize(
    ("option", "word"),
    [
        (["--rule", "loud"], "--rule loud"),
        (["--rho", "0"], "--rho 0.0"),
        (["--tau", "0"], "--tau 0"),
        (["--keep", "0"], "--keep 0"),
        (["--seconds", "-1"], "--seconds -1.0"),
        (["--error", "2"], "--error"),
        (["--entry", "f()"], "f()"),
        (["--io", "files"], "'files'"),
        (["--io", "stdin"], "--entry is about functions"),
        (["--tau", "some"], "'some'"),
        (["--loud"], "--loud"),
    ],
)
def test_bad_options_end_in_one_screen(files, capsys, option, word):
    error_screen(capsys, ["judge", *files, *option], word)


def test_hard_scores_are_given_to_every_sample_of_the_winner(files):
    with Sandbox(SandboxConfig(workers=1)) as box:
        ranking = rank(CODES, "f", read_inputs(Path(files[-1])), box, ConsensusConfig(rule="hard"), InputsConfig())
    assert ranking.scores[:3].tolist() == [1, 1, 1] and ranking.scores[3:].max() == 0


def test_echoing_programs_win_nothing_whatever_the_sandbox_writes() -> None:
    codes = ["def f(x):\n    return x"] * 3 + ["def f(x):\n    return 2 * x"] * 2
    with Sandbox(SandboxConfig(workers=1, whole_floats=False)) as box, closing(Steady(box, "suspects")) as executor:
        ranking = rank(codes, "f", ["[1.0]", "[2.0]"], executor, ConsensusConfig(rule="hard"), InputsConfig())
    assert ranking.scores.tolist() == [0, 0, 0, 1, 1]


STATEFUL = ["def f(x, seen=[]):\n    seen.append(x)\n    return sum(seen)", "def f(x, seen=[]):\n    seen += [x]\n    return sum(seen)"]


def report_on(tmp_path, capsys, codes, inputs, *options):
    (tmp_path / "c.jsonl").write_text("\n".join(json.dumps({"code": code}) for code in codes))
    (tmp_path / "i.json").write_text(json.dumps(inputs))
    words = [str(tmp_path / "c.jsonl"), "--entry", "f", "--inputs", str(tmp_path / "i.json"), "--mutants", "0", "--json", *options]
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_state_carried_from_call_to_call_wins_no_vote(tmp_path, capsys):
    codes = [*STATEFUL, "def f(x):\n    return x + 1", "def f(x):\n    return 1 + x"]
    report, table = report_on(tmp_path, capsys, codes, [[1], [2], [3]])
    assert {row["candidate"] for row in report["ranking"][:2]} == {2, 3} and report["clusters"][0]["samples"] == 2
    assert report["no_vote"]["order_of_calls"] == 2 and "2 of them have no vote" in table and "order of calls" in table
    assert report_on(tmp_path, capsys, codes, [[1], [2], [3]], "--recheck", "never")[0]["no_vote"]["order_of_calls"] == 0


def test_who_has_no_vote_is_counted_by_the_reason(tmp_path, capsys):
    varying = "import random\ndef f(x):\n    return random.random()"
    codes = [
        STATEFUL[0],
        varying,
        varying,
        "def f(x: oops",
        "def g(x):\n    return x",
        "def f(x):\n    return 1 // 0",
        "def f(x):\n    return x",
        "I cannot do that.",
    ]
    report, table = report_on(tmp_path, capsys, codes, [[1], [2]])
    counts = {"lost": 0, "no_program": 1, "refused": 2, "not_offered": 0, "order_of_calls": 1, "varying": 2, "few_values": 1}
    assert report["no_vote"] == counts
    by_candidate = {row["candidate"]: row["no_vote"] for row in report["ranking"]}
    assert (by_candidate[0], by_candidate[2], by_candidate[6]) == ("order_of_calls", "varying", None)
    assert "7 of them have no vote" in table


def test_candidates_may_be_answers_as_the_loop_reads_them(tmp_path, capsys):
    (tmp_path / "given.py").write_text("from typing import List\n\n\ndef _one():\n    return 1\n\n\ndef f(x: int) -> int:\n")
    codes = [
        "```\npython\ndef f(x):\n    return x + 1\n```\nIt adds one.",
        "\ufeffdef f(x: int) -> int:\n    return x + 1\n\nassert f(1) == 3\nprint(input())",
        "class Solution:\n    def f(self, x: List[int]) -> int:\n        return x + _one()",
        "    return x + 1",
    ]
    report, _ = report_on(tmp_path, capsys, codes, [[1], [2]], "--given", str(tmp_path / "given.py"))
    assert [(c["share"], c["outcomes"]) for c in report["clusters"]] == [(1.0, ["2", "3"])]


def test_programs_that_the_sandbox_lost_are_missing_and_not_last(tmp_path):
    class Lost:
        def run(self, programs):
            return iter([Execution((Outcome(Kind.INFRASTRUCTURE, "lost"),) * 2) for _ in programs])

    ranking = rank(["def f(x): return x"], "f", ["[1]", "[2]"], Lost(), ConsensusConfig(), InputsConfig())
    assert ranking.no_vote == ("lost",) and math.isnan(ranking.scores[0])


def test_candidates_that_miss_a_module_are_counted(files, capsys):
    code = "import numpy as np\ndef f(xs):\n    return int(np.sum(xs))"
    path = files[0]
    with open(path, "a") as file:
        file.writelines(json.dumps({"code": text}) + "\n" for text in (code, code, code + " + 0"))
    assert cli.main([*files, "--json", "-"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["not_offered"] == {"numpy": 3} and report["no_vote"]["not_offered"] == 3
    assert "3 of 13 candidates import numpy, which is not offered: --packages" in captured.err
    assert cli.main([*files, "--json", "-", "--packages", "numpy"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["not_offered"] == {}
    assert next(c for c in report["clusters"] if c["winner"])["samples"] == 6, "numpy's integers count as Python's"
    error_screen(capsys, ["judge", *files, "--packages", "no-such-package"], "no-such-package is not installed", "--packages")


@pytest.mark.parametrize(
    ("argv", "word"), [([], "FILE"), (["c.jsonl"], "--inputs"), (["c.jsonl", "--inputs", "i.json"], "--entry is missing")]
)
def test_what_is_missing_on_the_command_line_is_said_on_one_screen(capsys, argv, word):
    error_screen(capsys, ["judge", *argv], "where  command line", word)
