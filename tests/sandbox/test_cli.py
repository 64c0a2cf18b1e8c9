"""`ucoder sandbox run`: one JSON line an input; bad input ends with one sentence and status 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rewards.sandbox.cli import main


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "program.py").write_text("def f(x):\n    return x + 1\n")
    (tmp_path / "inputs.json").write_text('[[1], ["a"], "[2.5]"]')
    return tmp_path / "program.py", tmp_path / "inputs.json"


def test_prints_one_line_an_input(files, capsys) -> None:
    program, inputs = files
    assert main(["run", str(program), "--entry", "f", "--inputs", str(inputs)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["kind"] for line in lines] == ["value", "exception", "value"]
    assert [line["outcome"] for line in lines] == ["2", "TypeError", "3.5"]


def test_packages_are_offered_by_name(files, capsys) -> None:
    program, inputs = files
    program.write_text("import numpy as np\ndef f(x):\n    return float(np.mean([x, 3]))\n")
    inputs.write_text("[[1]]")
    command = ["run", str(program), "--entry", "f", "--inputs", str(inputs)]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {"input": "[1]", "kind": "not_offered", "outcome": "numpy"}
    assert main([*command, "--packages", "numpy"]) == 0
    assert json.loads(capsys.readouterr().out) == {"input": "[1]", "kind": "value", "outcome": "2.0"}
    assert main([*command, "--packages", "numpy,no-such-package"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "no-such-package is not installed" in captured.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\ufeffdef f(x):\n    return x + 1\n", ""),
        ("class Solution:\n    def f(self, x: int) -> int:\n        return x + 1\n", "f is a method of a class"),
        ("def f(x):\n    return x + 1\n\nassert f(1) == 3\n", "running what f needs of program.py"),
        ("It adds one:\n```python\ndef f(x):\n    return x + 1\n```\n", "running what f needs of program.py"),
    ],
)
def test_a_file_is_read_like_an_answer_and_says_so(files, capsys, text: str, said: str) -> None:
    program, inputs = files
    program.write_text(text, encoding="utf-8")
    inputs.write_text("[[1]]")
    assert main(["run", str(program), "--entry", "f", "--inputs", str(inputs)]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"input": "[1]", "kind": "value", "outcome": "2"}
    assert (said in captured.err) if said else captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class Solution:\n    def addOne(self, x):\n        return x + 1\n", "f is not defined; defined are: class Solution with addOne"),
        (
            "class Adder:\n    def __init__(self, k):\n        self.k = k\n    def f(self, x):\n        return x + self.k\n",
            "f is not defined; defined are: class Adder (which cannot be made without arguments) with __init__, f",
        ),
        ("def g(x):\n    return x\n\nprint(g(1))\n", "f is not defined; defined are: g"),
    ],
)
def test_a_file_without_the_entry_is_refused_and_what_it_defines_is_said(files, capsys, text: str, said: str) -> None:
    program, inputs = files
    program.write_text(text, encoding="utf-8")
    inputs.write_text("[[1]]")
    assert main(["run", str(program), "--entry", "f", "--inputs", str(inputs)]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["kind"] == "refused" and said in captured.err.splitlines()


def test_a_file_without_a_program_is_run_as_it_is(files, capsys) -> None:
    program, inputs = files
    program.write_text("x = (\n")
    assert main(["run", str(program), "--entry", "f", "--inputs", str(inputs)]) == 0
    assert {json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()} == {"refused"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("inputs.json", b"{"),
        ("inputs.json", b'{"a": 1}'),
        ("inputs.json", b"[1]"),
        ("inputs.json", b"[]"),
        ("program.py", b"\xff\xfe"),
        ("inputs.json", b"\xff"),
    ],
)
def test_bad_files_end_with_status_2(files, capsys, name: str, content: bytes) -> None:
    program, inputs = files
    (program.parent / name).write_bytes(content)
    assert main(["run", str(program), "--entry", "f", "--inputs", str(inputs)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert name in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "missing.py", "--entry", "f", "--inputs", "missing.json"], ["walk"]])
def test_bad_arguments_end_with_status_2(capsys, arguments: list[str]) -> None:
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("extra", [["--entry", "f g"], ["--entry", "f", "--seconds-per-input", "-1"], ["--entry", "f", "--memory-mb", "1"]])
def test_bad_values_end_with_status_2(files, capsys, extra: list[str]) -> None:
    program, inputs = files
    assert main(["run", str(program), "--inputs", str(inputs), *extra]) == 2
    assert "Traceback" not in capsys.readouterr().err
