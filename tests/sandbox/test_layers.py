"""The layers of isolation: what is said of them, what happens where some are missing, and that they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rewards.records import Kind, Program
from rewards.sandbox import Sandbox, SandboxConfig, SandboxError, namespaces
from rewards.sandbox.layers import choose_layers


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget which bubblewrap works, before and after."""
    namespaces.working_bwrap.cache_clear()
    yield
    namespaces.working_bwrap.cache_clear()


def install_bwrap(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_without_bubblewrap_the_rest_holds_and_the_line_says_so(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewards.sandbox.namespaces._find_bwrap", lambda: None)
    with Sandbox(SandboxConfig(workers=1)) as sandbox:
        assert "NO namespaces (bubblewrap is not installed)" in sandbox.describe()
        [execution] = sandbox.run([Program("import os\ndef f():\n    os.fork()", "f", ("[]",))])
    assert execution.outcomes[0].kind is Kind.EXCEPTION
    with pytest.raises(SandboxError, match="bubblewrap is not installed"):
        Sandbox(SandboxConfig(isolation="bwrap"))


@pytest.mark.parametrize("script", ["echo 'bwrap: no permission here' >&2; exit 1", "exit 1"])
def test_a_bubblewrap_that_does_not_work_is_not_used(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    install_bwrap(tmp_path, script, monkeypatch)
    with pytest.raises(SandboxError, match="may not make namespaces here"):
        Sandbox(SandboxConfig(isolation="bwrap"))
    assert "NO namespaces" in Sandbox(SandboxConfig()).describe()


def test_without_walls_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewards.sandbox.syscalls.available", lambda: False)
    with pytest.raises(SandboxError, match=r"unsafe: true"):
        Sandbox(SandboxConfig(isolation="nobwrap"))
    assert "NO seccomp" in Sandbox(SandboxConfig(isolation="nobwrap", unsafe=True)).describe()


def test_the_line_names_every_layer(sandbox: Sandbox) -> None:
    line = sandbox.describe()
    for layer in ("namespaces", "seccomp", "Landlock", "uid", "rlimits"):
        assert layer in line


def test_zygotes_live_in_namespaces_of_their_own(sandbox: Sandbox) -> None:
    if sandbox.layers.bwrap is None:
        pytest.skip("no namespaces here")
    shells = [worker.process.pid for pool in sandbox._pools for worker in pool.workers]
    zygotes = [p for shell in shells for p in psutil.Process(shell).children(recursive=True) if p.name() != "bwrap"]
    assert len(zygotes) >= len(shells)
    kinds = ("pid", "net", "ipc", "uts", "mnt", *(() if sandbox.layers.bwrap.users == "none" else ("user",)))
    for zygote in zygotes:
        shared = [kind for kind in kinds if os.readlink(f"/proc/{zygote.pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")]
        assert not shared


def test_harmless_devices_can_be_read(run) -> None:
    [outcome] = run("import os\ndef f():\n    return [len(open(f'/dev/{name}', 'rb').read(4)) for name in ('zero', 'urandom')]").outcomes
    assert outcome.payload == "[4, 4]"


def test_file_modes_can_be_changed_only_where_that_is_wanted_and_in_the_scratch_folder() -> None:
    code = f"""
import os, shutil, stat
def f():
    open("one", "w").close()
    os.chmod("one", 0o640)
    shutil.copy2("one", "two")
    shutil.move("two", "three")
    try: os.chmod({os.__file__!r}, 0o777)
    except OSError: return oct(stat.S_IMODE(os.stat("three").st_mode))
"""
    before = os.stat(os.__file__).st_mode
    for wanted, kind in ((True, Kind.VALUE), (False, Kind.EXCEPTION)):
        config = SandboxConfig(workers=1, file_modes=wanted)
        if choose_layers(config).bwrap is None:
            pytest.skip("nothing can be written without bubblewrap")
        with Sandbox(config) as sandbox:
            [execution] = sandbox.run([Program(code, "f", ("[]",))])
        assert execution.outcomes[0].kind is kind
    assert os.stat(os.__file__).st_mode == before


def test_a_child_is_behind_every_layer(run) -> None:
    code = """
import ctypes, os, resource
def f():
    libc = ctypes.CDLL(None, use_errno=True)
    limits = [resource.getrlimit(r)[1] for r in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE)]
    return {
        "no_new_privs": libc.prctl(39, 0, 0, 0, 0),
        "dumpable": libc.prctl(3, 0, 0, 0, 0),
        "limits": all(limit != resource.RLIM_INFINITY for limit in limits),
        "descriptors": [n for n in range(3, 256) if os.path.exists(f"/proc/self/fd/{n}")],
    }
"""
    [outcome] = run(code).outcomes
    assert outcome.kind is Kind.VALUE
    assert "'descriptors': []" in outcome.payload
    assert "'limits': True" in outcome.payload
