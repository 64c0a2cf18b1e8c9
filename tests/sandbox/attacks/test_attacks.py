"""Hostile programs: the verdict is clear, the neighbours' results are right, and nothing is left behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from rewards.records import Kind, Program
from rewards.sandbox import Sandbox
from tests.sandbox.attacks.kinds import K, L, M, T, U, V, X

pytestmark = pytest.mark.slow

# name: (kinds that are a clear verdict, body of f(); it runs with the usual modules at hand)
ATTACKS: dict[str, tuple[set[Kind], str]] = {
    "fork bomb": ({X}, "while True: os.fork()"),
    "fork by multiprocessing": ({X, T}, "import multiprocessing as m\np = m.get_context('fork').Process(target=print)\np.start()"),
    "subprocess": ({X}, "import subprocess\nreturn subprocess.run(['/bin/true']).returncode"),
    "posix_spawn": ({X, V}, "return os.posix_spawn('/bin/true', ['true'], {}) and 1"),
    "shell by system": ({V, X}, "return os.system('touch /tmp/owned') != 0"),
    "exec of a shell": ({X}, "os.execv('/bin/sh', ['sh', '-c', 'true'])"),
    "memory hog": ({M, T}, "xs = []\nwhile True: xs.append(bytearray(1 << 24))"),
    "memory by small objects": ({M, T, K}, "xs = []\nwhile True: xs.append([0] * 1000)"),
    "memory mapped": (
        {X, M, T},
        "import mmap\nkept = []\nwhile True:\n    m = mmap.mmap(-1, 1 << 26); m.write(b'x' * (1 << 26)); kept.append(m)",
    ),
    "endless loop": ({T}, "while True: pass"),
    "endless loop that catches all": ({T}, "while True:\n    try:\n        while True: pass\n    except BaseException: pass"),
    "endless regex": ({T}, "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')"),
    "endless C call": ({T, M}, "return (7 ** 10 ** 9) % 3"),
    "ten gigabytes printed": ({L}, "for _ in range(10_000): print('x' * (1 << 20))"),
    "print that catches the limit": (
        {L, T},
        "for _ in range(10_000):\n    try: print('x' * (1 << 20))\n    except BaseException: pass\nreturn 1",
    ),
    "output on the raw descriptors": ({V, X}, "for fd in (1, 2):\n    for _ in range(100): os.write(fd, b'x' * (1 << 20))\nreturn 1"),
    "os._exit": ({K}, "os._exit(0)"),
    "os._exit with every status": ({K}, "os._exit(96)"),
    "sys.exit": ({X}, "sys.exit(0)"),
    "abort": ({K}, "os.abort()"),
    "own alarm handler": (
        {T},
        "import signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass",
    ),
    "all signals ignored": (
        {T},
        "import signal\nfor s in signal.valid_signals():\n    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "while True: pass",
    ),
    "thread that never ends": (
        {V},
        "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)], daemon=True).start()\nreturn 1",
    ),
    "non-daemon thread": ({V}, "import threading\nthreading.Thread(target=lambda: time.sleep(999)).start()\nreturn 1"),
    "thread bomb": ({X, M, T, K}, "import threading\nwhile True: threading.Thread(target=lambda: time.sleep(999)).start()"),
    "daemonised grandchild": ({X}, "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        while True: pass"),
    "segfault": ({K}, "import ctypes\nctypes.string_at(1)"),
    "deep recursion": ({X}, "return f()"),
    "deep recursion without a limit": ({X, K, M, T}, "sys.setrecursionlimit(10 ** 9)\nreturn f()"),
    "deep recursion in C": ({X, K, M, T}, "sys.setrecursionlimit(10 ** 9)\nx = []\nfor _ in range(10 ** 6): x = [x]\nreturn repr(x)"),
    "writing to every descriptor": (
        {V},
        "n = 0\nfor fd in range(3, 1024):\n    try: n += os.write(fd, b'forged' * 100)\n    except OSError: pass\nreturn n",
    ),
    "closing every descriptor": ({V}, "os.closerange(0, 1024)\nreturn 1"),
    "killing the parent": ({X}, "os.kill(os.getppid(), 9)"),
    "killing pid 1": ({X}, "os.kill(1, 9)"),
    "killing everything": ({X}, "os.kill(-1, 9)"),
    "killing the group": ({X}, "os.killpg(0, 9)"),
    "killing itself": ({K}, "os.kill(os.getpid(), 9)"),
    "tracing its parent": ({V}, "import ctypes\nlibc = ctypes.CDLL(None)\nreturn libc.ptrace(16, os.getppid(), 0, 0)"),
    "reading its parent's memory": ({X}, "return open(f'/proc/{os.getppid()}/mem', 'rb').read(1)"),
    "limits raised": ({X}, "import resource\nresource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))"),
    "limits of its parent": ({X}, "import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))"),
    "becoming root": ({X}, "os.setuid(0)\nos.setgid(0)"),
    "mounting": ({V}, "import ctypes\nreturn ctypes.CDLL(None).mount(b'none', b'/', b'tmpfs', 0, None)"),
    "a new namespace": ({V}, "import ctypes\nreturn ctypes.CDLL(None).unshare(0x10000000)"),
    "the network": ({X}, "import socket\nreturn socket.create_connection(('127.0.0.1', 1), 1)"),
    "a listening socket": ({X}, "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()"),
    "a Unix socket": ({X}, "import socket\nreturn socket.socketpair()"),
    "reading the host's secrets": ({X}, "return open('/etc/shadow').read()"),
    "answer that is equal to everything": ({U}, "class A:\n    def __eq__(self, o): return True\n    __hash__ = None\nreturn A()"),
    "number that is equal to everything": (
        {U},
        "class A(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\nreturn A(3)",
    ),
    "class that lies": ({U}, "class A:\n    __class__ = int\n    def __repr__(self): return '42'\nreturn A()"),
    "repr that blocks": ({U}, "class A:\n    def __repr__(self):\n        while True: pass\nreturn A()"),
    "len that raises": ({U}, "class A(list):\n    def __len__(self): raise SystemExit\nreturn A([1])"),
    "hash that lies, in a dict": ({U}, "class A(str):\n    def __hash__(self): return hash('k')\nreturn {A('x'): 1}"),
    "reduce that runs code": ({U}, "class A:\n    def __reduce__(self): return (os.system, ('touch /tmp/owned',))\nreturn A()"),
    "generator without end": ({L}, "def g():\n    while True: yield 1\nreturn g()"),
    "generator that blocks": ({T}, "def g():\n    while True: pass\n    yield 1\nreturn g()"),
    "generator that raises": ({X}, "def g():\n    yield 1\n    raise KeyError\nreturn g()"),
    "exception whose name lies": ({X}, "class M(type):\n    __name__ = 'Lie'\nclass E(Exception, metaclass=type): pass\nraise E"),
    "patched builtins": (
        {V},
        "import builtins\nfor n in ('len', 'repr', 'type', 'sorted', 'isinstance', 'int', 'str'):\n"
        "    setattr(builtins, n, lambda *a, **k: 'lie')\nreturn [3]",
    ),
    "patched modules": (
        {V},
        "import json, struct, marshal, hashlib\nfor m in (json, struct, marshal, hashlib, time, os):\n    for n in dir(m):\n"
        "        if not n.startswith('__'):\n            setattr(m, n, None)\nreturn [3]",
    ),
    "frames walked and emptied": (
        {V, X, K},
        "fr = sys._getframe()\nwhile fr:\n    for v in list(fr.f_locals.values()):\n"
        "        if isinstance(v, (dict, list)) and v is not sys.modules:\n"
        "            v.clear()\n    fr = fr.f_back\nreturn 3",
    ),
    "garbage collector walked": (
        {V, X, K, T},
        "import gc\nfor o in gc.get_objects():\n    if type(o) is dict and 'sink' in o: o['sink'] = None\nreturn 3",
    ),
    "atexit": ({V}, "import atexit\natexit.register(lambda: os.write(1, b'x'))\nreturn 3"),
    "finaliser that blocks": ({V, T}, "class A:\n    def __del__(self):\n        while True: pass\nglobals()['kept'] = A()\nreturn 3"),
    "import hook": (
        {V},
        "class H:\n    def find_spec(self, *a): raise SystemExit\nsys.meta_path.insert(0, H())\nsys.modules.clear()\nreturn 3",
    ),
    "trace function": ({V}, "sys.settrace(lambda *a: (_ for _ in ()).throw(SystemExit))\nsys.setprofile(lambda *a: None)\nreturn 3"),
    "stdout replaced": ({V}, "sys.stdout = sys.stderr = sys.stdin = None\nreturn 3"),
    "huge integer": ({V}, "return 10 ** 100_000"),
    "integer past the limit": ({L, M, T}, "return 1 << (1 << 27)"),
    "lone surrogate": ({V}, "return '\\ud800'"),
    "exit in another thread": ({K, V}, "import threading\nt = threading.Thread(target=os._exit, args=(0,))\nt.start()\nt.join()\nreturn 3"),
    "stack of C frames": (
        {V, X, K, M, T},
        "import functools\ng = lambda: 0\nfor _ in range(10 ** 6): g = functools.partial(g)\nreturn g()",
    ),
    "disk filled": ({X}, "n = 0\nwhile True:\n    with open(f'/tmp/{n}', 'wb') as file: file.write(b'x' * (1 << 20))\n    n += 1"),
    "deleting files": ({X}, "os.unlink(os.__file__)"),
    "deleting the tree": ({V}, "import shutil\nshutil.rmtree('/lib64', ignore_errors=True)\nreturn os.path.exists('/lib64')"),
    "device nodes": ({X}, "os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0))"),
    "symbolic link": ({X}, "os.symlink('/etc', '/tmp/etc')"),
    "sandbox's own objects": ({V, X, U}, "fr = sys._getframe(1)\nreturn (lambda: fr.f_locals['self'])"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(survive, name: str) -> None:
    survive(*ATTACKS[name])


def test_environment_is_empty(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    [outcome] = run("import os\ndef f():\n    return sorted(os.environ)").outcomes
    assert outcome.kind is V
    assert "SECRET" not in outcome.payload
    assert "hunter2" not in run("import os\ndef f():\n    return str(dict(os.environ))").outcomes[0].payload


def test_loopback_of_the_host_is_out_of_reach(first) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert first(f"import socket\ndef f():\n    socket.create_connection(('127.0.0.1', {port}), 1)").kind is X


def test_files_of_the_user_are_out_of_reach(first, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    for path in (secret, Path.home() / ".profile", Path(__file__), Path("/proc/1/environ"), Path(f"/proc/{os.getpid()}/environ")):
        outcome = first(f"def f():\n    return open({str(path)!r}, 'rb').read()")
        assert outcome.kind is X, (path, outcome)


def test_scratch_of_one_program_is_not_seen_by_the_next(sandbox: Sandbox) -> None:
    writer = Program(
        "import os\ndef f():\n    os.makedirs('/tmp/a/b/c')\n    open('/tmp/a/b/c/d', 'w').write('x')\n    open('/tmp/e', 'w').write('x')",
        "f",
        ("[]",),
    )
    reader = Program("import os\ndef f():\n    return sorted(n for n in os.listdir('/tmp') if n in ('a', 'e'))", "f", ("[]",))
    executions = list(sandbox.run([writer, reader] * 4))
    assert all(execution.outcomes[0].payload in ("[]", "PermissionError") for execution in executions[1::2])


def test_memory_of_one_program_is_not_seen_by_the_next(run) -> None:
    mark = "MARK" + "ER" * 20
    run(f"def f():\n    return '{mark}'")
    scan = (
        "import gc\ndef f(reversed_mark):\n    mark, found = reversed_mark[::-1], 0\n    for o in gc.get_objects():\n"
        "        if type(o) in (dict, list, tuple) and len(o) < 1000:\n"
        "            items = o.values() if type(o) is dict else o\n"
        "            found += any(type(x) is str and mark in x and x is not mark for x in items)\n    return found"
    )
    assert run(scan, repr([mark[::-1]])).outcomes[0].payload == "0"


def test_a_program_does_not_see_what_it_is_compared_with(run) -> None:
    code = "import gc\ndef f(x):\n    return [o for o in gc.get_objects() if type(o) is list and '[777]' in o and len(o) < 3]"
    assert run(code, "[1]", "[2]").outcomes[0].kind in (V, U)
