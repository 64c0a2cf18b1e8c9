"""Which source files a candidate passes through in one GRPO round: `python -m tests.loop.candidate_path RUN_DIR OUT`, a line a file.

A file counts where it defines one of the candidate's forms, or where one of its functions receives or returns one while the
round runs, alone or in a list, tuple, mapping or stored file. The trace goes from the drawing of candidates to the end of the
update, in one process; the sandbox's processes get text, and are not seen.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from rl.loop import asking, update
from rl.train import main

ROOT = Path(__file__).parents[2]
PACKAGES = ("probing", "rewards", "rl", "remote")
FORMS = {  # by module: a name alone may stand for something else elsewhere
    "probing.records": {"Candidate"},
    "probing.samplers.base": {"Completion"},
    "rewards.clusters.clustering": {"Clustering"},
    "rewards.clusters.signatures": {"OutcomeMatrix"},
    "rewards.mixed": {"RewardBreakdown"},
    "rewards.records": {"Execution", "Program"},
    "rl.labels.bank": {"CandidateVotes", "ProblemBank"},
    "rl.labels.candidate_scores": {"CandidateScores"},
    "rl.round_files": {"BankProgram", "Verdict"},
    "rl.scoring.scores": {"BatchScores", "RolloutScore"},
    "rl.scoring.scoring": {"_ExecutedRollout"},
    "rl.stored": {"Stored"},  # candidates or bank programs that stay in their file
}


class Trace:
    """A profile function: notes the files whose functions handle a form, and the first function of each."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[str, str]] = {}  # file -> function, form
        self._files: dict[CodeType, str] = {}  # "" for files of others

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        if event not in ("call", "return"):
            return
        code = frame.f_code
        file = self._files.get(code)
        if file is None:
            path = Path(code.co_filename)
            ours = path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PACKAGES
            file = self._files[code] = str(path.relative_to(ROOT)) if ours else ""
        if not file or file in self.found:
            return
        values = [value] if event == "return" else [frame.f_locals[name] for name in code.co_varnames[: code.co_argcount] if name != "self"]
        for one in values:
            if form := form_of(one):
                self.found[file] = (code.co_qualname, form.__name__)
                self.found.setdefault(file_of(form), ("defines", form.__name__))
                return


def file_of(kind: type) -> str:
    """The file that defines a class of the project."""
    return str(Path(str(sys.modules[kind.__module__].__file__)).relative_to(ROOT))


def form_of(value: Any, depth: int = 3) -> type | None:
    """The form that a value is or holds first; None for none."""
    kind = type(value)
    if kind.__name__ in FORMS.get(kind.__module__, ()):
        return kind
    if depth and isinstance(value, list | tuple | Mapping):
        inner = list(value.values()) if isinstance(value, Mapping) else value
        return next((found for one in inner[:4] if (found := form_of(one, depth - 1))), None)
    return None


def trace_round(run_dir: str) -> dict[str, tuple[str, str]]:
    """The files of one round, each with the function that first handled a form there, and the form."""
    trace, draw, train = Trace(), asking.draw_candidates, update.update_policy

    def first(*args: Any) -> None:
        threading.setprofile(trace)
        sys.setprofile(trace)
        draw(*args)

    def last(*args: Any) -> str:
        try:
            return train(*args)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    asking.draw_candidates, update.update_policy = first, last
    try:
        status = main(["--config", str(Path(__file__).with_name("path.yaml")), "--run_dir", run_dir])
    finally:
        asking.draw_candidates, update.update_policy = draw, train
    if status:
        raise SystemExit(status)
    return trace.found


if __name__ == "__main__":
    lines = [f"{file} {function} {form}\n" for file, (function, form) in sorted(trace_round(sys.argv[1]).items())]
    Path(sys.argv[2]).write_text("".join(lines), encoding="utf-8")
