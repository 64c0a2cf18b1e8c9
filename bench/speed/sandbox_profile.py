"""Where the sandbox's time goes: processor time of the parent, the zygotes and the children, beside what the programs themselves need.

Called by `python -m bench.speed.sandbox`. Processor time, as the kernel counts it for each process, hardly depends on what else
the machine does.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from rewards.records import Program
from rewards.sandbox import Sandbox, SandboxConfig

TICK = 0.01  # seconds: the unit of the kernel's accounts


def zygotes(sandbox: Sandbox) -> list[psutil.Process]:
    """The zygotes of an open, idle sandbox: the innermost process of each worker."""
    found = []
    for pool in sandbox._pools:
        for worker in pool.workers:
            process = psutil.Process(worker.process.pid)
            while below := process.children():
                [process] = below
            found.append(process)
    return found


def account(process: psutil.Process) -> dict[str, float]:
    """Seconds of processor time and page faults, of a zygote and of the children that it has buried."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    own, buried = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return {"zygote": own * TICK, "children": buried * TICK, "zygote_faults": int(fields[7]), "child_faults": int(fields[8])}


def profile(
    programs: Sequence[Program], plain: Callable[[Program], object], fast_lane: bool, workers: int, isolation: str
) -> dict[str, float]:
    """Milliseconds of processor time a program: the floor, the parent, zygotes, children; and page faults a program."""
    config = SandboxConfig(workers=workers, fast_lane=fast_lane, isolation=isolation, seconds_per_input=20, seconds_per_program=60)
    with Sandbox(config) as sandbox:
        processes = zygotes(sandbox)
        before, started = [account(p) for p in processes], time.process_time()
        for _ in sandbox.run(programs):
            pass
        parent = time.process_time() - started
        spent = {key: sum(account(p)[key] for p in processes) - sum(b[key] for b in before) for key in before[0]}
    with multiprocessing.get_context("fork").Pool(1) as pool:
        floor = pool.apply(processor_seconds, (plain, list(programs)))
    number = len(programs)
    times = {"floor": floor, "parent": parent, "zygote": spent["zygote"], "children": spent["children"]}
    found = {f"{key}_ms": round(1000 * seconds / number, 3) for key, seconds in times.items()}
    return found | {key: round(spent[key] / number, 1) for key in ("zygote_faults", "child_faults")}


def processor_seconds(plain: Callable[[Program], object], programs: Sequence[Program]) -> float:
    """What the programs themselves need."""
    started = time.process_time()
    for program in programs:
        plain(program)
    return time.process_time() - started
