"""A run that is killed with all its processes, and then goes on two steps before: python killed_run.py RUN TRACKER STEPS kill|go-on."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from rl.config.schema import load_config
from rl.tracking.monitor import Monitor
from tests.rl.tracking.test_monitor import GRPO_FIGURES, GUARD_ACTION, summary_row

REPEATED = 2  # steps since the last checkpoint when the kill comes


def main(folder: Path, tracker: str, steps: int, kill: bool) -> None:
    config = load_config(None, ["--tracking.report_to", f"[{tracker}]", "--run_dir", str(folder)])
    with Monitor(folder, config) as monitor:
        if kill:
            monitor.round(summary_row(0), 0)
            monitor.log("problems", 1, {"kept": 4})
        log = monitor.training_log(1)
        for step in range(1, steps + 1) if kill else range(steps + 1 - REPEATED, steps + 3):
            log({"step": step, **GRPO_FIGURES})
            if step == steps:
                log({**GUARD_ACTION, "step": step})
        if kill:
            time.sleep(1.0)  # a kill may come any time after a figure was logged; trackio stores within half a second
            os.killpg(0, signal.SIGKILL)
        monitor.round(summary_row(1), 1)
        if tracker == "tensorboard":
            monitor.table("programs/clusters", ["program"], [["return 1"]], 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "kill")
