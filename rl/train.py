"""The whole loop. Reads top to bottom:

    problems → suites → candidates → executions → clusters → probe scores → rewards → update → eval → next round

    accelerate launch --quiet rl/train.py --config configs/seedling.yaml [--rounds 1 --grpo.learning_rate 1e-5 ...]

Under GRPO the candidates are voters: what `train` updates on are new rollouts of the policy, scored by how far the candidates agree with
them (docs/method.md, "Voters and rollouts").

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


def main(argv: list[str]) -> int:
    print_utf8()
    keep_freed_memory()
    with error_screen():
        config = config_from_argv(argv)
        place_trackio(config)
        from rl.loop.choice import measure_agreement, start_policy
        from rl.loop.evaluation import evaluate_policy, finish
        from rl.loop.failures import failure_screen
        from rl.loop.round import Round
        from rl.loop.update import train
        from rl.run import Run

        with failure_screen(), Run(config) as run:
            evaluate_policy(run, 0, run.model)
            for index in range(1, config.rounds + 1):
                round = Round(run, index, start_policy(run, index))
                problems = round.problems()
                suites = round.suites(problems)
                candidates = round.candidates(problems, suites)
                executions = round.executions(problems, suites, candidates)
                verdicts = round.verdicts(problems, suites, candidates, executions)
                probe = round.probe(problems, suites, candidates, executions, verdicts)
                policy = str(train(round, problems, suites, candidates, executions, verdicts, probe))
                measure_agreement(round, policy)
                evaluate_policy(run, index, policy)
                if round.stopped():
                    break
            finish(run)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
