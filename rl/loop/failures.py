"""What a run that cannot go on says: one screen with what happened and what to do, in place of a traceback.

Mistakes of the user's (`UserError`) end before any work and with status 2 (`rl.console`); these end a run midway, with status 1. What
is finished is kept, and the same command goes on from there.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from safetensors import SafetensorError

from probing.models.loading import ModelError
from probing.samplers.base import PromptError, SamplerError
from rewards.sandbox import SandboxError
from rl.loop.round import RoundError
from rl.ranks.ranks import EXIT_LOST, RankError
from rl.run import DOING
from rl.scoring.scoring import ScoringError

EXIT_FAILED = 1
GO_ON = "what is finished is kept; the same command goes on from there"
SHORTER = (
    "shorten the statement that it is about, or the worked examples of the prompt set; or lower the max_new_tokens of what is asked, raise "
    "sampling.vllm.max_length, or take a model of longer context, in another --run_dir"
)
FULL = (errno.ENOSPC, errno.EDQUOT)
# what libraries say that write by themselves
FULL_WORDS = ("No space left on device", "os error 28", "Disk quota exceeded", "PytorchStreamWriter failed writing file")


@contextmanager
def failure_screen() -> Iterator[None]:
    """Turn the failures that a run knows into a screen and an exit status. Anything else is a defect and keeps its traceback."""
    try:
        yield
    except RankError as error:
        _stop("another rank is lost", str(error), GO_ON, EXIT_LOST)
    except (SamplerError, SandboxError, ModelError, RoundError, ScoringError) as error:
        _stop(_NAMES[type(error)], str(error), GO_ON, EXIT_FAILED)
    except PromptError as error:
        doing = doing_of(error)
        _stop(f"a prompt cannot be asked{f', in {doing}' if doing else ''}", str(error), SHORTER, EXIT_FAILED)
    except torch.OutOfMemoryError as error:
        doing = doing_of(error)
        _stop(f"a device's memory is full{f', in {doing}' if doing else ''}", str(error), f"{_smaller(doing)}; {GO_ON}", EXIT_FAILED)
    except (OSError, RuntimeError, SafetensorError) as error:
        if not is_full(error):
            raise
        where = getattr(error, "filename", None)
        _stop(
            "the disk is full",
            f"{where}: {getattr(error, 'strerror', None) or error}" if where else str(error),
            f"make room; {GO_ON}",
            EXIT_FAILED,
        )


_NAMES = {
    SamplerError: "the model cannot be sampled from",
    SandboxError: "the sandbox fails",
    ModelError: "a checkpoint cannot be loaded",
    RoundError: "the round cannot go on",
    ScoringError: "too many rollouts are missing",
}


_OPTIMIZER = "lower {0}.micro_batch (to a divisor of a device's share of the batch), or set {0}.gradient_checkpointing: true"
# What takes less memory, by what the run was doing; all of it may change within a run (`rl.config.run_folder`).
_SMALLER = {
    "grpo": _OPTIMIZER.format("grpo") + "; with grpo.rollouts: vllm_colocate, lower grpo.vllm_memory",
    "sft": _OPTIMIZER.format("sft"),
    "proposer": f"{_OPTIMIZER.format('grpo')} (with consolidation: sft, the same keys of sft)",
}


def _smaller(doing: str) -> str:
    return _SMALLER.get(doing, "lower sampling.batch_size; with sampling.backend: vllm, sampling.vllm.gpu_memory")


def doing_of(error: BaseException) -> str:
    """What the run was doing when the error came (the name of its bar, "grpo" or "solutions"); "" where that is not known."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(DOING)]
    return notes[0].removeprefix(DOING) if notes else ""


def is_full(error: BaseException) -> bool:
    """Whether an error, or what it came from, is a full disk."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in FULL:
            return True
        if any(words in str(chain) for words in FULL_WORDS):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def _stop(what: str, why: str, remedy: str, status: int) -> None:
    lines = ("ucoder stopped", f"what   {what}", "why    " + why.replace("\n", "\n" + " " * 7), f"do     {remedy}")
    print(*lines, sep="\n", file=sys.stderr, flush=True)
    raise SystemExit(status)
