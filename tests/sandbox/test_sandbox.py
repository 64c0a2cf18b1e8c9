"""The sandbox: order, streaming, back-pressure, lost workers, determinism, cache, and nothing left behind."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from rewards.records import Kind, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig, SandboxError

pytestmark = pytest.mark.slow


def programs(number: int) -> Iterator[Program]:
    for i in range(number):
        strict = "import os\n" if i % 7 == 0 else ""
        yield Program(f"{strict}def f(x):\n    return x + {i}", "f", ("[0]", "[1]"))


def test_executions_come_in_input_order(sandbox: Sandbox) -> None:
    seen: list[int] = []
    executions = list(sandbox.run(programs(150), progress=seen.append))
    assert [e.outcomes[1].payload for e in executions] == [str(i + 1) for i in range(150)]
    assert seen == list(range(1, 151))


def test_programs_are_drawn_as_they_are_needed(sandbox: Sandbox) -> None:
    drawn = 0

    def endless() -> Iterator[Program]:
        nonlocal drawn
        for program in programs(1_000_000):
            drawn += 1
            yield program

    stream = sandbox.run(endless())
    next(stream)
    stream.close()
    assert drawn < 5000
    assert next(sandbox.run(programs(1))).outcomes[0].payload == "0"  # and the sandbox still works


def test_no_program_and_no_input(sandbox: Sandbox) -> None:
    assert list(sandbox.run([])) == []
    assert [e.outcomes for e in sandbox.run([Program("def f(): pass", "f", ())])] == [()]


def test_a_killed_worker_costs_no_verdict(sandbox: Sandbox) -> None:
    stream = sandbox.run(programs(400))
    first = next(stream)
    victim = psutil.Process(sandbox._pools[0].workers[0].process.pid)
    victim.send_signal(signal.SIGKILL)
    rest = list(stream)
    assert [e.outcomes[0].payload for e in (first, *rest)] == [str(i) for i in range(400)]


def test_a_stopped_worker_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewards.sandbox.worker.GRACE_SECONDS", 0.5)
    with Sandbox(SandboxConfig(workers=1, isolation="nobwrap", seconds_per_input=0.5, seconds_per_program=0.5, fast_batch=1)) as sandbox:
        os.kill(sandbox._pools[0].workers[0].process.pid, signal.SIGSTOP)
        [execution] = sandbox.run([Program("def f():\n    return 1", "f", ("[]",))])
        assert execution.outcomes == (Outcome(Kind.VALUE, "1"),)
        assert sandbox.counts["worker_deaths"] == 1


def test_twice_lost_is_missing_and_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(SandboxConfig(workers=1, isolation="nobwrap")) as sandbox:
        monkeypatch.setattr(
            "rewards.sandbox.worker.Worker.send",
            lambda self, unit: self.process.kill() or self.units.__setitem__(0, unit) or self.order.append(0),
        )
        monkeypatch.setattr("rewards.sandbox.worker.GRACE_SECONDS", 0.0)
        [execution] = sandbox.run([Program("def f():\n    return 1", "f", ("[]",))])
        assert execution.missing
        assert execution.outcomes[0].kind is Kind.INFRASTRUCTURE


def test_workers_that_do_not_start_are_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewards.sandbox.layers.BOOTSTRAP", "raise OSError('no zygote today')  # {0!r} {1}")
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SandboxError, match="do not start: OSError: no zygote today"), Sandbox(SandboxConfig(workers=2)):
        pass
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_run_has_a_deadline() -> None:
    config = SandboxConfig(workers=1, seconds_per_run=0.5, seconds_per_input=5, seconds_per_program=5)
    with Sandbox(config) as sandbox:
        stuck = Program("import os\ndef f():\n    while True: pass", "f", ("[]",))
        kinds = [e.outcomes[0].kind for e in sandbox.run([stuck] * 3)]
    assert set(kinds) == {Kind.INFRASTRUCTURE}


def test_nothing_is_left_after_closing() -> None:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    descriptors = len(os.listdir("/proc/self/fd"))
    with Sandbox(SandboxConfig(workers=2)) as sandbox:
        list(sandbox.run(programs(20)))
    assert {p.pid for p in psutil.Process().children(recursive=True)} <= before
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_order_of_sets_is_called_nondeterministic() -> None:
    codes = [
        "def f():\n    return list({'a', 'b', 'c', 'd', 'e', 'f'})",
        "def f():\n    return {'a', 'b', 'c'}",
        "def f():\n    raise KeyError",
    ]
    with Sandbox(SandboxConfig(workers=1, check_determinism=True)) as sandbox:
        kinds = [e.outcomes[0].kind for e in sandbox.run(Program(code, "f", ("[]",)) for code in codes)]
    assert kinds == [Kind.NONDETERMINISTIC, Kind.VALUE, Kind.EXCEPTION]


def test_the_same_program_gives_the_same_outcome_twice(sandbox: Sandbox) -> None:
    code = "import random, time, os\ndef f():\n    return random.random(), int(time.time()), list({'a', 'b', 'c'}), sorted(os.environ)"
    one, other = (next(sandbox.run([Program(code, "f", ("[]",))])).outcomes for _ in range(2))
    assert one == other
    assert one[0].kind is Kind.VALUE


def test_cache_answers_without_running(tmp_path: Path) -> None:
    config = SandboxConfig(workers=1, cache_dir=tmp_path)
    batch = list(programs(10))
    with Sandbox(config) as sandbox:
        first = list(sandbox.run(batch))
    with Sandbox(config) as sandbox:
        assert [e.outcomes for e in sandbox.run(batch)] == [e.outcomes for e in first]
        assert sandbox.counts["cached"] == 10
    with Sandbox(config.model_copy(update={"significant_digits": 3})) as sandbox:
        list(sandbox.run(batch))
        assert sandbox.counts["cached"] == 0


def test_a_process_may_have_many_files_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 1400:
        pytest.skip("this process may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1400), hard))
    files: list[int] = []
    try:
        files += [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
        with Sandbox(SandboxConfig(workers=1)) as sandbox:
            assert next(sandbox.run(programs(1))).outcomes[1].payload == "1"
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("setting", "less", "code"),
    [
        ("source_kb", 1, "def f():\n    return 1\n" + "#" * 2000),
        ("scratch_mb", 1, "import os\ndef f():\n    return os.write(os.open('file', os.O_CREAT | os.O_RDWR), bytes(2 << 20))"),
    ],
)
def test_what_a_tighter_limit_made_of_a_program_is_no_answer_under_a_wider_one(tmp_path: Path, setting: str, less: int, code: str) -> None:
    config = SandboxConfig(workers=1, cache_dir=tmp_path)
    found = []
    for settings in (config.model_copy(update={setting: less}), config):
        with Sandbox(settings) as sandbox:
            if setting == "scratch_mb" and sandbox.layers.bwrap is None:
                pytest.skip("without bubblewrap nothing can be written")
            found.append(next(sandbox.run([Program(code, "f", ("[]",))])).outcomes[0])
    assert found[0] != found[1] and found[1].kind is Kind.VALUE and found[1].payload in ("1", str(2 << 20))


def test_misuse_is_said_in_words(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="context manager"):
        next(Sandbox(SandboxConfig(workers=1)).run([]))
    with pytest.raises(ValueError, match="give shorter ones, or fewer"):
        list(sandbox.run([Program("def f(): pass", "f", ("[" + "0," * 5_000_000 + "]",))]))
    with pytest.raises(ValidationError, match="seconds_per_program"):
        SandboxConfig(seconds_per_input=5, seconds_per_program=1)
