"""What only a GPU can show, in one go: `make gpu-check`. Ends with status 2 and one screen where there is no CUDA device.

    python -m bench.gpu_check [--only tests throughput] [--out runs/gpu-check]

The tests marked `gpu`; the bundled run in bf16; a larger model pretrained in minutes by the same script; tokens/s of sampling, hidden
states and training on it (`bench/results/throughput.json`). A step whose libraries are missing is named and passed over; the others run.
All of it on one GPU: the first that CUDA_VISIBLE_DEVICES allows, else the machine's first.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
            "throughput", "tokens/s, and model FLOPs utilisation", (), ("-m", "bench.throughput", "--device", "cuda", "--model", str(model))
        ),
    ]


def one_gpu() -> str:
    """The GPU that is checked, as CUDA_VISIBLE_DEVICES has it: TRL refuses to train in a process that sees several."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def check(chosen: Sequence[Step], start: Callable[[Step], int], there: Callable[[str], bool] = is_there) -> bool:
    """Run each step, and say at the end what each gave; whether none failed. start: runs a step and returns its status."""
    told, well = [], True
    for step in chosen:
        lacking = [module for module in step.needs if not there(module)]
        if lacking:
            told.append(f"passed over  {step.text}: not installed: {', '.join(lacking)} (pip install {' '.join(lacking)})")
            continue
        print(f"== {step.text}", flush=True)
        started = time.monotonic()
        status = start(step)
        well &= status == 0
        told.append(
            f"{'done       ' if status == 0 else 'FAILED     '}  {step.text}: {duration(time.monotonic() - started)}, status {status}"
        )
    print("", *told, sep="\n")
    return well


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[step.name for step in steps(Path())], help="these steps")
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
        chosen = [step for step in steps(args.out) if args.only is None or step.name in args.only]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": one_gpu()}
        return 0 if check(chosen, lambda step: subprocess.run([sys.executable, *step.words], cwd=ROOT, env=environment).returncode) else 1


if __name__ == "__main__":
    raise SystemExit(main())
