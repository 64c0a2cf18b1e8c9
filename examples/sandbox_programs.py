"""The sandbox on its own: run programs that nobody has read, and see what each of them did.

    python examples/sandbox_programs.py

docs/sandbox.md explains what is shown here. Needs `pip install ucoder`, without extras.
"""

from __future__ import annotations

from rewards.sandbox import Program, Sandbox, SandboxConfig

INPUTS = ("[3, 4]", "[0, 1]", "['a', 2]")  # each a Python literal: the list of positional arguments

PROGRAMS = {
    "adds": "def f(a, b):\n    return a + b",
    "divides": "def f(a, b):\n    return b / a",
    "never ends": "def f(a, b):\n    while a == 3:\n        pass\n    return a",
    "opens a file": "def f(a, b):\n    return open('/etc/passwd').read()",
    "opens a socket": "import socket\n\ndef f(a, b):\n    return socket.create_connection(('127.0.0.1', 80))",
    "takes memory": "def f(a, b):\n    return len('x' * 10 ** 10)",
    "does not compile": "def f(a, b) return a",
}


def main() -> None:
    config = SandboxConfig(workers=2, seconds_per_input=0.5, memory_mb=256)
    with Sandbox(config) as sandbox:
        print(sandbox.describe())
        executions = sandbox.run(Program(code, "f", INPUTS) for code in PROGRAMS.values())
        for name, execution in zip(PROGRAMS, executions, strict=True):
            shown = [f"{outcome.kind.value} {outcome.payload}".strip()[:38] for outcome in execution.outcomes]
            print(f"{name:<18}" + "".join(f"{text:<40}" for text in shown).rstrip())


if __name__ == "__main__":
    main()
