"""JSON lines with any legal JSON are read, and what is printed is UTF-8 whatever the locale."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.judge.files import read_candidates
from rewards.outcomes.literals import literal
from rewards.sandbox.cli import read_file
from rewards.text import json_lines, shorten, whole_file
from rewards.user_error import UserError
from rewards.user_files import read_inputs
from rl.round_files import read_rows
from rl.tracking.monitor import read_metrics

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SEPARATORS = ["\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c", "\x1e", "\t"]
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
UNICODE = '"""żółć 🙂"""\ndef f(v):\n    return "żółć 🙂" + v'


def lines(*codes: str) -> str:
    return "\n".join(json.dumps({"code": code}, ensure_ascii=False) for code in codes) + "\n"


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_raw_separator_inside_a_string_ends_no_line(tmp_path: Path, separator: str) -> None:
    text = lines("return 'a|b'", "return 2").replace("|", separator)
    (tmp_path / "candidates.jsonl").write_text(text, encoding="utf-8")
    assert read_candidates(tmp_path / "candidates.jsonl")[0] == [f"return 'a{separator}b'", "return 2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_byte_order_mark_and_crlf_are_no_part_of_the_code(tmp_path: Path, encoding: str, newline: str) -> None:
    (tmp_path / "candidates.jsonl").write_bytes(lines("x = 1\ny = 2", "z").replace("\n", newline).encode(encoding))
    assert read_candidates(tmp_path / "candidates.jsonl")[0] == ["x = 1\ny = 2", "z"]
    (tmp_path / "inputs.json").write_bytes(f"[[1],{newline}[2]]".encode(encoding))
    assert read_inputs(tmp_path / "inputs.json") == ["[1]", "[2]"]


def test_blank_lines_count_in_the_number_that_a_mistake_is_reported_at(tmp_path: Path) -> None:
    (tmp_path / "candidates.jsonl").write_text(lines("a\u2028b") + "\n\n{", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_candidates(tmp_path / "candidates.jsonl")
    assert caught.value.where.endswith("line 4")


LONG = '{"code": "x", "logprob": %s}'


@pytest.mark.parametrize("row", [LONG % ("1" + "0" * 400), LONG % ("9" * 5000), "[" * 100_000])
def test_numbers_and_nesting_beyond_what_python_reads_are_mistakes_too(tmp_path: Path, row: str) -> None:
    (tmp_path / "candidates.jsonl").write_text(row)
    with pytest.raises(UserError):
        read_candidates(tmp_path / "candidates.jsonl")


def test_other_readers_of_json_lines_cut_on_newlines_alone(tmp_path: Path) -> None:
    row = {"round": 1, "stage": "grpo", "step": 1, "note": "a\u2028b\x85c"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_rows(tmp_path / "rows.jsonl") == list(read_metrics(tmp_path / "rows.jsonl")) == [row]
    assert [number for number, _ in json_lines("1\n\n2")] == [1, 3]


def ucoder(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, *(["rl/train.py", *words[1:]] if words[0] == "train" else ["-m", "rl.cli", *words])]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHONIO"))}
    return subprocess.run(command, cwd=ROOT, env=inherited | environment, capture_output=True, timeout=120, check=False)


@pytest.fixture
def unicode_files(tmp_path: Path) -> list[str]:
    (tmp_path / "żółć.jsonl").write_text(lines(UNICODE, UNICODE + "\n\n"), encoding="utf-8")
    (tmp_path / "inputs.json").write_text('[["x"], ["\\ud83d"]]')
    return ["judge", str(tmp_path / "żółć.jsonl"), "--entry", "f", "--inputs", str(tmp_path / "inputs.json"), "--mutants", "0"]


@pytest.mark.parametrize(("text", "shown"), [("", ""), ("abc", "abc"), ("abcd", "abcd"), ("abcde", "abc…")])
def test_a_shortened_text_is_never_wider_than_asked(text: str, shown: str) -> None:
    assert shorten(text, 4) == shown


@pytest.mark.parametrize("environment", [ASCII, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "latin-1"}])
def test_judge_prints_utf_8_whatever_the_locale(unicode_files: list[str], environment: dict[str, str]) -> None:
    done = ucoder(*unicode_files, **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "'żółć 🙂x'" in done.stdout.decode("utf-8") and "─" in done.stdout.decode("utf-8")


def test_json_to_stdout_leaves_the_tables_to_stderr(unicode_files: list[str], tmp_path: Path) -> None:
    done = ucoder(*unicode_files, "--json", "-", **ASCII)
    report = json.loads(done.stdout.decode("utf-8"))
    assert done.returncode == 0 and report["clusters"][0]["outcomes"] == ["'żółć 🙂x'", "'żółć 🙂\\ud83d'"]
    assert "Clusters" in done.stderr.decode("utf-8")
    done = ucoder(*unicode_files, "--json", str(tmp_path / "out.json"), **ASCII)
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == report and b"Clusters" in done.stdout


def test_mistakes_name_a_file_with_any_letters(tmp_path: Path) -> None:
    done = ucoder("judge", str(tmp_path / "ż.jsonl"), "--entry", "f", "--inputs", str(tmp_path / "nowhere"), **ASCII)
    assert done.returncode == 2 and b"Traceback" not in done.stderr and b"no such file" in done.stderr


def test_other_commands_print_in_ascii_terminals(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(UNICODE, encoding="utf-8")
    (tmp_path / "inputs.json").write_text(json.dumps([["ż" * 300]], ensure_ascii=False), encoding="utf-8")
    done = ucoder("sandbox", "run", str(tmp_path / "program.py"), "--entry", "f", "--inputs", str(tmp_path / "inputs.json"), **ASCII)
    assert done.returncode == 0 and "żółć" in json.loads(done.stdout)["outcome"]
    done = ucoder("plan", "--json", "--model", "seedling", "--run_dir", str(tmp_path), **ASCII)
    assert done.returncode == 0, done.stderr
    done = ucoder("eval", "--benchmarks", "fullstackbench", "--model", "seedling", "--json", "-", UCODER_DATA=str(tmp_path), **ASCII)
    assert "unavailable" in json.loads(done.stdout)["benchmarks"]["fullstackbench"] and b"unavailable" in done.stderr


def test_the_run_itself_prints_in_an_ascii_terminal(tmp_path: Path) -> None:
    done = ucoder("train", "--model", "./żółć", "--run_dir", str(tmp_path / "run"), PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 2 and "no model at ./żółć" in done.stderr.decode("utf-8")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("old", encoding="utf-8")
    (tmp_path / "link.json").symlink_to(tmp_path / "out.json")
    with pytest.raises(OSError, match="full"), whole_file(tmp_path / "out.json") as part:
        part.write_text("ne", encoding="utf-8")
        raise OSError("full")
    assert (tmp_path / "out.json").read_text(encoding="utf-8") == "old" and len(list(tmp_path.iterdir())) == 2
    with whole_file(tmp_path / "link.json") as part:
        part.write_text("new", encoding="utf-8")
        assert (tmp_path / "out.json").read_text(encoding="utf-8") == "old"
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "out.json").read_text(encoding="utf-8") == "new"


def test_the_name_of_a_function_is_utf_8_whatever_the_locale() -> None:
    code = "import sys; from rewards.text import argument_text; print(ascii(argument_text(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", code, "naïve"], capture_output=True, env=os.environ | ASCII, check=True, cwd=ROOT)
    assert done.stdout.decode().strip() == ascii("naïve")


@pytest.mark.parametrize("device", ["/dev/null", "/dev/stdout"])
def test_a_device_is_written_to_and_never_replaced(device: str) -> None:
    with whole_file(Path(device)) as part:
        assert part == Path(device)


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with whole_file(tmp_path / "pipe") as part:
        assert part == tmp_path / "pipe"


def test_inputs_with_infinities_have_literals_and_nan_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "inputs.json"
    file.write_text('\ufeff[[Infinity, {"a": [-Infinity]}], [1e400], ["a\tb"]]', encoding="utf-8")
    assert read_inputs(file) == ["[1e999, {'a': [-1e999]}]", "[1e999]", "['a\\tb']"]
    for text, said in (("[[NaN]]", "NaN"), (f"[[{'9' * 5000}]]", "integer"), (f"[{'[' * 5000}{']' * 5000}]", "nested")):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=said):
            read_inputs(file)


def test_an_integer_that_nobody_asks_for_may_be_of_any_length(tmp_path: Path) -> None:
    (tmp_path / "candidates.jsonl").write_text('{"code": "a", "n": %s}' % ("9" * 5000), encoding="utf-8")
    assert read_candidates(tmp_path / "candidates.jsonl")[0] == ["a"]


@given(st.recursive(st.floats(allow_nan=False) | st.integers() | st.text() | st.none(), lambda x: st.lists(x) | st.tuples(x, x)))
def test_a_literal_is_its_value(value: object) -> None:
    assert ast.literal_eval(literal(value)) == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("def f():\n    return 'é'".encode(), None),
        ("\ufeffdef f():\r\n    return 'é'".encode(), None),
        ("# -*- coding: latin-1 -*-\ndef f():\n    return 'é'".encode("latin-1"), None),
        ("def f():\n    return 'é'".encode("latin-1"), "UTF-8"),
        ("def f():\n    return 'é'".encode("utf-16"), "UTF-8"),
        (b"# -*- coding: no-such -*-\ndef f():\n    return 1", "names no other encoding"),
    ],
)
def test_a_program_is_read_in_the_encoding_that_it_names(tmp_path: Path, data: bytes, said: str | None) -> None:
    (tmp_path / "program.py").write_bytes(data)
    if said is None:
        assert read_file(tmp_path / "program.py", "f")[0].endswith("def f():\n    return 'é'")
    else:
        with pytest.raises(ValueError, match=said):
            read_file(tmp_path / "program.py", "f")
