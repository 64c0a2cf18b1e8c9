"""Memory that a stage has freed: kept while it works, given back when it ends; few kernels of oneDNN are kept."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# In a process of its own: how glibc allocates is set for a whole process. Blocks that stay lie between those that are freed.
PROGRAM = """
import numpy as np
from probing.memory import free_memory, keep_freed_memory

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

free_memory()  # loads torch
print(keep_freed_memory())
blocks = [np.ones(2**18) for _ in range(200)]
held = blocks[::20]
full = resident_mb()
del blocks
kept = resident_mb()
free_memory()
print(full - kept, kept - resident_mb())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heap")
def test_freed_blocks_stay_until_they_are_given_back() -> None:
    lines = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=True).stdout.splitlines()
    if lines[0] != "True":
        pytest.skip("this libc takes no such settings")
    at_once, given_back = map(float, lines[1].split())
    assert at_once < 100 and given_back > 200  # MB, of 380 that were freed


@pytest.mark.parametrize("named", [None, "1024"])
def test_onednn_keeps_few_kernels_unless_the_environment_says_how_many(named: str | None) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    program = f"from probing.memory import keep_freed_memory; import os; keep_freed_memory(); print(os.environ['{name}'])"
    environment = {key: value for key, value in os.environ.items() if key != name} | ({name: named} if named else {})
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300).stdout.strip() == (named or "64")
