"""What is said of benchmarks that are not here when a run opens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rl import train
from rl.benchmarks import presence
from rl.benchmarks.base import Benchmark, Unavailable
from rl.benchmarks.presence import Presence, check_any, keep_presence, look_for_benchmarks
from rl.config.schema import Config, load_config
from rl.console import UserError
from tests.evals.toys import TOY

ABSENT = Unavailable("plus", "no plus.jsonl in $UCODER_DATA", "fetch it from the releases")


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Config:
    """A config that evaluates a benchmark that is here and one that is not; nothing else is known."""
    monkeypatch.setattr(presence, "BENCHMARKS", {"toy": ("", ""), "plus": ("", "")})
    monkeypatch.setattr(presence, "load_benchmark", lambda name: TOY if name == "toy" else ABSENT)
    return load_config(None, ["--evals.benchmarks", "[toy, plus]"])


def test_an_absent_benchmark_is_named_with_its_remedy_and_costs_no_run(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = look_for_benchmarks(config)
    found.warn()
    said = capsys.readouterr().err
    assert said.count("warning") == 1 and all(word in said for word in ("plus", ABSENT.reason, ABSENT.remedy))
    check_any(found, tmp_path)
    assert found.describe() == "decontamination  against toy; not here: plus"


def test_a_run_without_any_benchmark_ends_before_any_work(tmp_path: Path) -> None:
    """Unless its base was evaluated like that: then it goes on."""
    nothing = Presence(("plus",), (ABSENT,), {})
    with pytest.raises(UserError, match=r"plus: no plus\.jsonl") as caught:
        check_any(nothing, tmp_path)
    assert caught.value.where == "evals.benchmarks" and ABSENT.remedy in caught.value.remedy
    check_any(Presence((), (), {}), tmp_path)
    (tmp_path / "round_00").mkdir()
    (tmp_path / "round_00" / "eval.json").write_text("{}")
    check_any(nothing, tmp_path)


def test_the_loop_asks_when_it_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("SANDBOX_FUSION_URL", raising=False)
    with pytest.raises(SystemExit) as caught:
        train.main(["--run_dir", str(tmp_path / "run"), "--evals.benchmarks", "[fullstackbench]"])
    assert caught.value.code == 2 and not (tmp_path / "run").exists()
    assert "fullstackbench" in capsys.readouterr().err


def test_other_data_than_at_the_start_is_said(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = look_for_benchmarks(config)
    keep_presence(found, tmp_path)
    keep_presence(found, tmp_path)
    assert capsys.readouterr().err == ""
    assert json.loads((tmp_path / presence.FILE).read_text()) == {"unavailable": {"plus": ABSENT.reason}, "texts": found.texts}
    keep_presence(replace(found, texts={**found.texts, "plus": "1"}), tmp_path)
    assert "(plus)" in capsys.readouterr().err


def test_a_digest_tells_other_statements_and_prompts(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(benchmark: Benchmark) -> str:
        monkeypatch.setattr(presence, "load_benchmark", lambda name: benchmark)
        return look_for_benchmarks(config).texts["toy"]

    first, *rest = TOY.tasks
    changed = [replace(TOY, tasks=[replace(first, **change), *rest]) for change in ({"statement": "other"}, {"prompt": "other"})]
    assert len({digest(TOY), *map(digest, changed), digest(replace(TOY, tasks=rest))}) == 4
