"""The whole loop. Reads top to bottom:

    problems → suites → candidates → executions → clusters → probe scores → rewards → update → eval → next round

    accelerate launch --quiet rl/train.py --config configs/seedling.yaml [--rounds 1 --grpo.learning_rate 1e-5 ...]

Each stage reads what earlier ones left in the round, adds its own, and leaves one file (`rl.loop.round`). Under GRPO the candidates are
voters: what `update_policy` trains on are new rollouts of the policy, scored by how far the candidates agree with them (docs/method.md,
"Voters and rollouts").

Without --config it reads configs/seedling.yaml, the laptop's run.
Killed anywhere, the same command goes on at the first unfinished stage, to the same result.
"""

from __future__ import annotations

import sys

from probing.memory import keep_freed_memory
from rewards.text import print_utf8
from rl.config.schema import config_from_argv
from rl.console import error_screen
from rl.tracking.trackers import place_trackio

USAGE = """usage: accelerate launch --quiet rl/train.py [--config FILE] [--KEY VALUE ...]

Run the loop of a config (default: configs/seedling.yaml). The same command goes on with a run that was interrupted.
  ucoder config --keys     every key with its meaning
  ucoder config FILE       a config, checked and resolved
  ucoder plan FILE         what it costs
  ucoder watch RUN_DIR     what a run is doing"""


def main(argv: list[str]) -> int:
    """Run the loop of the config that the arguments name; returns the exit status."""
    print_utf8()
    keep_freed_memory()
    if {"-h", "--help"} & set(argv):
        print(USAGE)
        return 0
    with error_screen():
        config = config_from_argv(argv)
        place_trackio(config)
        from rl.loop.agreement import measure_agreement
        from rl.loop.asking import draw_candidates, make_problems, make_suites
        from rl.loop.choice import start_policy
        from rl.loop.evaluation import evaluate_policy, finish
        from rl.loop.failures import failure_screen
        from rl.loop.labelling import execute_candidates, fit_probe, take_votes
        from rl.loop.round import Round
        from rl.loop.teacher import choose_teacher
        from rl.loop.update import update_policy
        from rl.run import Run

        with failure_screen(), Run(config) as run:
            evaluate_policy(run, 0, run.model)
            for index in range(1, config.rounds + 1):
                current = Round(run, index, start_policy(run, index))
                choose_teacher(current)
                make_problems(current)
                make_suites(current)
                draw_candidates(current)
                execute_candidates(current)
                take_votes(current)
                fit_probe(current)
                policy = update_policy(current)
                measure_agreement(current, policy)
                evaluate_policy(run, index, policy)
                if current.stopped():
                    break
            finish(run)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
