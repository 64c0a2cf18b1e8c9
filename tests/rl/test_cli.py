"""The console command as a person meets it: help at once, mistakes on one screen, status 2, no traceback."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from rl import cli, console, round_tables
from rl.console import UserError
from tests.screens import error_screen


def ucoder(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "rl.cli", *argv], capture_output=True, text=True, timeout=60, check=False)


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    heavy = "sorted({'torch', 'pydantic', 'numpy'} & set(sys.modules))"
    code = f"import sys, rl.cli\ntry:\n    rl.cli.main(['--help'])\nexcept SystemExit:\n    print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.rstrip().endswith("[]")
    for name in cli.COMMANDS:
        assert f"    {name}" in done.stdout


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = cli.main([name, "--help"])
    except SystemExit as left:  # argparse's way
        status = left.code if isinstance(left.code, int) else 1
    assert status == 0
    assert "usage: ucoder " + name in capsys.readouterr().out


@pytest.mark.parametrize(("argv", "word"), [((), "COMMAND"), (("nonsense",), "'nonsense'")])
def test_a_wrong_command_is_one_screen(argv: tuple[str, ...], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    error_screen(capsys, argv, word, "where  command line", "see ucoder --help")


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_an_option_that_no_command_has_is_one_screen(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    error_screen(capsys, [name, "--no-such-option"], "command line")


def test_the_error_screen_in_a_pipe_is_plain_and_whole() -> None:
    done = ucoder("config", "--grpo.learning_rte", "1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "ucoder cannot start",
        "what   unknown key grpo.learning_rte",
        "where  command line",
        "do     did you mean grpo.learning_rate?",
    ]


NOISY = """
import sys, types
import rl.cli
noisy = types.ModuleType("noisy")
noisy.main = lambda words: [print("x" * 100) for _ in range(2000)] and 0
sys.modules["noisy"] = noisy
rl.cli.COMMANDS["eval"] = ("noisy", "")
sys.exit(rl.cli.main(["eval"]))
"""


@pytest.mark.parametrize(("where", "status", "said"), [("| head -c 5", 0, ""), ("> /dev/full", 2, "No space left"), (">&-", 0, "")])
def test_a_stdout_that_takes_nothing_is_no_traceback(where: str, status: int, said: str) -> None:
    done = subprocess.run(f"{sys.executable} -c '{NOISY}' {where}", shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert said in done.stderr and bool(said) == bool(done.stderr)


def test_the_error_screen_on_a_terminal_is_a_panel() -> None:
    out = Console(force_terminal=True, width=60, record=True, color_system=None)
    with pytest.raises(SystemExit) as left:
        console.fail(UserError("bad [value]", "file.yaml, line 3", "mend it"), out)
    assert left.value.code == 2
    text = out.export_text()
    for part in ("ucoder cannot start", "bad [value]", "file.yaml, line 3", "mend it", "╭"):
        assert part in text


def test_a_resolved_config_is_printed() -> None:
    done = ucoder("config", str(Path(__file__).parents[2] / "configs" / "seedling.yaml"), "--rounds", "9")
    assert done.returncode == 0
    assert "rounds: 9" in done.stdout


def test_progress_in_a_log_is_a_line_now_and_then() -> None:
    now = iter([0.0, 1.0, 12.0, 13.0, 40.0, 41.0])
    out = Console(record=True, width=120, force_terminal=False)
    with console.stage("round 1 · solutions", 400, "samples", out, clock=lambda: next(now)) as advance:
        for _ in range(4):
            advance(100)
    lines = out.export_text().splitlines()
    assert lines == [
        "  round 1 · solutions          200/400 samples   50 %  12.0 s, ETA 12.0 s",
        "  round 1 · solutions          400/400 samples  done in 41.0 s",
    ]


def test_progress_moves_with_tokens_and_ends_when_the_sampler_expects_it() -> None:
    now = iter([0.0, 6.0, 12.0, 20.0, 24.0, 60.0])
    out = Console(record=True, width=140, force_terminal=False)
    with console.stage("solutions", 400, "samples", out, clock=lambda: next(now)) as advance:
        advance(0)  # prompts are read
        advance(2, 600, math.inf)  # the sampler cannot tell yet: no guess from the first samples
        advance(0, 600, 90.0)
        advance(1, 100, 80.0)
    assert out.export_text().splitlines() == [
        "  solutions                    2/400 samples    0 %  600 tokens, 50/s  12.0 s, ETA ?",
        "  solutions                    3/400 samples    0 %  1,300 tokens, 54/s  24.0 s, ETA 1 min 20 s",
        "  solutions                    3/400 samples  done in 1 min 00 s  1,300 tokens, 22/s",
    ]


def test_progress_on_a_terminal_has_counts_tokens_and_an_eta() -> None:
    out = Console(record=True, width=120, force_terminal=True, color_system=None)
    with console.stage("solutions", 4, "samples", out) as advance:
        advance(3, 1000, 77.0)
    text = out.export_text()
    assert "3/4" in text and "1,000 tokens" in text and "ETA 1 min 17 s" in text


def test_a_failing_stage_says_where_it_stopped() -> None:
    out = Console(record=True, width=120, force_terminal=False)
    with pytest.raises(RuntimeError), console.stage("x", 4, "samples", out, clock=time.monotonic) as advance:
        advance(1)
        raise RuntimeError
    assert "1/4 samples  stopped after" in out.export_text()


def test_the_summary_prints_missing_figures_as_dashes() -> None:
    out = Console(record=True, width=200, force_terminal=False)
    base = {
        "greedy_pass@1": 0.45,
        "greedy_pass@1_ci": [0.43, 0.47],
        "best_pass@1": 0.46,
        "pass@1": 0.4,
        "pass@1_ci": [0.35, 0.45],
        "pass@16": float("nan"),
        "seconds": {"eval": 3.0},
    }
    after = {"pass@1": 0.55, "pass@1_ci": [0.5, 0.6], "pass@16": 0.9, "entropy": 0.0, "seconds": {"solutions": 60.0, "eval": 3.0}}
    round_tables.print_summary({"base": base, "rounds": [after]}, {"report": "runs/x/report.html"}, out)
    text = out.export_text()
    assert "40.0 % [35.0, 45.0]" in text and "45.0 % [43.0, 47.0]" in text and "46.0 %" in text
    assert "–" in text
    assert "0.00" in text
    assert "63.0" in text
    assert "runs/x/report.html" in text


@pytest.mark.parametrize(("seconds", "text"), [(4.24, "4.2 s"), (59.96, "60.0 s"), (95, "1 min 35 s"), (7260, "2 h 01 min")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


@pytest.mark.parametrize("name", ["watch", "report", "audit", "push"])
def test_a_path_that_cannot_be_used_is_one_screen(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rest = {"watch": ["--once"], "audit": ["marks.json"], "push": ["--repo", "me/model"]}.get(name, [])
    with pytest.raises(SystemExit) as left:
        cli.main([name, "x" * 5000, *rest])  # longer than any file system takes; a folder that may not be entered ends the same way
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert "name too long" in said and "check the path" in said and len(said) < 1000


def test_a_folder_that_may_not_be_entered_is_one_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(SystemExit) as left:
        cli.main(["watch", "locked/run", "--once"])
    assert left.value.code == 2
    assert "Permission denied\nwhere  locked/run\n" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--screenshot"])
def test_a_link_that_leads_to_itself_is_no_place_to_write(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = tmp_path / "loop.html"
    link.symlink_to(link)
    with pytest.raises(SystemExit) as left:
        cli.main(["report", str(tmp_path), option, str(link)])
    assert left.value.code == 2 and str(link) in capsys.readouterr().err


@pytest.mark.parametrize("argv", [("eval", "--model", "~nobody-at-all/m"), ("config", "--prompts", "~nobody-at-all/set")])
def test_a_path_in_the_home_of_nobody_is_one_screen(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(argv)
    assert left.value.code == 2 and "begins with ~" in capsys.readouterr().err
