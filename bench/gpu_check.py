"""What only a GPU can show, in one go: `make gpu-check`. Ends with status 2 and one screen where there is no CUDA device.

    python -m bench.gpu_check [--only tests throughput] [--out runs/gpu-check]
    python -m bench.gpu_check --model MODEL --jobs 6     # a real model too (folder, .gguf or Hub id): evaluations, skills, the round

The tests marked `gpu`; the bundled run in bf16; a larger model pretrained in minutes by the same script; tokens/s of sampling, hidden
states and training (`bench/results/throughput.json`). With --model also: its skills, greedy decoding and 16 samples on HumanEval+ and
MBPP+, and one round with its controls (`bench.real.run`). Steps that do not wait for one another share the GPU, --jobs at once. A step
whose libraries are missing is named and passed over; the others run. All of it on one GPU: the first that CUDA_VISIBLE_DEVICES allows,
else the machine's first.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from rl.console import UserError, duration, error_screen

ROOT = Path(__file__).resolve().parent.parent
TRAINING = ("accelerate", "datasets", "datasketch", "jinja2", "peft", "pydantic", "pyseccomp", "sklearn", "trl")


@dataclass(frozen=True)
class Step:
    """needs: modules without which it cannot run. words: its command, after the interpreter."""

    name: str
    text: str
    needs: tuple[str, ...]
    words: tuple[str, ...]
    after: str | None = None  # the step that it waits for


def steps(out: Path) -> list[Step]:
    run, model = out / "run", out / "model"
    launcher = ("-m", "accelerate.commands.launch", "--quiet", "--config_file", "configs/accelerate/one_gpu.yaml")
    launch = (*launcher, "--gpu_ids", one_gpu(), "rl/train.py")
    trackers = () if is_there("wandb") else ("--tracking.report_to", "[]")
    return [
        Step("tests", "the tests marked gpu", ("pytest",), ("-m", "pytest", "-m", "gpu", "-rs", "tests/gpu")),
        Step("run", "the bundled run in bf16", TRAINING, (*launch, "--config", "configs/seedling.yaml", "--run_dir", str(run), *trackers)),
        Step(
            "pretrain",
            "a larger model pretrained",
            ("tqdm",),
            ("-m", "seedling.pretrain", "--width", "512", "--layers", "8", "--documents", "60000", "--out", str(model)),
        ),
        Step(
            "throughput",
            "tokens/s, and model FLOPs utilisation",
            (),
            ("-m", "bench.speed.throughput", "--device", "cuda", "--model", str(model)),
        ),
    ]


def real_steps(model: str, out: Path) -> list[Step]:
    """Evaluations, skills and the round on a real model."""
    evaluate = ("-m", "rl.cli", "eval", "--model", model, "--benchmarks", "humaneval_plus,mbpp_plus", "--batch_size", "512", "--no-skills")
    sampled = [
        Step(
            f"samples_{temperature}",
            f"16 samples a task at temperature {temperature}",
            (),
            (
                *evaluate,
                *("--samples", "16", "--temperature", temperature, "--json", str(out / f"base_t{temperature}.json")),
                *("--samples_out", str(out / f"base_t{temperature}.jsonl.gz")),
            ),
        )
        for temperature in ("0.8", "0.2")
    ]
    return [
        Step("skills", "the skills of the stages", (), ("-m", "rl.cli", "eval", "--model", model, "--benchmarks", "", "--skills",
             "--batch_size", "512", "--max_new_tokens", "320", "--json", str(out / "skills.json"))),
        Step("greedy", "greedy decoding", (), (*evaluate, "--temperature", "0", "--json", str(out / "base_greedy.json"),
             "--samples_out", str(out / "base_greedy.jsonl.gz"))),
        *sampled,
        Step("real_run", "one round with its controls", TRAINING, ("-m", "bench.real.run", "--model", model, "--jobs", "4",
             "--out", str(out / "real"), "--json", str(out / "real_run.json"))),
        Step("real_throughput", "tokens/s on that model", (), ("-m", "bench.speed.throughput", "--device", "cuda", "--model", model,
             "--micro-batch", "32"), after="real_run"),
    ]  # fmt: skip


def one_gpu() -> str:
    """The GPU that is checked, as CUDA_VISIBLE_DEVICES has it: TRL refuses to train in a process that sees several."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def note_end(ended: threading.Event, _done: Future[None]) -> None:
    """A step's thread has ended, however it did: those that wait for it may start."""
    ended.set()


def check(chosen: Sequence[Step], start: Callable[[Step], int], there: Callable[[str], bool] = is_there, jobs: int = 1) -> bool:
    """Run the steps, `jobs` at once, and say at the end what each gave; whether none failed. start: runs a step and returns its status."""
    told: dict[str, str] = {}
    ended = {step.name: threading.Event() for step in chosen}
    failed: list[str] = []

    def run(step: Step) -> None:
        if step.after in ended:
            ended[step.after].wait()
        print(f"== {step.text}", flush=True)
        started = time.monotonic()
        status = start(step)
        if status:
            failed.append(step.name)
        word = "FAILED     " if status else "done       "
        told[step.name] = f"{word}  {step.text}: {duration(time.monotonic() - started)}, status {status}"
        print(told[step.name], flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        for step in sorted(chosen, key=lambda step: step.after is not None):  # steps that wait for others come last
            lacking = [module for module in step.needs if not there(module)]
            if lacking:
                told[step.name] = f"passed over  {step.text}: not installed: {', '.join(lacking)} (pip install {' '.join(lacking)})"
                ended[step.name].set()
            else:
                pool.submit(run, step).add_done_callback(partial(note_end, ended[step.name]))
    print("", *(told.get(step.name, f"FAILED       {step.text}: it was not run") for step in chosen), sep="\n")
    return not failed and len(told) == len(chosen)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [step.name for step in (*steps(Path()), *real_steps("", Path()))]
    parser.add_argument("--only", nargs="+", choices=names, help="these steps")
    parser.add_argument("--model", help="a real model to check too: checkpoint folder, .gguf file or Hub id")
    parser.add_argument("--jobs", type=int, default=1, help="steps at once (default 1)")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "gpu-check", help="folder of the run and of the larger model")
    args = parser.parse_args(argv)
    with error_screen():
        if not torch.cuda.is_available():
            build = torch.version.cuda or "none: a CPU build"
            raise UserError(
                "there is no CUDA device",
                f"torch {torch.__version__} (CUDA: {build})",
                "run it on a GPU; `make test` is what a CPU can show",
            )
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}", flush=True)
        planned = [*steps(args.out), *(real_steps(args.model, args.out) if args.model else [])]
        chosen = [step for step in planned if args.only is None or step.name in args.only]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": one_gpu()}
        args.out.mkdir(parents=True, exist_ok=True)

        def start(step: Step) -> int:
            if args.jobs == 1:
                return subprocess.run([sys.executable, *step.words], cwd=ROOT, env=environment).returncode
            with (args.out / f"{step.name}.log").open("ab") as log:  # several at once would mix their lines
                return subprocess.run([sys.executable, *step.words], cwd=ROOT, env=environment, stdout=log, stderr=log).returncode

        return 0 if check(chosen, start, jobs=args.jobs) else 1


if __name__ == "__main__":
    raise SystemExit(main())
