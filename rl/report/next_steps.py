"""What to do next with a run: the few steps that its verdict and checks ask for, the most urgent first, each with its command."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass

from rl.report.checks import Check
from rl.report.conclusion import Conclusion
from rl.run_data import RunData, again, known, launch_command, stopped

SHOWN = 4
MANY_ROUNDS, FEW_APART, ENOUGH_APART = 4, 48, 96  # from so many rounds on, few problems cannot tell their checkpoints apart
CODE_BENCHMARKS = ("humaneval_plus", "mbpp_plus")


@dataclass(frozen=True)
class Step:
    """One thing to do, and the command that does it (empty: none)."""

    text: str
    command: str = ""


def next_steps(run: RunData, conclusion: Conclusion) -> list[Step]:
    """At most `SHOWN` steps."""
    failed = {check.title: check for check in conclusion.checks if check.status in ("bad", "warn")}
    steps = [
        *_unfinished(run),
        *_stopped(run),
        *_of_conclusion(run, conclusion),
        *_labels(run, conclusion),
        *_choice(run),
        *_repairs(run, failed),
    ]
    if conclusion.status == "good" and run.finished:
        steps += _onwards(run)
    return steps[:SHOWN]


def _unfinished(run: RunData) -> list[Step]:
    if run.finished:
        return []
    following = len(run.rows)
    text = (
        f"Round {following} of {run.config.get('rounds', '?')} is not evaluated yet. See what runs now, and how it goes on if it was ended:"
    )
    return [Step(text, f"ucoder watch {_quoted(run)}")]


def _stopped(run: RunData) -> list[Step]:
    ended = [event for event in run.guard_events if event.get("guard") != "between_rounds"]  # which only says where the next round starts
    hard = [event for event in ended if event.get("guard_action") in ("stop", "roll_back")]
    if not hard:
        return []
    cause = str(hard[-1].get("cause", hard[-1].get("guard")))
    return [
        Step(f"A guard ended training ({cause}). Start again more gently, in a new folder:", f"{again(run)} {_halved_rate(run)}".strip())
    ]


def _of_conclusion(run: RunData, conclusion: Conclusion) -> list[Step]:
    """Where the model got worse, or nobody can say."""
    if conclusion.status == "bad":
        kept = f"round {run.final['round']} is the best by its votes, and still worse than the base"
        return [Step(f"Do not use this result: {kept}. Look at the labels and the guards below before another run.")]
    if conclusion.status == "warn" and run.finished:
        evals = run.config.get("evals") or {}
        seen = evals.get("benchmarks") or ()
        if evals.get("limit"):
            text, command = f"on all tasks (evals.limit is {evals['limit']})", f"--benchmarks {','.join(seen or CODE_BENCHMARKS)}"
        else:
            unseen = [name for name in CODE_BENCHMARKS if name not in seen]
            text, command = "on more benchmarks", f"--benchmarks {','.join([*seen, *unseen])}"
        text = f"The interval includes zero: before more training measure the result {text}, the base too, and take ucoder compare:"
        return [Step(text, f"ucoder eval --model {_best(run)} {command} --json result.json")]
    return []


def _labels(run: RunData, conclusion: Conclusion) -> list[Step]:
    """Labels that nobody has looked at, or that are wrong."""
    about = [check for check in conclusion.checks if check.first and "label" in check.title]
    if any(check.status == "unknown" for check in about):
        text = "Nobody knows yet how many labels are right. Mark some under Problems and votes, below, export the marks, then:"
        return [Step(text, f"ucoder audit {_quoted(run)} marks.json")]
    _, marked = run.marked
    if any(check.status == "warn" for check in about) and marked.get("accuracy") is not None and not marked["enough"] and marked["left"]:
        text = f"Too few labels are marked to tell: mark about {marked['left']} more under Problems and votes, then:"
        return [Step(text, f"ucoder audit {_quoted(run)} marks.json")]
    if any(check.status in ("bad", "warn") for check in about):
        text = "Labels are weak: draw more voters (solutions.samples), or train on clearer votes only (raise solutions.band_low)."
        return [Step(text)]
    return []


def _choice(run: RunData) -> list[Step]:
    """A choice among many checkpoints that rests on few problems."""
    apart, rounds = (run.final.get("choice") or {}).get("problems"), len(run.rows) - 1
    if not apart or apart >= FEW_APART or rounds < MANY_ROUNDS:
        return []
    drawn = (run.config.get("problems") or {}).get("count", 0), (run.config.get("choice") or {}).get("proposals", 0)
    extra = math.ceil(ENOUGH_APART / apart * (drawn[1] or sum(drawn) / 6))  # what is kept apart: the yield of these, else a sixth
    if not extra:
        return []
    text = f"{rounds} rounds were compared on {apart} problems, which is too few to tell them apart. Next time keep more of them:"
    options = f"--choice.problems {ENOUGH_APART} --choice.proposals {extra} --choice.temperature 0"
    return [Step(text, f"{again(run)} {options}")]


def _repairs(run: RunData, failed: dict[str, Check]) -> list[Step]:
    steps = []
    if "Did the sandbox hold?" in failed or "Did every answer get its verdict?" in failed:
        text = "Outcomes were lost to the machine, not to the model: give the sandbox fewer workers or more memory, then evaluate again."
        steps.append(Step(text))
    evals = run.config.get("evals", {})
    names = ",".join(evals.get("benchmarks") or CODE_BENCHMARKS)
    if "Was more gained than sharpness?" in failed and known(run.final, "greedy_pass@1") is None:
        text = "The gain may be sharper sampling alone. Greedy answers tell; the same for the base, then ucoder compare:"
        steps.append(Step(text, f"ucoder eval --model {_best(run)} --benchmarks {names} --temperature 0 --json result.json"))
    if "Was breadth kept?" in failed:
        few = f" on {evals['sampled']} tasks" if evals.get("sampled") else ""
        text = f"pass@16 fell{few}. Is it more than chance? On all tasks, the base too, then ucoder compare --figure pass@16:"
        steps.append(Step(text, f"ucoder eval --model {_best(run)} --benchmarks {names} --samples 32 --json result.json"))
    if "Did the probe know more than length?" in failed and known(run.final, "probe_weight"):
        steps.append(Step("The probe knows little more than length: leave it out with --reward.w_quality 0."))
    return steps


def _onwards(run: RunData) -> list[Step]:
    seen = set((run.config.get("evals") or {}).get("benchmarks") or ())
    unseen = [name for name in CODE_BENCHMARKS if name not in seen]
    steps = []
    if unseen:
        text = "Measure the result on benchmarks that this run has not looked at:"
        steps.append(Step(text, f"ucoder eval --model {_best(run)} --benchmarks {','.join(unseen)}"))
    rounds = run.config.get("rounds")
    if isinstance(rounds, int) and not stopped(run.rows) and run.final.get("round") == rounds:
        steps.append(Step("The last round is the best one: another may gain more.", launch_command(run.folder, "--rounds", rounds + 1)))
    return steps


def _quoted(run: RunData) -> str:
    return shlex.quote(str(run.folder))


def _best(run: RunData) -> str:
    """The checkpoint that the run ends with."""
    return shlex.quote(str(run.folder / "best"))


def _halved_rate(run: RunData) -> str:
    rate = (run.config.get("grpo") or {}).get("learning_rate")
    return f"--grpo.learning_rate {rate / 2:g}" if isinstance(rate, (int, float)) else ""
