"""Date and chance are the same for every program, in every lane, process and run."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator

import pytest

from rewards.records import Kind, Program
from rewards.sandbox import Sandbox, SandboxConfig

FIXED = {
    "time.time": "import time\ndef f():\n    return time.time(), time.time_ns(), time.ctime(), time.strftime('%F %T')",
    "stopwatches": "import time\ndef f():\n    return time.perf_counter(), time.process_time_ns(), time.clock_gettime(time.CLOCK_REALTIME)",
    "broken-down": "import time\ndef f():\n    return list(time.localtime()), list(time.gmtime()), time.asctime()",
    "datetime": "from datetime import datetime\ndef f():\n    return datetime.now(), datetime.utcnow(), datetime.today()",
    "with a zone": "import datetime\ndef f():\n    return str(datetime.datetime.now(datetime.timezone.utc))",
    "date": "import datetime\ndef f():\n    return datetime.date.today()",
    "a subclass": "import datetime\nclass D(datetime.datetime): pass\ndef f():\n    return type(D.now()).__name__, str(D.today())",
    "random": "import random\ndef f():\n    return random.random(), random.Random().random(), random.SystemRandom().random()",
    "reseeded": "import random\nrandom.seed()\ndef f():\n    return random.randint(0, 10 ** 9)",
    "entropy": "import os, uuid, secrets\ndef f():\n    return os.urandom(4), str(uuid.uuid4()), secrets.token_hex(4)",
    "strings' hashes": "def f():\n    return [hash(s) for s in 'abc'], list({'a', 'b', 'c', 'd'})",
}


@pytest.fixture(scope="module")
def other() -> Iterator[Sandbox]:
    """Another process, another lane."""
    with Sandbox(SandboxConfig(workers=1, isolation="nobwrap", fast_lane=False)) as opened:
        yield opened


@pytest.mark.parametrize("name", FIXED)
def test_the_same_at_every_time(sandbox: Sandbox, other: Sandbox, name: str) -> None:
    programs = [Program(f"{FIXED[name]}\n# {i}", "f", ("[]",)) for i in range(6)]  # in two workers, several to a child
    outcomes = [execution.outcomes[0] for execution in sandbox.run(programs)]
    assert outcomes[0].kind is Kind.VALUE
    assert len(set(outcomes)) == 1
    [execution] = other.run(programs[:1])
    assert execution.outcomes[0] == outcomes[0]


def test_a_real_clock_is_the_machines() -> None:
    code = "import time, datetime, random\ndef f():\n    return time.time(), datetime.datetime.now().timestamp(), random.random()"
    with Sandbox(SandboxConfig(workers=1, clock="real")) as opened:
        started = time.time()
        [execution] = opened.run([Program(code, "f", ("[]",))])
    seconds, also, chance = ast.literal_eval(execution.outcomes[0].payload)
    assert started - 1 <= seconds <= time.time() + 1 and abs(also - seconds) < 1
    assert chance == 0.8444218515, "chance stays the same for every program"


def test_time_passes(first) -> None:
    code = "import time, datetime\ndef f():\n    start = time.time()\n    while time.time() - start < 0.2: pass\n"
    code += "    then = datetime.datetime.now()\n    return datetime.datetime.now() > then"
    assert first(code).payload == "True"


def test_waiting_is_real(first) -> None:
    code = "import threading, queue\ndef f():\n    try:\n        queue.Queue().get(timeout=0.01)\n"
    code += "    except queue.Empty:\n        return threading.Event().wait(0.01)"
    assert first(code).payload == "False"
