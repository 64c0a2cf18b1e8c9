"""What a child leaves: nothing of it outlives its end, its zygote's end, or the next program's start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

import psutil
import pytest

from rewards.records import Execution, Kind, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rewards.sandbox.inside import wire
from rewards.sandbox.jobs import Job

pytestmark = pytest.mark.slow

SLEEPER = "import os, sys, time\ndef f(x):\n    time.sleep(60)\n"


def children_of(sandbox: Sandbox) -> list[psutil.Process]:
    return [p for pool in sandbox._pools for w in pool.workers for p in psutil.Process(w.process.pid).children(recursive=True)]


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether the condition comes true: waiting costs nothing but time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_a_child_dies_with_its_zygote(sandbox: Sandbox) -> None:
    quick = Program("import os\ndef f(x):\n    return 1", "f", ("[1]",))
    zygotes = len(children_of(sandbox))  # inside bubblewrap; otherwise they are the workers themselves
    stream = sandbox.run([quick, *(Program(f"{SLEEPER}# {i}", "f", ("[1]",)) for i in range(2))])
    next(stream)
    assert until(lambda: len(children_of(sandbox)) >= zygotes + 2)
    left = children_of(sandbox)
    for pool in sandbox._pools:
        for worker in pool.workers:
            worker.process.send_signal(signal.SIGKILL)
    assert until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in left))
    stream.close()


def test_orphans_are_killed_even_where_nothing_refuses_to_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """`unsafe: true` promises no isolation, but leaves no process that would outlive its program."""
    monkeypatch.setattr("rewards.sandbox.syscalls.available", lambda: False)
    daemon = (
        "import os, time\ndef f(x):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n            time.sleep(600)\n"
    )
    daemon += "        os._exit(0)\n    return 1"
    with Sandbox(SandboxConfig(workers=1, isolation="nobwrap", unsafe=True)) as sandbox:
        before = {p.pid for p in children_of(sandbox)}
        [execution] = sandbox.run([Program(daemon, "f", ("[1]",))])
        assert execution.outcomes == (Outcome(Kind.VALUE, "1"),)
        if not os.path.exists("/proc/thread-self/children"):
            pytest.skip("this kernel does not list a thread's children")
        assert {p.pid for p in children_of(sandbox) if p.status() != psutil.STATUS_ZOMBIE} == before


def test_open_files_of_one_program_are_not_those_of_the_next(sandbox: Sandbox) -> None:
    """Flags and locks belong to an open file: children that inherited one would pass them on."""
    mark = "import fcntl, os\ndef f():\n    for n in (0, 1, 2):\n        fcntl.fcntl(n, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK)\n"
    look = "import fcntl, os\ndef f():\n    return [fcntl.fcntl(n, fcntl.F_GETFL) & (os.O_APPEND | os.O_NONBLOCK) for n in (0, 1, 2)]"
    executions = list(sandbox.run([Program(f"{code}\n# {i}", "f", ("[]",)) for i in range(4) for code in (mark, look)]))
    assert [e.outcomes[0].payload for e in executions[1::2]] == ["[0, 0, 0]"] * 4


def test_a_slot_holds_nothing_of_the_program_before(sandbox: Sandbox) -> None:
    whole = "import sys\ndef f():\n    fr = sys._getframe(1)\n    while not hasattr(fr.f_locals.get('self'), 'frames'): fr = fr.f_back\n"
    whole += "    area = memoryview(fr.f_locals['self'].frames._area.obj).cast('B')\n"
    fill = whole + "    area[:] = b'm' * len(area)\n    return 1"
    look = whole + "    return bytes(area).count(b'm')"  # nothing of ours was written yet
    executions = list(sandbox.run([Program(f"{code}\n# {i}", "f", ("[]",)) for i in range(4) for code in (fill, look)]))
    assert {e.outcomes[0] for e in executions[1::2]} == {Outcome(Kind.VALUE, "0")}


def test_shared_memory_cannot_be_cut_off(sandbox: Sandbox) -> None:
    """Reading past the end of a file that was cut would kill the parent."""
    if os.geteuid() != 0:
        pytest.skip("only root may follow map_files")
    with open("/proc/self/maps") as maps:
        path = next(f"/proc/self/map_files/{line.split()[0]}" for line in maps if "memfd:slot" in line)
    with open(path, "r+b") as file, pytest.raises(PermissionError):
        file.truncate(0)


def test_newlines_do_not_fill_the_parent() -> None:
    job = Job(Program("def f(): pass", "f", ("[]", "[]")), SandboxConfig())
    payload = wire.FIRST.pack(0) + b"\n" * 10_000_000
    tracemalloc.start()
    with pytest.raises(ValueError, match="more results"):
        job.record(wire.RESULTS, payload, 0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_forged_values_do_not_fill_the_parent(run: Callable[..., Execution]) -> None:
    """An honest child writes a digest of what is long."""
    code = (
        "import os, sys\ndef f(x):\n    fr = sys._getframe(1)\n    while not hasattr(fr.f_locals.get('self'), 'frames'): fr = fr.f_back\n"
    )
    code += "    fr.f_locals['self'].frames.write(1, 0, b'\\0\\0\\0\\0' + b'\\n'.join([b'v' + b'x' * 200_000] * 50))\n    os._exit(0)"
    outcomes = run(code, *(f"[{i}]" for i in range(50))).outcomes
    assert all(outcome.kind is Kind.KILLED and len(outcome.payload) < 100 for outcome in outcomes)


def test_more_programs_than_fit_a_slot_share_several_children() -> None:
    padding = "#" + "x" * 600_000
    with Sandbox(SandboxConfig(workers=1)) as sandbox:
        programs = [Program(f"def f(x):\n    return x + {i}\n{padding}", "f", ("[1]",)) for i in range(150)]
        assert [e.outcomes[0].payload for e in sandbox.run(programs)] == [str(i + 1) for i in range(150)]
        assert sandbox.counts["strict"] == 0


def test_tighter_limits_of_the_user_stay() -> None:
    """A hard limit cannot be raised without rights, and need not be."""
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
resource.setrlimit(resource.RLIMIT_CPU, (9, 9))
from rewards.records import Program
from rewards.sandbox import Sandbox, SandboxConfig
with Sandbox(SandboxConfig(workers=1)) as sandbox:
    [execution] = sandbox.run([Program("import resource\\ndef f():\\n    return resource.getrlimit(resource.RLIMIT_NOFILE)", "f", ("[]",))])
print(execution.outcomes[0].payload)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": "."})
    assert found.stdout.strip() == "(60, 60)", found.stderr[-2000:]


def test_workers_of_two_pools_are_different_users() -> None:
    with Sandbox(SandboxConfig(workers=2, check_determinism=True)) as sandbox:
        if not sandbox.layers.real_uid:
            pytest.skip("children have a user of their own only when root starts them")
        code = "import os\ndef f(x):\n    return os.getuid()"
        users = {e.outcomes[0].payload for e in sandbox.run([Program(f"{code}\n# {i}", "f", ("[1]",)) for i in range(20)])}
        kinds = {e.outcomes[0].kind for e in sandbox.run([Program(code, "f", ("[1]",))])}
    assert kinds == {Kind.NONDETERMINISTIC}, users
