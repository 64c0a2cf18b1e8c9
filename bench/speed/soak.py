"""A long run with hostile programs among honest ones: nothing may leak and no verdict may be wrong.

    python -m bench.speed.soak                      # 200,000 programs, 5 % hostile (make soak)
    python -m bench.speed.soak --programs 5000
    python -m bench.speed.soak --programs 100000 --hostile 0 --queued --out queued.json   # all of them waiting in a list

Every honest program is distinct and has a known answer. Prints a line every 2 %, and at the end the growth of processes, descriptors,
memory and files; exit status 1 when anything leaked or was wrong. Deadlines are short (0.2 s of processor time): hostile programs that use
theirs to the full take most of the time. Writes bench/results/soak.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from rewards.records import Kind, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rl.config.run_folder import git_commit

HOSTILE = [
    "import os\ndef f(x):\n    while True: os.fork()",
    "import os\ndef f(x):\n    os._exit(0)",
    "import os\ndef f(x):\n    os.kill(-1, 9)",
    "import os\ndef f(x):\n    os.kill(os.getpid(), 9)",
    "def f(x):\n    while True: pass",
    "import re\ndef f(x):\n    return re.match(r'(a+)+$', 'a' * 60 + 'b')",
    "def f(x):\n    xs = []\n    while True: xs.append(bytearray(1 << 24))",
    "def f(x):\n    while True: print('x' * 100_000)",
    "import ctypes\ndef f(x):\n    return ctypes.string_at(1)",
    "import threading, time\ndef f(x):\n    threading.Thread(target=lambda: time.sleep(999)).start()\n    while x: pass",
    "import os\ndef f(x):\n    for n in range(999): open(f'/tmp/soak-{n}', 'wb').write(b'x' * 100_000)\n    os._exit(1)",
    "import os\ndef f(x):\n    for fd in range(3, 100):\n        try: os.write(fd, b'forged')\n        except OSError: pass\n"
    "    os._exit(0)",
    "import socket\ndef f(x):\n    socket.create_connection(('127.0.0.1', 22))",
    "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x):\n    return f(x)",
]
WAYS = [
    "return x + {i}",
    "return [x, {i}][::-1][0] + x",
    "return sum(range(x, x + 3)) + {i} - 2 * x - 3",
    "import os\n    return x + {i}",
]  # all x + i


def programs(number: int, hostile_share: float, seed: int) -> Iterator[tuple[Program, tuple[str, ...] | None]]:
    """Programs with their right outcomes, None for hostile ones."""
    rng = random.Random(seed)
    for i in range(number):
        if rng.random() < hostile_share:
            yield Program(f"{rng.choice(HOSTILE)}\n# {i}", "f", ("[1]",)), None
            continue
        code = f"def f(x):\n    {rng.choice(WAYS).format(i=i)}\n"
        yield Program(code, "f", ("[1]", "[20]")), (str(i + 1), str(i + 20))


def footprint() -> dict[str, int]:
    """What must not grow: of this process, of those below it, of what hostile programs would leave in the host's folder."""
    me = psutil.Process()
    below = me.children(recursive=True)
    return {
        "processes": len(below),
        "descriptors": me.num_fds(),
        "memory_mb": me.memory_info().rss >> 20,
        "workers_mb": sum(resident_bytes(process) for process in below) >> 20,
        "files": sum(name.startswith("soak-") for name in os.listdir(tempfile.gettempdir())),
    }


def resident_bytes(process: psutil.Process) -> int:
    """Resident memory; nothing for a process that just ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def settled(sandbox: Sandbox) -> dict[str, int]:
    """The footprint of an open sandbox when its last children are gone."""
    end = time.monotonic() + 10
    while (now := footprint())["processes"] > 2 * sandbox.config.workers + 1 and time.monotonic() < end:
        time.sleep(0.1)
    return now


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=200_000)
    parser.add_argument("--hostile", type=float, default=0.05, help="share of hostile programs")
    parser.add_argument("--queued", action="store_true", help="hold all programs in a list before the first one runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--isolation", choices=("auto", "bwrap", "nobwrap"), default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "soak.json")
    arguments = parser.parse_args()
    command = f"python -m bench.speed.soak --programs {arguments.programs} --hostile {arguments.hostile} --seed {arguments.seed}"
    report: dict[str, Any] = {"command": command + " --queued" * arguments.queued, "commit": git_commit()}
    outside = footprint()
    config = SandboxConfig(
        workers=arguments.workers,
        isolation=arguments.isolation,
        seconds_per_input=0.2,
        seconds_per_program=2.0,
        memory_mb=128,
        fast_seconds=0.05,
    )
    wrong: list[str] = []
    kinds, peak, started = Counter[str](), 0, time.monotonic()
    rights: list[tuple[str, ...] | None] = []

    def feed() -> Iterator[Program]:
        for program, right in programs(arguments.programs, arguments.hostile, arguments.seed):
            rights.append(right)
            yield program

    source = list(feed()) if arguments.queued else feed()
    with Sandbox(config) as sandbox:
        print(sandbox.describe())
        report["layers"] = sandbox.describe()
        inside = settled(sandbox)
        for number, execution in enumerate(sandbox.run(source)):
            right, rights[number] = rights[number], None
            found = [(o.kind, o.payload) for o in execution.outcomes]
            if right is None:
                kinds[execution.outcomes[0].kind.value] += 1
                is_wrong = execution.outcomes[0].kind in (Kind.INFRASTRUCTURE, Kind.VALUE)
            else:
                is_wrong = found != [(Kind.VALUE, text) for text in right]
            if is_wrong:
                wrong.append(f"{number}: {found}, not {right}")
            if (number + 1) % max(1, arguments.programs // 50) == 0:
                now = footprint()
                peak = max(peak, now["memory_mb"])
                print(f"{number + 1} programs, {time.monotonic() - started:.0f} s, wrong {len(wrong)}, {now}", flush=True)
        last = settled(sandbox)
        counts = dict(sandbox.counts)
    left = footprint()
    leaks = {key: left[key] - outside[key] for key in ("processes", "descriptors", "files") if left[key] > outside[key]}
    leaks |= {key: last[key] - inside[key] for key in ("processes", "descriptors") if last[key] > inside[key]}
    report |= {"programs": arguments.programs, "hostile": sum(kinds.values()), "workers": arguments.workers}
    report |= {"wrong": len(wrong), "examples": wrong[:10], "leaks": leaks, "hostile_kinds": dict(kinds), "counts": counts}
    report |= {"at_start": inside, "at_end": last, "peak_memory_mb": peak, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(report, indent=1))
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    return int(bool(wrong or leaks))


if __name__ == "__main__":
    sys.exit(main())
