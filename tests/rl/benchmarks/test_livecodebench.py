"""LiveCodeBench on small files in the official schema, verdicts checked by hand."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from probing.samplers.base import Completion
from rewards.records import Kind, Outcome
from rewards.sandbox import Sandbox
from rl.benchmarks import livecodebench
from rl.benchmarks.base import Benchmark, Unavailable, load_benchmark
from rl.config.evals import EvalsConfig
from rl.console import UserError
from rl.evals.runner import score
from tests.evals.toys import fenced


def case(given: str, wanted: str, kind: str) -> dict[str, str]:
    return {"input": given, "output": wanted, "testtype": kind}


def pickled(tests: list[dict[str, str]]) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def row(name: str, date: str, public: list[dict[str, str]], private: str, function: str | None = None) -> dict[str, Any]:
    return {
        "question_title": name,
        "question_content": f"Statement of {name}.",
        "platform": "leetcode" if function else "atcoder",
        "question_id": name,
        "contest_id": "c",
        "contest_date": f"{date}T00:00:00",
        "starter_code": f"class Solution:\n    def {function}(self, xs):\n        " if function else "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(public),
        "private_test_cases": private,
        "metadata": json.dumps({"func_name": function} if function else {}),
    }


SUM = row(
    "sum",
    "2024-05-01",
    [case("2\n1.5 2\n", "3.50", "stdin")],
    json.dumps([case("1\n4\n", "4\n", "stdin"), case("0\n\n", "0", "stdin")]),
)
PAIR = row(
    "pair",
    "2024-09-01",
    [case('[3, 1]\n"a"', "[1, 3]", "functional")],
    pickled([case('[]\n"a"', "[]", "functional")]),
    function="order",
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "livecodebench"
    folder.mkdir()
    (folder / "test.jsonl").write_text(json.dumps(SUM) + "\n")
    (folder / "test2.jsonl").write_text(json.dumps(PAIR) + "\n")
    monkeypatch.setenv("UCODER_DATA", str(tmp_path))
    livecodebench.load.cache_clear()
    return tmp_path


def loaded(name: str) -> Benchmark:
    benchmark = load_benchmark(name)
    assert isinstance(benchmark, Benchmark)
    return benchmark


def verdicts(sandbox: Sandbox, benchmark: Benchmark, *answers: list[str]) -> list[list[bool | None]]:
    completions = [[Completion(text, (0,), (0.0,), True) for text in group] for group in answers]
    samples = score(benchmark, completions, sandbox, EvalsConfig(samples=len(answers[0]))).samples
    return [[s.passed for s in samples if s.task_id == task.id] for task in benchmark.tasks]


READS = "n = int(input())\nxs = list(map(float, input().split()))\nprint(sum(xs))"
MAIN = """import sys
def main():
    rows = sys.stdin.read().split()
    print(sum(map(float, rows[1:])))
if __name__ == '__main__':
    main()"""
BUFFER = "import sys\nrows = sys.stdin.buffer.read().split()\nprint('%.3f' % sum(map(float, rows[1:])))\nexit()"
WRONG = "n = int(input())\nprint(n)"
ENDLESS = "while True:\n    pass"


def test_programs_that_read_standard_input(data: Path, sandbox: Sandbox) -> None:
    benchmark = loaded("livecodebench:v1")
    found = verdicts(sandbox, benchmark, [fenced(READS), fenced(MAIN), fenced(BUFFER), fenced(WRONG), READS])
    assert found == [[True, True, True, False, False]], "the last has no code block, which the official extraction asks for"


def test_the_official_part_of_an_answer_counts_unless_lenient(data: Path, sandbox: Sandbox) -> None:
    with_tests = f"{fenced(READS)}\nIt prints\n```\n3.5\n```"
    draft = f"<think>\n{fenced(WRONG)}\n</think>\n```\npython\n{READS}\n```"
    assert verdicts(sandbox, loaded("livecodebench:v1"), [READS, with_tests, draft]) == [[False, False, True]]
    assert verdicts(sandbox, loaded("livecodebench:v1:lenient"), [READS, with_tests, draft]) == [[True, True, True]]
    assert loaded("livecodebench:v1").digest() != loaded("livecodebench:v1:lenient").digest()


def test_tuples_inside_a_value_count_as_lists_where_that_is_asked_for() -> None:
    nested = Outcome(Kind.VALUE, "[(0, 0), {'a': (1,)}]")
    assert not livecodebench.same_value(nested, '[[0, 0], {"a": [1]}]')
    assert livecodebench.same_value(nested, '[[0, 0], {"a": [1]}]', lenient=True)
    assert livecodebench.same_value(Outcome(Kind.VALUE, "(0, 1)"), "[0, 1]")


def test_functions_and_private_tests_that_are_pickled(data: Path, sandbox: Sandbox) -> None:
    benchmark = loaded("livecodebench:v2:2024-08-01")
    method = "class Solution:\n    def order(self, xs: List[int], s: str) -> List[int]:\n        return {}"
    answers = [fenced(method.format(body)) for body in ("sorted(xs)", "tuple(sorted(xs))", "xs", "sorted(xs) or None")]
    assert verdicts(sandbox, benchmark, answers) == [[True, True, False, False]]


def test_a_print_cannot_forge_a_verdict(data: Path, sandbox: Sandbox) -> None:
    forged = ["import os\nprint('3.5')\nos._exit(0)", "import sys\nsys.exit(0)", "import sys\nsys.stdout = None"]
    assert verdicts(sandbox, loaded("livecodebench:v1"), [fenced(code) for code in forged]) == [[False, False, False]]


def test_a_returned_object_cannot_forge_a_verdict(data: Path, sandbox: Sandbox) -> None:
    answers = [
        "class Yes(list):\n    def __eq__(self, other):\n        return True\ndef order(xs, s):\n    return Yes()",
        "import json\njson.loads = lambda text: None\ndef order(xs, s):\n    return None",
        "import sys\ndef order(xs, s):\n    sys.exit(0)",
        "def order(xs, s):\n    return lcb_run",
    ]
    benchmark = loaded("livecodebench:v2:2024-08-01")
    assert verdicts(sandbox, benchmark, [fenced(code) for code in answers]) == [[False] * 4]


def test_release_and_window_choose_the_problems(data: Path) -> None:
    assert [t.id for t in loaded("livecodebench:v2").tasks] == ["sum", "pair"]
    assert [t.id for t in loaded("livecodebench:release_v2:2024-05-01:2024-08-31").tasks] == ["sum"]
    absent = load_benchmark("livecodebench:v3")
    assert isinstance(absent, Unavailable) and "test3.jsonl" in absent.reason
    assert [t.id for t in loaded("livecodebench:v2:20240901").tasks] == ["pair"], "any ISO form of a date"
    for wrong in ("v9", "v1:yesterday", "v2:2024-12-01:2024-01-01", "v2:1999-01-01:1999-12-31"):
        with pytest.raises(UserError):
            load_benchmark(f"livecodebench:{wrong}")


def test_a_file_that_is_cut_is_said_to_be_so(data: Path) -> None:
    (data / "livecodebench" / "test.jsonl").write_text(json.dumps(SUM)[:-20])
    livecodebench.load.cache_clear()
    with pytest.raises(UserError, match="cannot be read"):
        load_benchmark("livecodebench:v1")


def test_prompt_shows_starter_code_and_statement(data: Path) -> None:
    first, second = loaded("livecodebench:v2").tasks
    assert "Statement of sum." in first.prompt and "stdin" in first.prompt
    assert "class Solution:" in second.prompt and "stdin" not in second.prompt


def test_a_pickle_of_tests_may_hold_nothing_but_text() -> None:
    hostile = base64.b64encode(zlib.compress(pickle.dumps(os.getcwd))).decode()
    with pytest.raises(pickle.UnpicklingError):
        livecodebench.read_tests(hostile)


@pytest.mark.parametrize(
    ("printed", "wanted", "same"),
    [("3.5", "3.50", True), (" 1 2 \n", "1 2", True), ("a", "b", False), ("1\n2", "1 2", False), ("nan", "1", False), ("", "", True)],
)
def test_printed_lines_are_equal_as_text_or_as_numbers(printed: str, wanted: str, same: bool) -> None:
    assert livecodebench.same_print(Outcome(Kind.VALUE, repr(printed)), wanted) is same


def test_export_is_the_custom_evaluators_format(data: Path) -> None:
    benchmark = loaded("livecodebench:v1")
    rows = json.loads(benchmark.export([(benchmark.tasks[0], [(fenced("a()"), "wrapped"), ("none", None)])]))
    assert rows == [{"question_id": "sum", "code_list": ["a()", ""]}]
