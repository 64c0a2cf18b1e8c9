"""What is said of benchmarks that are not here when a run opens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rl import train
from rl.benchmarks import presence
from rl.benchmarks.base import Benchmark, Unavailable
from rl.benchmarks.presence import (
    Presence,
    agreed,
    check_any,
    check_same_texts,
    forget_scorable,
    keep_presence,
    look_for_benchmarks,
)
from rl.config.schema import Config, load_config
from rl.console import UserError
from rl.ranks.ranks import Ranks
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


class Greeting(Benchmark):
    """A benchmark whose server answers every other time that it is asked."""

    times = 0

    def unavailable(self) -> Unavailable | None:
        Greeting.times += 1
        return None if Greeting.times % 2 else Unavailable(self.name, "no server answers", "start one")


def test_ranks_go_by_what_the_first_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that asked the server for itself would draw no samples, and the first would wait for them."""
    monkeypatch.setattr(Greeting, "times", 0)
    benchmark = Greeting("toy", TOY.tasks, "tests")
    for number in (1, 2):  # rounds: the server answers in the first, and not in the second
        folder = tmp_path / f"round_{number:02d}"
        found = [agreed("toy", benchmark, folder, Ranks(rank, 3)) for rank in range(3)]
        assert [isinstance(answer, Unavailable) for answer in found] == [number == 2] * 3
    assert Greeting.times == 2
    forget_scorable(tmp_path)  # a new start: the server answers again
    assert agreed("toy", benchmark, tmp_path / "round_02", Ranks(0, 3)) is benchmark


def test_a_rank_without_the_data_ends_at_once(config: Config, tmp_path: Path) -> None:
    first = look_for_benchmarks(config)
    keep_presence(first, tmp_path)
    check_same_texts(look_for_benchmarks(config, score=False), tmp_path)
    for texts in ({}, {"toy": "another"}, {**first.texts, "plus": "1"}):
        with pytest.raises(UserError, match="than the first") as caught:
            check_same_texts(replace(first, texts=texts), tmp_path)
        assert "$UCODER_DATA" in caught.value.remedy
    agreed("toy", TOY, tmp_path, Ranks(0, 2))
    with pytest.raises(UserError, match="rank 1 has no data of toy"):
        agreed("toy", ABSENT, tmp_path, Ranks(1, 2))
