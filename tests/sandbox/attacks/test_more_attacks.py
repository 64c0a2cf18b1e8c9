"""Hostile programs that know how this sandbox works: its frames, its shared memory, its descriptors, its deadlines, its clean-up."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from rewards.records import Kind, Outcome, Program
from rewards.sandbox import Sandbox, SandboxConfig
from tests.sandbox.attacks.kinds import K, L, M, R, T, U, V, X

pytestmark = pytest.mark.slow
RUNNER = "fr = sys._getframe()\nwhile 'self' not in fr.f_locals or not hasattr(fr.f_locals['self'], 'frames'): fr = fr.f_back\n"
RUNNER += "runner = fr.f_locals['self']\n"
LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
MACHINE_CODE = """import ctypes, mmap, platform
if platform.machine() != 'x86_64': os.abort()
code = bytes.fromhex('{}')
area = mmap.mmap(-1, 4096, prot=7)
area.write(code)
return ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(area)))()
"""

ATTACKS: dict[str, tuple[set[Kind], str]] = {
    # forged frames, written with the child's own key
    "a frame about a program that is not there": ({K}, RUNNER + "runner.frames.write(1, 999, b'\\0\\0\\0\\0v1')\nos._exit(0)"),
    "a frame that is no text": ({K}, RUNNER + "runner.frames.write(3, 0, b'\\xff\\xfe')\nos._exit(0)"),
    "a frame without a body": ({K}, RUNNER + "for kind in range(1, 9): runner.frames.write(kind, 0, b'')\nos._exit(0)"),
    "a frame with too many results": ({K}, RUNNER + "runner.frames.write(1, 0, b'\\0\\0\\0\\0' + b'v1\\n' * 1000)\nos._exit(0)"),
    "a frame that starts past the end": ({K}, RUNNER + "runner.frames.write(1, 0, b'\\xff\\xff\\xff\\x7fv1')\nos._exit(0)"),
    "a result of twenty megabytes": ({K}, RUNNER + "runner.frames.write(3, 0, b'v' + b'x' * (20 << 20))\nos._exit(0)"),
    "a kind that does not exist": ({K}, RUNNER + "runner.frames.write(3, 0, b'?42')\nos._exit(0)"),
    "time that runs backwards": ({V}, RUNNER + "import struct\nrunner.frames.write(2, 0, struct.pack('<d', -1e308))\nreturn 1"),
    "a hundred thousand frames": ({K}, RUNNER + "for _ in range(100_000): runner.frames.write(9, 0, b'')\nos._exit(0)"),
    "results overwritten in shared memory": (
        {V, K},
        "import gc, threading\nfor o in gc.get_objects():\n    if type(o).__name__ == 'FrameWriter': area = o._area\n"
        "def scribble():\n    while True: area[:4096] = os.urandom(4096)\n"
        "threading.Thread(target=scribble, daemon=True).start()\ntime.sleep(0.05)\nreturn 1",
    ),
    # deadlines
    "progress that always moves": (
        {T},
        RUNNER
        + "runner.frames = None\nn = 0\nwhile True:\n    n += 1\n    runner.progress[0] = runner.progress[1] = n\n    time.sleep(0.002)",
    ),
    "progress of another program": (
        {T, K},
        RUNNER + "runner.progress[0] = 4_000_000_000\nrunner.progress[1] = 4_000_000_000\nwhile True: pass",
    ),
    "stopping itself": ({T}, "import signal\nos.kill(os.getpid(), signal.SIGSTOP)"),
    "an alarm for later": (
        {V, X, K, T},
        "import signal\ndef late(*a): raise KeyboardInterrupt\nsignal.signal(signal.SIGALRM, late)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01, 0.001)\nreturn 1",
    ),
    "waiting on a lock for ever": ({T}, "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()"),
    "a child process to wait for": ({X}, "os.waitpid(-1, 0)"),
    "reading from its own empty pipe": ({T}, "r, w = os.pipe()\nos.read(r, 1)"),
    "a regex in a thread, exit in another": (
        {T, K, V},
        "import re, threading\nthreading.Thread(target=re.match, args=(r'(a+)+$', 'a' * 60 + 'b'), daemon=True).start()\n"
        "time.sleep(0.05)\nreturn 1",
    ),
    "compiling for ever": ({T, M, X, K, R}, "return compile('-' * 100_000 + '1', 'x', 'eval') and 1"),
    # resources
    "threads with tiny stacks": (
        {X, M, T, K},
        "import threading\nthreading.stack_size(32768)\nwhile True: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
    ),
    "all descriptors as full pipes": (
        {X, T},
        "import fcntl\nwhile True:\n    r, w = os.pipe()\n    os.set_blocking(w, False)\n    try: fcntl.fcntl(w, 1031, 1 << 20)\n"
        "    except OSError: pass\n    try:\n        while True: os.write(w, b'x' * 65536)\n    except BlockingIOError: pass",
    ),
    "shared anonymous memory": (
        {X, M, T},
        "import mmap\nkept = []\nwhile True:\n    m = mmap.mmap(-1, 1 << 26, flags=mmap.MAP_SHARED)\n    m.write(b'x' * (1 << 26))\n"
        "    kept.append(m)",
    ),
    "a value that doubles at every level": ({L}, "x = [1]\nfor _ in range(55): x = [x, x]\nreturn x"),
    "a value that holds itself": ({U}, "x = {}\nx['x'] = [x]\nreturn x"),
    "a dict that changes while it is read": (
        {V, X, L, U, K, T},
        "import threading\nd = {i: [i] for i in range(5000)}\ndef churn():\n    while True:\n        for i in range(5000): d.pop(i, 0)\n"
        "        for i in range(5000): d[i] = [i]\nthreading.Thread(target=churn, daemon=True).start()\ntime.sleep(0.01)\nreturn d",
    ),
    "an iterator that eats the sandbox": (
        {V, X, K, U},
        "def g():\n    fr = sys._getframe()\n    while fr:\n        for v in list(fr.f_locals.values()):\n"
        "            if type(v) is list: v.clear()\n        fr = fr.f_back\n    yield 1\nreturn [g(), 2]",
    ),
    "a deep directory tree": ({V, X, T}, "os.chdir('/tmp')\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\nreturn 1"),
    "five thousand files with strange names": (
        {X},
        "for n in range(5000): open(b'/tmp/\\xff\\n' + str(n).encode(), 'w').close()",
    ),
    # system calls behind the filter
    "signals through a descriptor's owner": (
        {X},
        "import fcntl, signal\nr, w = os.pipe()\nfcntl.fcntl(r, 10, signal.SIGKILL)\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())\n"
        "fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)\nos.write(w, b'x')",
    ),
    "a 32-bit system call": ({K, X}, MACHINE_CODE.format("b814000000cd80c3")),  # int 0x80, getpid
    "an x32 system call": ({V, K}, LIBC + "return libc.syscall(0x40000000 + 57, 0, 0, 0)"),
    "a fork past the library": ({V}, LIBC + "return [libc.syscall(n, 0, 0, 0, 0, 0) for n in (57, 58, 435)]"),
    "a clone that is no thread": ({V}, LIBC + "return libc.syscall(56, 17, 0, 0, 0, 0)"),
    "a thread in a new namespace": ({V}, LIBC + "return libc.syscall(56, 0x10000 | 0x800 | 0x100 | 0x10000000, 0, 0, 0, 0)"),
    "taking its capabilities back": ({V}, LIBC + "return libc.syscall(126, None, None), libc.prctl(8, 1, 0, 0, 0)"),
    "giving up on no_new_privs": ({V}, LIBC + "return libc.prctl(38, 0, 0, 0, 0), libc.prctl(4, 1, 0, 0, 0), libc.prctl(1, 0, 0, 0, 0)"),
    "priority and processors": ({X}, "os.nice(-5)"),
    "changing root": ({X}, "os.chroot('/tmp')"),
    "another's memory by pid": ({V}, LIBC + "return libc.process_vm_readv(os.getppid(), None, 0, None, 0, 0)"),
    # what Python itself offers
    "an audit hook that raises": ({V, X, K, T}, "def hook(*a): raise MemoryError\nsys.addaudithook(hook)\nreturn [1, 2]"),
    "a profile function in every thread": ({V}, "import threading\nthreading.setprofile(lambda *a: os._exit(0))\nreturn 1"),
    "a codec that answers for UTF-8": (
        {V, X},
        "import codecs\ncodecs.register(lambda name: (lambda s, e='strict': (b'v99', 0),) * 4)\nreturn 'z'",
    ),
    "exceptions thrown into the main thread": (
        {V, X, K, T},
        LIBC + "import threading\nmain = ctypes.c_ulong(threading.get_ident())\ndef throw():\n    while True:\n"
        "        ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(KeyboardInterrupt))\n        time.sleep(0.0001)\n"
        "threading.Thread(target=throw, daemon=True).start()\nreturn 1",
    ),
    "an interpreter that is finalised": ({V, X, K, T}, LIBC + "ctypes.pythonapi.Py_FinalizeEx()\nreturn 1"),
    "another interpreter": (
        {V, X, K},
        "import importlib\nlibrary = importlib.import_module('_xxsubinterpreters')\n"
        "library.run_string(library.create(), 'import os; os._exit(0)')\nreturn 1",
    ),
    "a recursion limit too low for anyone": ({V, X, K}, "sys.setrecursionlimit(30)\nreturn 1"),
    "results mapped over": (
        {K},
        RUNNER + LIBC + "libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]\n"
        "area = runner.frames._area.obj\nlibc.mmap(ctypes.addressof(area), ctypes.sizeof(area), 3, 0x32, -1, 0)\nreturn 1",
    ),
    "results punched out": (
        {V, K},
        RUNNER + LIBC + "area = runner.frames._area.obj\n"
        "return libc.madvise(ctypes.c_void_p(ctypes.addressof(area)), ctypes.c_size_t(ctypes.sizeof(area)), 9)",
    ),
    "asking a user who is not there": ({X}, "return input()"),
    "reading what was typed": ({V}, "return os.read(0, 100), sys.stdin.read()"),
    "a print that says it is empty": (
        {T},
        "class S(str):\n    def __len__(self): return 0\nwhile True: sys.stdout.write(S('x' * 1000))",
    ),
    "a range with too many digits": ({L}, "return range(10 ** 5000)"),
    "a name that is a megabyte long": ({X}, "raise type('E' * (1 << 20), (Exception,), {})()"),
    "a group of ten thousand exceptions": ({X}, "raise ExceptionGroup('g', [ValueError(n) for n in range(10_000)])"),
    "the runner's own functions replaced": (
        {V, K},
        RUNNER + "type(runner).flush = lambda *a: None\ntype(runner).write = lambda *a: None\nreturn 1",
    ),
    "the canonicaliser replaced": ({V, K, X}, RUNNER + "runner.canonical = None\nreturn 1"),
    "integers without a limit on digits": ({V}, "sys.set_int_max_str_digits(0)\nreturn 10 ** 50_000"),
    "a type patched through its dict": (
        {V, K, X, T},
        "import ctypes, gc\n[d] = gc.get_referents(vars(list))\nd['append'] = lambda *a: None\n"
        "ctypes.pythonapi.PyType_Modified(ctypes.py_object(list))\nreturn [1]",
    ),
    "reference counts run down": (
        {V, K, T},
        "import ctypes\nfor _ in range(9): ctypes.pythonapi.Py_DecRef(ctypes.py_object(()))\nreturn ()",
    ),
}
REFUSED_CALLS = """
socket socketpair connect bind ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd pidfd_send_signal kcmp mount umount2
pivot_root chroot setns unshare fork vfork clone3 execve execveat io_uring_setup bpf perf_event_open userfaultfd memfd_create memfd_secret
add_key request_key keyctl init_module finit_module kexec_load reboot swapon settimeofday clock_settime adjtimex sethostname personality
open_by_handle_at name_to_handle_at fanotify_init inotify_init1 quotactl acct shmget semget msgget mq_open setuid setgid setgroups
capset prctl seccomp chmod fchmod chown link symlink mknod setxattr mlock mlockall sched_setaffinity sched_setscheduler setpriority
rt_sigqueueinfo rt_tgsigqueueinfo process_madvise landlock_restrict_self syslog iopl ioperm modify_ldt openat2 sendmsg recvmsg
splice vmsplice
"""


# name: (kinds, source): what happens before any function can be called, also in a child that others share
SOURCES: dict[str, tuple[set[Kind], str]] = {
    "code that doubles at every level": (
        {T, M, K, R},
        "def f():\n" + "".join("    " * n + "try: pass\n" + "    " * n + "finally:\n" for n in range(1, 20)) + "    " * 20 + "pass\n",
    ),
    "a parser run down its stack": ({R, K, M, T}, "def f():\n    return " + "-" * 200_000 + "1"),
    "brackets without end": ({R, K, M}, "x = " + "[" * 100_000 + "\ndef f(): pass"),
    "an integer with too many digits": ({R}, "def f():\n    return " + "9" * 100_000),
    "a hundred thousand constants": ({V, T, M}, "x = [" + "'a', 1, " * 50_000 + "]\ndef f():\n    return 1"),
    "an encoding that is not there": ({V, R}, "# -*- coding: utf-7 -*-\n# +AAo-def f(): return 2\ndef f():\n    return 1"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_hostile_source(sandbox: Sandbox, name: str) -> None:
    kinds, source = SOURCES[name]
    honest = [Program(f"def f(x):\n    return x + {n}", "f", ("[1]",)) for n in range(4)]
    [first, *others, alone] = sandbox.run([Program(source, "f", ("[]",)), *honest, Program("import os\n" + source, "f", ("[]",))])
    assert [execution.outcomes[0].payload for execution in others] == ["1", "2", "3", "4"]
    for execution in (first, alone):
        assert execution.outcomes[0].kind in kinds, execution.outcomes[0]


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(survive, name: str) -> None:
    survive(*ATTACKS[name])


def test_calls_that_nobody_needs_are_refused(first) -> None:
    seccomp = pytest.importorskip("pyseccomp")
    numbers = {name: seccomp.resolve_syscall(seccomp.system_arch(), name) for name in REFUSED_CALLS.split()}
    present = {name: number for name, number in numbers.items() if number >= 0}
    code = (
        LIBC + f"def f():\n    return [n for n, i in {present!r}.items() if libc.syscall(i, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() "
    )
    outcome = first(code + "not in (1, 38)]")
    assert outcome == Outcome(V, "[]")


def test_no_descriptor_of_the_parent_or_the_zygote_is_open() -> None:
    """Descriptors keep their numbers on the way to a zygote: those above a child's limit are not in reach of its clean-up."""
    code = """
import os
def is_open(number):
    try: os.fstat(number)
    except OSError: return False
    return True
def f():
    return [number for number in range(3, 2000) if is_open(number)]
"""
    with contextlib.ExitStack() as files:
        for _ in range(300):
            files.enter_context(open("/dev/null"))
        with Sandbox(SandboxConfig(workers=1)) as sandbox:
            [execution] = sandbox.run([Program(code, "f", ("[]",))])
    assert execution.outcomes == (Outcome(V, "[]"),)


def test_times_of_the_scratch_folder_say_nothing(sandbox: Sandbox) -> None:
    writer = "import os\ndef f():\n    try:\n        os.utime('/tmp', (5, 5))\n    except OSError: pass\n"
    writer += "    try:\n        open('/tmp/x', 'w').close()\n        os.unlink('/tmp/x')\n    except OSError: pass"
    reader = (
        "import os\ndef f():\n    s = os.stat('/tmp')\n    return s.st_mtime == 5, s.st_mtime == s.st_ctime, sorted(os.listdir('/tmp'))"
    )
    programs = [Program(f"{code}\n# {i}", "f", ("[]",)) for i in range(3) for code in (writer, reader)]
    for execution in list(sandbox.run(programs))[1::2]:
        assert execution.outcomes[0] in (Outcome(V, "(False, True, [])"), Outcome(X, "PermissionError"))


def test_the_library_is_not_changed_by_what_a_program_does_to_it(sandbox: Sandbox) -> None:
    target = Path(os.__file__).resolve()
    before = target.stat()
    body = f"""
import os
def f(p={str(target)!r}):
    for action in (os.unlink, os.utime, lambda p: open(p, 'a'), lambda p: os.truncate(p, 0), lambda p: os.rename(p, p + 'x')):
        try: action(p)
        except OSError: pass
"""
    list(sandbox.run([Program(body, "f", ("[]",))]))
    after = target.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)


def test_hostile_inputs_cost_only_themselves(run) -> None:
    texts = [
        "[1]",
        "[" * 50_000,
        "[" + "9" * 200_000 + "]",
        "[{[]: 1}]",
        "[" + "-" * 50_000 + "1]",
        "[__import__('os')]",
        "['\\ud800']",
        "[2]",
    ]
    outcomes = run("import os\ndef f(x):\n    return x", *texts).outcomes
    assert outcomes[0] == Outcome(V, "1")
    assert outcomes[-1] == Outcome(V, "2")
    assert all(outcome.kind in (R, K, V, M) for outcome in outcomes)
