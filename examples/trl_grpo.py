"""GRPO on execution consensus alone, by TRL's own trainer: no expected output takes part. About a minute on two CPU cores.

    python examples/trl_grpo.py                 # the bundled model; --steps 40 for more

The problems are those of seedling-bench's development set: statements and test inputs. Their reference solutions are read by `accuracy`
only, a second reward function of weight 0: TRL logs it, and trains nothing on it. docs/judge-in-trainers.md explains the parts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

import seedling
from probing.reading import read_program
from rewards import ConsensusReward
from rewards.reward_batch import completion_text
from rewards.sandbox import Program, Sandbox

SEEDLING = Path(seedling.__file__).parent
PROMPT = "Solve this problem in Python. Answer with a code block.\n\n{description}\n\n```python\n{interface}\n```"  # as it was pretrained
TOKENS = 128  # of a completion, at most
SHOWN = 5  # steps that the first and the last figures are means of


def problems(limit: int) -> Dataset:
    """Rows of prompt, entry and inputs, and of references that only `accuracy` reads."""
    lines = (SEEDLING / "dev.jsonl").read_text(encoding="utf-8").splitlines()[:limit]
    rows = [json.loads(line) for line in lines]
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": PROMPT.format(**row)}],
                "entry": row["entry"],
                "inputs": row["inputs"],
                "reference": row["reference"],
            }
            for row in rows
        ]
    )


def accuracy_in(sandbox: Sandbox) -> Callable[..., list[float | None]]:
    """A reward function for the log: 1 for completions that return on every input what the reference returns."""

    def accuracy(completions: list[Any], entry: list[str], inputs: list[list[str]], reference: list[str], **_: Any) -> list[float | None]:
        answers = [read_program(completion_text(completion), name) or "" for completion, name in zip(completions, entry, strict=True)]
        ran = [
            list(sandbox.run(Program(code, name, tuple(x)) for code, name, x in zip(codes, entry, inputs, strict=True)))
            for codes in (answers, reference)
        ]
        return [
            None if got.missing or wanted.missing else float(all(a.agrees(b) for a, b in zip(got.outcomes, wanted.outcomes, strict=True)))
            for got, wanted in zip(*ran, strict=True)
        ]

    return accuracy


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=int, default=12, help="optimizer steps of 8 problems with 8 samples each (default 12)")
    options.add_argument("--problems", type=int, default=64, help="problems to train on (default 64)")
    options.add_argument("--out", default="runs/trl_grpo", help="folder for the trainer's files")
    args = options.parse_args()

    with Sandbox() as sandbox, ConsensusReward(max_completion_length=TOKENS) as consensus:
        trainer = GRPOTrainer(
            model=str(SEEDLING / "weights"),
            reward_funcs=[consensus, accuracy_in(sandbox)],
            args=GRPOConfig(
                output_dir=args.out,
                reward_weights=[1.0, 0.0],
                num_generations=8,
                per_device_train_batch_size=64,
                max_completion_length=TOKENS,
                max_steps=args.steps,
                learning_rate=4e-4,
                lr_scheduler_type="constant",
                logging_steps=1,
                save_strategy="no",
                report_to=[],
                use_cpu=True,
                bf16=False,
            ),
            train_dataset=problems(args.problems),
        )
        trainer.train()
    logged = [record for record in trainer.state.log_history if "reward" in record]
    for title, name in (("consensus", "rewards/ConsensusReward/mean"), ("accuracy", "rewards/accuracy/mean")):
        values = [record[name] for record in logged]
        print(f"{title:<10} first {SHOWN} steps {mean(values[:SHOWN]):.3f}   last {SHOWN} steps {mean(values[-SHOWN:]):.3f}")


if __name__ == "__main__":
    main()
