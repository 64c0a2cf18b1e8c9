"""Programs that read standard input behave in the sandbox as in a judge's process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from probing.records import STDIN
from rewards.clusters.clustering import cluster
from rewards.clusters.signatures import OutcomeMatrix
from rewards.outcomes.literals import argument_outcomes
from rewards.programs.stdin import ENTRY, as_function
from rewards.records import Kind, Program
from rewards.sandbox import Sandbox, SandboxConfig
from rl.benchmarks.evalplus import value_of
from rl.benchmarks.livecodebench import IMPORTS

# Each prints the sum of the numbers in the second line; the first line says how many there are.
PROGRAMS = {
    "input": "n = int(input())\nprint(sum(map(int, input().split())))",
    "bytes": "import sys\nrows = sys.stdin.buffer.read().split()\nsys.stdout.buffer.write(b'%d\\n' % sum(map(int, rows[1:])))",
    "open(0)": "print(sum(map(int, open(0).read().split()[1:])))",
    "open(0) closed": "with open(0, 'rb') as file:\n    rows = file.read().split()\nprint(sum(map(int, rows[1:])), file=open(1, 'w'))",
    "os.read": "import os\nos.write(1, str(sum(map(int, os.read(0, 10**6).split()[1:]))).encode())",
    "os.fdopen": "import os\nprint(sum(map(int, os.fdopen(0).readlines()[1].split())))",
    "sys.__stdin__": "import sys\nrows = sys.__stdin__.read().split()\nprint(sum(map(int, rows[1:])), file=sys.__stdout__)",
    "a path to /dev/stdin": "import pathlib\nprint(sum(map(int, pathlib.Path('/dev/stdin').read_text().split()[1:])))",
    "os.read of the size of the input": """
import os
from io import BytesIO
input = BytesIO(os.read(0, os.fstat(0).st_size)).readline
n = int(input())
print(sum(map(int, input().split())))
""",
    "os._exit": """
import os, sys
n = int(input())
sys.stdout.write(str(sum(map(int, input().split()))) + os.linesep)
sys.stdout.flush()
os._exit(0)
""",
    "its own module": """
from __future__ import annotations
import __main__, sys
from dataclasses import dataclass
@dataclass
class Rows:
    n: int
    rows: list[int]
read = Rows(int(input()), [int(x) for x in input().split()])
assert __main__.read is sys.modules["__main__"].read and __file__
print(sum(read.rows))
""",
    "fileinput that is left early": """
import fileinput
for line in fileinput.input():
    if fileinput.lineno() == 2:
        break
print(sum(map(int, line.split())))
""",
    "/dev/stdin": "print(sum(map(int, open('/dev/stdin').read().split()[1:])))",
    "fileinput": "import fileinput\nprint(sum(map(int, [line for line in fileinput.input()][1].split())))",
    "readline": """
import sys
input = sys.stdin.readline
n = int(input()[:-1])
print(sum(map(int, input().split())))
assert input() == ""
""",
    "global": """
total = 0
def add(x):
    global total
    total += int(x)
for x in open(0).read().split()[1:]:
    add(x)
print(total)
""",
    "global at module level": """
global total
total = 0
n, *xs = map(int, open(0).read().split())
for x in xs:
    total += x
print(total)
""",
    "code behind the guard": """
def main():
    input()
    print(sum(map(int, input().split())))
if __name__ == "__main__":
    main()
done = True
""",
    "reversed guard": """
def main():
    input()
    print(sum(map(int, input().split())))
if "__main__" == __name__:
    main()
""",
    "return": """
n = int(input())
if not n:
    print(0)
    return
print(sum(map(int, input().split())))
""",
    "exit": """
import sys
n = int(input())
print(sum(map(int, input().split())))
sys.exit()
print("not reached")
""",
    "thread": """
import sys, threading
def main():
    input()
    print(sum(map(int, input().split())))
sys.setrecursionlimit(10**6)
threading.Thread(target=main).start()
""",
    "at exit": """
import atexit, io, os, sys
kept = io.StringIO()
sys.stdout = kept
atexit.register(lambda: os.write(1, kept.getvalue().encode()))
input()
print(sum(map(int, input().split())))
""",
    "wrapper that is flushed at exit": """
import os, sys
from io import BytesIO, IOBase
class Fast(IOBase):
    def __init__(self, file):
        self._fd, self.buffer = file.fileno(), BytesIO()
        self.writable = "x" in file.mode or "r" not in file.mode
        self.write = self.buffer.write if self.writable else None
    def read(self):
        return os.read(self._fd, max(os.fstat(self._fd).st_size, 8192))
    def flush(self):
        if self.writable:
            os.write(self._fd, self.buffer.getvalue())
class Wrapper(IOBase):
    def __init__(self, file):
        self.buffer = Fast(file)
        self.flush, self.writable = self.buffer.flush, self.buffer.writable
        self.write = lambda s: self.buffer.write(s.encode("ascii"))
        self.read = lambda: self.buffer.read().decode("ascii")
sys.stdin, sys.stdout = Wrapper(sys.stdin), Wrapper(sys.stdout)
print(sum(map(int, sys.stdin.read().split()[1:])))
""",
    "afresh each time": """
try:
    seen += 1
except NameError:
    seen = 0
print(sum(map(int, open(0).read().split()[1:])) + seen)
""",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(workers=1)) as opened:
        yield opened


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_prints_what_it_prints_in_a_process_of_its_own(name: str, sandbox: Sandbox) -> None:
    program = Program(as_function(PROGRAMS[name], IMPORTS), ENTRY, ("['2\\n3 4\\n']", "['0\\n\\n']"))
    [execution] = sandbox.run([program])
    assert [o.kind for o in execution.outcomes] == [Kind.VALUE] * 2, execution.outcomes
    assert [value_of(o).strip() for o in execution.outcomes] == ["7", "0"]


def test_an_exception_behind_the_output_is_a_failure(sandbox: Sandbox) -> None:
    [execution] = sandbox.run([Program(as_function("print(1)\n1 / 0", IMPORTS), ENTRY, ("['']",))])
    assert execution.outcomes[0].kind is Kind.EXCEPTION and execution.outcomes[0].payload == "ZeroDivisionError"


def test_what_does_not_parse_is_refused(sandbox: Sandbox) -> None:
    [execution] = sandbox.run([Program(as_function("print(", IMPORTS), ENTRY, ("['']",))])
    assert execution.outcomes[0].kind is Kind.REFUSED


INPUTS = ("'2\\n3 4\\n'", "'1\\n5\\n'", "'3\\n1.5 2 2\\n'")


def test_a_program_runs_on_texts_and_its_outcome_is_what_it_prints(sandbox: Sandbox) -> None:
    code = "print(sum(map(float, open(0).read().split()[1:])), end=' \\n\\n')"
    [execution] = sandbox.run([Program(code, STDIN, INPUTS)])
    assert [(o.kind, o.payload) for o in execution.outcomes] == [(Kind.VALUE, f"'{total}'") for total in ("7", "5", "5.5")]


def test_programs_that_print_the_same_in_other_forms_are_one_cluster(sandbox: Sandbox) -> None:
    head = "xs = [float(x) for x in open(0).read().split()[1:]]\n"
    bodies = ["print(sum(xs))", "print(f'{sum(xs):.3f}')", "print()\nprint(sum(xs) * 1.0, '')", "print(max(xs))", "print('total', sum(xs))"]
    executions = list(sandbox.run(Program(head + body, STDIN, INPUTS) for body in bodies))
    assert cluster(OutcomeMatrix.from_executions(executions)).labels.tolist() == [0, 0, 0, 1, 2]


def test_a_program_that_prints_its_input_is_an_echo(sandbox: Sandbox) -> None:
    programs = ["print(open(0).read())", "for line in open(0):\n    print(line.strip() + ' ')", "print(len(open(0).read()))"]
    executions = list(sandbox.run(Program(code, STDIN, INPUTS) for code in programs))
    matrix = OutcomeMatrix.from_executions(executions, None, argument_outcomes(INPUTS))
    assert matrix.echo.tolist() == [True, True, False]


def test_no_import_is_put_in_front_of_a_program_but_it_may_exit(sandbox: Sandbox) -> None:
    codes = ["print(math.sqrt(4))", "print(1)\nexit()\nprint(2)", "print(1)\nquit(0)"]
    kinds = [execution.outcomes[0] for execution in sandbox.run(Program(code, STDIN, INPUTS[:1]) for code in codes)]
    assert [(o.kind, o.payload) for o in kinds] == [(Kind.EXCEPTION, "NameError"), (Kind.VALUE, "'1'"), (Kind.VALUE, "'1'")]


def test_a_long_print_is_compared_in_normal_form(sandbox: Sandbox) -> None:
    """Of a long one only a digest leaves the sandbox: it must be one of the normal form."""
    codes = [f"for i in range(2000):\n    print({word})" for word in ("i", "float(i)", "i, '', sep='  '", "i + (i == 1999)")]
    first, second, third, other = (execution.outcomes[0] for execution in sandbox.run(Program(code, STDIN, INPUTS[:1]) for code in codes))
    assert first.kind is Kind.VALUE and first == second == third != other
