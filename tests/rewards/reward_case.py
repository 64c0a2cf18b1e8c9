"""One rank of a `ConsensusReward` over several processes: `python tests/rewards/reward_case.py OUT RANK COUNT [bad]`.

Leaves OUT/rank_R.json with the rewards of its slice, or with what it raised. `bad`: the last rank's inputs cannot be read.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from rewards import ConsensusReward
from rewards.sandbox import SandboxConfig

# Three groups of four: over slices of five and seven rows the second group straddles.
PROMPTS = ["a"] * 4 + ["b"] * 4 + ["c"] * 4
BODIES = ["2 * x", "x * x", "x + x", "x", "x + 1", "1 + x", "x - 1", "x + 2", "x ** 3", "x * x * x", "-x", "1 / 0"]
COMPLETIONS = [f"def f(x):\n    return {body}" for body in BODIES]
COLUMNS: dict[str, Any] = {"entry": ["f"] * 12, "inputs": [[[1], [2], [5]]] * 12}


def main(out: Path, rank: int, count: int, bad: bool) -> None:
    import torch.distributed

    store = torch.distributed.FileStore(str(out / "store"), count)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=timedelta(seconds=60))
    mine = slice(0, 5) if rank == 0 else slice(5, 12)
    columns = {name: values[mine] for name, values in COLUMNS.items()}
    if bad and rank == count - 1:
        columns["inputs"] = ["?"] * len(columns["inputs"])
    with ConsensusReward(sandbox=SandboxConfig(workers=1)) as reward:
        try:
            got: Any = reward(PROMPTS[mine], COMPLETIONS[mine], **columns)
        except ValueError as error:
            got = str(error)
    (out / f"rank_{rank}.json").write_text(json.dumps(got))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] == ["bad"])
