"""`ucoder sandbox run`: one JSON line an input; bad input ends on one screen with status 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rewards.sandbox import SandboxError
from rewards.sandbox.cli import main
from tests.screens import error_screen


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
    ("name", "content", "words"),
    [
        ("inputs.json", b"", ["the file is empty", "JSON list of inputs"]),
        ("inputs.json", b"{", ["not JSON"]),
        ("inputs.json", b"[[1],\n", ["not JSON", "inputs.json, line 2"]),
        ("inputs.json", b'{"a": 1}', ["not a list of inputs"]),
        ("inputs.json", b"[1]", ["1 is no list of arguments", "inputs.json, input 1"]),
        ("inputs.json", b'[[1], "x + 1"]', ["is no list of arguments", "inputs.json, input 2"]),
        ("inputs.json", b"[]", ["no inputs in it"]),
        ("inputs.json", b"\xff", ["not UTF-8 (byte 0)"]),
        ("program.py", b"", ["the file is empty"]),
        ("program.py", b" \n", ["the file is empty"]),
        ("program.py", b"\xff\xfe", ["UTF-8"]),
    ],
)
def test_a_bad_file_is_one_screen_that_names_it(files, capsys, name: str, content: bytes, words: list[str]) -> None:
    program, inputs = files
    (program.parent / name).write_bytes(content)
    error_screen(capsys, ["sandbox", "run", str(program), "--entry", "f", "--inputs", str(inputs)], str(program.parent / name), *words)


@pytest.mark.parametrize("name", ["program.py", "inputs.json"])
@pytest.mark.parametrize(("put", "said"), [(None, "there is no such file"), (Path.mkdir, "cannot be read: Is a directory")])
def test_a_file_that_is_none_is_one_screen_that_names_it(files, capsys, name: str, put: Callable[[Path], None] | None, said: str) -> None:
    program, inputs = files
    (program.parent / name).unlink()
    if put is not None:
        put(program.parent / name)
    error_screen(capsys, ["sandbox", "run", str(program), "--entry", "f", "--inputs", str(inputs)], str(program.parent / name), said)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["sandbox"], ["COMMAND", "see ucoder sandbox --help"]),
        (["sandbox", "walk"], ["'walk'", "see ucoder sandbox --help"]),
        (["sandbox", "run"], ["FILE, --entry, --inputs", "see ucoder sandbox run --help"]),
        (["sandbox", "run", "p.py", "--entry", "f"], ["--inputs", "see ucoder sandbox run --help"]),
        (["sandbox", "run", "p.py", "--entry", "f", "--inputs", "i.json", "--loud"], ["unrecognized arguments: --loud"]),
        (["sandbox", "run", "p.py", "--entry", "f", "--inputs", "i.json", "--memory-mb", "much"], ["--memory-mb", "'much'"]),
        (["sandbox", "run", "p.py", "--entry", "f", "--inputs", "i.json", "--isolation", "jail"], ["--isolation", "'jail'", "bwrap"]),
    ],
)
def test_a_command_line_that_cannot_be_read_is_one_screen(capsys, argv: list[str], words: list[str]) -> None:
    error_screen(capsys, argv, "where  command line", *words)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--entry", "f g"], ["'f g' is no name of a function", "--entry"]),
        (["--entry", "f", "--seconds-per-input", "-1"], ["--seconds-per-input -1.0: input should be greater than 0"]),
        (["--entry", "f", "--seconds-per-input", "nan"], ["--seconds-per-input nan"]),
        (["--entry", "f", "--seconds-per-program", "0"], ["--seconds-per-program 0.0"]),
        (["--entry", "f", "--seconds-per-input", "5", "--seconds-per-program", "1"], ["less than", "raise the first"]),
        (["--entry", "f", "--memory-mb", "1"], ["--memory-mb 1: input should be greater than or equal to 64"]),
        (["--entry", "f", "--packages", "no-such-package"], ["no-such-package is not installed", "--packages"]),
        (["--entry", "f", "--environment", "/nowhere"], ["/nowhere is no virtual environment"]),
    ],
)
def test_a_bad_value_is_one_screen_that_names_the_option(files, capsys, extra: list[str], words: list[str]) -> None:
    program, inputs = files
    error_screen(capsys, ["sandbox", "run", str(program), "--inputs", str(inputs), *extra], "command line", *words)


def test_inputs_that_are_too_long_are_one_screen(files, capsys) -> None:
    program, inputs = files
    inputs.write_text(json.dumps([["x" * 5_000_000]]))
    error_screen(capsys, ["sandbox", "run", str(program), "--entry", "f", "--inputs", str(inputs)], "million characters", "inputs of f")


def test_a_machine_that_has_no_isolation_is_one_screen(files, capsys, monkeypatch) -> None:
    def refuse(config: object) -> None:
        raise SandboxError("neither namespaces nor seccomp work here")

    monkeypatch.setattr("rewards.sandbox.sandbox.isolation.choose_layers", refuse)
    program, inputs = files
    for argv in (["sandbox", "run", str(program)], ["judge", str(candidates_beside(program))]):
        error_screen(capsys, [*argv, "--entry", "f", "--inputs", str(inputs)], "neither namespaces", "docs/security.md")


def candidates_beside(program: Path) -> Path:
    path = program.with_suffix(".jsonl")
    path.write_text(json.dumps({"code": program.read_text()}))
    return path
