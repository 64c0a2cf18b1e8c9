"""On paper: what the paper's scale would cost with this code, and a hundred times that; and which part breaks first.

    python -m bench.bill                       # 16,867 problems x 128 samples x 6 rounds at 7B and 32B; Markdown on stdout

Counts and prices are `ucoder plan`'s (`rl.planning.plan`). What a record costs a rank in memory, and how fast rank 0 writes a stage's file,
are measured here. A part breaks where it needs more than the machine that is named has, or takes longer than sampling does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path

from probing.records import Candidate, TestSuite
from rl.config.schema import Config, load_config
from rl.planning.costs import EXECUTIONS_PER_CORE_SECOND
from rl.planning.measured_shares import Shares
from rl.planning.model_size import ModelSize, read_model_size
from rl.planning.plan import BYTES_PER_OUTCOME, BYTES_PER_TOKEN, DEVICES_A_MACHINE, Plan, make_plan
from rl.round_files import read_candidates, read_records, write_records
from rl.stored import grouped

ROOT = Path(__file__).resolve().parent.parent
PROBLEMS, SAMPLES, ROUNDS = 16_867, 128, 6  # of the paper
MODELS = ("7b", "32b")
TIMES = (1, 100)
DEVICE = "h200"
CORES, HOST_BYTES, DISK_BYTES = 192, 2e12, 30e12  # of a node of eight devices


@dataclass(frozen=True)
class Part:
    """A part that may break: what it needs as a multiple of what there is, and what would take its place."""

    name: str
    need: str
    load: float
    instead: str


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    memory, rate = record_bytes(), write_rate()
    print(f"Measured: {memory[0] / 1e3:,.0f} kB a problem with its suite and {memory[1]:,.0f} bytes a sample on every rank; ", end="")
    print(f"a stage's file is written at {rate / 1e6:,.0f} MB/s.\n")
    print(
        "| model | problems a round | devices | samples | tokens | calls in sandboxes | device hours | days | disk |\n" + "|---" * 9 + "|"
    )
    plans = [(model, times, *plan_of(model, times)) for times in TIMES for model in MODELS]
    for model, times, _, _, plan in plans:
        total = [plan.rounds * sum(getattr(s, key) for s in plan.stages) for key in ("samples", "tokens", "executions")]
        print(
            f"| {model} | {PROBLEMS * times:,} | {plan.devices} | {' | '.join(f'{value:.1e}' for value in total)} "
            f"| {plan.hours * plan.devices:,.0f} | {plan.hours / 24:.1f} | {plan.disk / 1e12:,.1f} TB |"
        )
    for model, times, config, size, plan in plans:
        if model == MODELS[0]:
            print(f"\nAt {times} x the paper's scale, {model}, {plan.devices} devices, loads from the heaviest (1 is full):\n")
            print("| part | needs | load | in its place |\n|---|---|---|---|")
            for part in sorted(parts(config, size, plan, memory, rate), key=lambda part: -part.load):
                print(f"| {part.name} | {part.need} | {part.load:.2g} | {part.instead} |")


def plan_of(model: str, times: int) -> tuple[Config, ModelSize, Plan]:
    """The shipped config of a model, with as many proposals as leave the paper's problems; one node for each multiple."""
    count = round(PROBLEMS * times / Shares().kept)
    overrides = ["--problems.count", str(count), "--solutions.samples", str(SAMPLES), "--rounds", str(ROUNDS)]
    config = load_config(ROOT / "configs" / f"qwen2.5-coder-{model}.yaml", [*overrides, "--sandbox.workers", str(CORES)])
    size = read_model_size(config.model)
    return config, size, make_plan(config, size, DEVICE, DEVICES_A_MACHINE * times)


def parts(config: Config, size: ModelSize, plan: Plan, memory: tuple[float, float], rate: float) -> list[Part]:
    """What one round asks of every part that does not simply grow with the number of devices."""
    stages = {stage.name: stage for stage in plan.stages}
    nodes = plan.devices // DEVICES_A_MACHINE
    solutions = stages["solutions"]
    problems = solutions.samples / config.solutions.samples
    execution_hours = solutions.executions / (EXECUTIONS_PER_CORE_SECOND * CORES * nodes) / 3600
    sampling_hours = solutions.hours - execution_hours
    written = solutions.tokens * BYTES_PER_TOKEN + solutions.executions * BYTES_PER_OUTCOME
    host = DEVICES_A_MACHINE * (problems * memory[0] + solutions.samples * memory[1])
    files = solutions.samples / config.sampling.part
    return [
        Part(
            "records that every rank holds: problems, suites, places of candidates",
            f"{host / 1e12:,.2f} TB a node of {HOST_BYTES / 1e12:,.0f}",
            host / HOST_BYTES,
            "each rank reads the suites of its own parts; places in an array",
        ),
        Part(
            "rank 0 writes the files of stage 5 alone",
            f"{written / 1e12:,.2f} TB, {written / rate / 3600:,.1f} h",
            written / rate / 3600 / sampling_hours,
            "leave the ranks' parts as the stage's file, with an index",
        ),
        Part(
            "executions",
            f"{execution_hours:,.1f} h on {CORES * nodes:,} cores",
            execution_hours / sampling_hours,
            "more nodes without devices (`execution.backend: ray`)",
        ),
        Part(
            "parts as files, waited for by looking",
            f"{files:,.0f} files in one folder",
            files / 1e6,
            "a larger sampling.part; folders of a thousand",
        ),
    ]


def record_bytes(problems: int = 200, samples: int = 128, inputs: int = 200) -> tuple[float, float]:
    """Bytes that a problem with its pool of inputs, and that a sample, cost a rank which has read a round's files up to the probe."""
    with tempfile.TemporaryDirectory() as folder:
        suites, candidates = Path(folder) / "suites.jsonl", Path(folder) / "candidates.jsonl"
        pools = [tuple(f"[[{i}, {j}, 3, 5], 'some text']" for j in range(inputs)) for i in range(problems)]
        write_records(suites, (TestSuite(f"r01-{i:06d}", pool, ("model",) * inputs) for i, pool in enumerate(pools)))
        one = Candidate("", 0, "", "", (1,), (-0.1,), True)
        write_records(candidates, (replace(one, problem_id=f"r01-{i:06d}", index=k) for i in range(problems) for k in range(samples)))
        del pools
        tracemalloc.start()
        read = read_records(suites, TestSuite)
        first = tracemalloc.get_traced_memory()[0]
        stored = read_candidates(candidates)
        groups = grouped(stored)
        places = [(c.problem_id, c.index) for c in stored]
        prompts = [place[0] for place in places]
        second = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(read) == len(groups) == problems and len(prompts) == problems * samples
    return first / problems, (second - first) / (problems * samples)


def write_rate(count: int = 3000) -> float:
    """Bytes a second at which candidates of 384 tokens are written."""
    text = "def f(x):\n    return x\n" * 60
    one = Candidate("r01-x", 0, text, text, tuple(range(384)), (-0.1234,) * 384, True)
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        write_records(Path(folder) / "candidates.jsonl", [one] * count)
        return (Path(folder) / "candidates.jsonl").stat().st_size / (time.process_time() - started)


if __name__ == "__main__":
    main()
