"""The page of `ucoder watch`: a run at one moment as rich renderables, the most urgent first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rl.console import duration
from rl.round_tables import quality_table
from rl.run_data import Row, known
from rl.watch.eta import run_left, stage_left
from rl.watch.reading import FunnelRow, Watched

COLUMNS = (  # of the loop's table (rl.round_tables.quality_table), those that are about the model and its labels, with the gains
    ("greedy [95 %]", "greedy_pass@1", "interval"),
    ("greedy gain", "greedy_gain", "gain"),
    ("pass@1 [95 %]", "pass@1", "interval"),
    ("gain over base", "gain", "gain"),
    ("majority@16", "majority@16", "percent"),
    ("label acc.", "label_accuracy", "percent"),
    ("entropy", "entropy", "number"),
    ("tokens", "mean_length", "tokens"),
)
ALWAYS = ("pass@1", "gain")  # columns that stand also where no round has them
TRAINING = (  # key, what it is, digits
    ("consensus", "agreement with the votes", 3),  # rewards before they are mixed: the mixed one is 0 in the mean, at every step
    ("quality", "the probe's score", 3),
    ("entropy", "token entropy, nats", 3),
    ("kl", "KL from the round's start, nats a token", 4),
    ("tokens", "tokens a rollout", 1),
    ("missing", "rollouts missing", 0),
    ("loss", "loss", 4),
)
GUARDS_SHOWN = 6
TREND_WIDTH = 24  # steps in a trend
BARS = "▁▂▃▄▅▆▇█"
STYLES = {"running": "green", "finished": "green", "silent": "yellow", "unknown": "yellow", "failed": "red", "killed": "red"}


def page(run: Watched) -> RenderableType:
    """Everything, as one renderable."""
    parts: list[RenderableType] = [_head(run), _now(run), Text()]
    if run.rows:
        columns = [column for column in COLUMNS if column[1] in ALWAYS or any(known(row, column[1]) is not None for row in run.rows)]
        parts += [quality_table(run.rows, columns, "Rounds so far (round 0: the base; gain: paired over tasks, 95 % interval)"), Text()]
        if len(run.rows) > 1 and (choice := run.final.get("choice")):  # with the base alone there is nothing to choose from
            parts[-1:] = [Text(f"best so far: {plain(choice.get('reason', ''))}", style="dim"), Text()]
    if run.funnel is not None:
        parts += [_funnel(run.funnel), Text()]
    if run.steps:
        parts.append(_training(run))
    parts += [_guards(run.guards), Text(), _times(run)]
    return Group(*parts)


def plain(text: object) -> str:
    """Text from a file, without what could steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def _head(run: Watched) -> Text:
    done = max(0, len(run.rows) - 1)
    head = Text.assemble(
        ("ucoder watch  ", "bold"),
        (plain(run.folder.resolve().name), "bold cyan"),
        ("   model ", "dim"),
        plain(run.config.get("model", "unknown")),
        ("   rounds ", "dim"),
        f"{done} of {run.rounds if run.rounds is not None else '?'} done",
    )
    if isinstance(ranks := run.progress.get("ranks"), int) and ranks > 1:
        head.append("   ranks ", style="dim").append(str(ranks))
    status = run.status
    head.append("\n").append(f"{status.state}", style=f"bold {STYLES.get(status.state, 'yellow')}")
    head.append(f"  {plain(status.text)}")
    if status.remedy:
        head.append("\ndo  ", style="bold").append(plain(status.remedy))
    return head


def _now(run: Watched) -> RenderableType:
    """The stage that runs, what of it is done, and the time that is left."""
    stage, task = run.progress.get("stage"), run.progress.get("task")
    if run.status.ended or not isinstance(stage, dict):
        finished = [name for number in sorted(run.seconds, key=int) for name in run.seconds[number]]
        text = "between stages" if run.status.state in ("running", "silent") else "no stage is known to run"
        return Text("" if run.status.ended else f"now  {text}" + (f"; the last one finished: {plain(finished[-1])}" if finished else ""))
    spent, left = max(0.0, run.now - stage["started"]), stage_left(task, run.now)
    line = Text("now  ", style="bold").append(f"round {stage['round']} · {plain(stage['name'])}", style="bold")
    grid = Table.grid(padding=(0, 2))
    cells: list[RenderableType] = [line]
    if task:
        share = 100 * task["done"] // max(1, task["total"])
        grid_bar = ProgressBar(total=max(1, task["total"]), completed=task["done"], width=24)
        counted = f"{task['done']:,}/{task['total']:,} {plain(task['unit'])}  {share} %"
        if task["name"] != stage["name"]:
            counted = f"{plain(task['name'])}: {counted}"
        if tokens := task.get("tokens"):
            counted += f"  {tokens:,} tokens, {tokens / max(run.now - task['started'], 1e-9):,.0f}/s"
        cells += [grid_bar, Text(counted), Text(f"ETA {'?' if left is None else duration(left)}", style="bold")]
    cells.append(Text(f"{duration(spent)} so far", style="dim"))
    grid.add_row(*cells)
    whole = None if run.rounds is None else run_left(run.seconds, run.rounds, stage["round"], stage["name"], spent, left)
    rest = "" if whole is None else f"\n     the whole run: about {duration(whole)} more, if stages take what they took in the last round"
    return Group(grid, Text(rest.lstrip("\n"), style="dim")) if rest else grid


def _funnel(funnel: FunnelRow) -> Text:
    def count(value: int | None, name: str) -> str:
        return f"{'–' if value is None else format(value, ',')} {name}"

    steps = (
        count(funnel.proposals, "proposals"),
        count(funnel.problems, "problems"),
        count(funnel.inputs, "inputs"),
        count(funnel.answers, "answers") + ("" if funnel.no_program is None else f" ({funnel.no_program:,} without a program)"),
        count(funnel.programs, "distinct programs"),
        count(funnel.voted, "votes with a winner"),
        count(funnel.in_band, "in the band" + (f" ({funnel.repeats:,} repeats left out)" if funnel.repeats else "")),
    )
    return Text(f"Funnel of round {funnel.round}\n", style="italic").append(" → ".join(steps), style="not italic")


def trend(values: Sequence[float | None], width: int = TREND_WIDTH) -> str:
    """The last `width` values as bars, lowest to highest; a missing one is a blank.

    >>> trend([0.0, None, 1.0])
    '▁ █'
    """
    shown = [value if value is not None and math.isfinite(value) else None for value in values[-width:]]
    there = [value for value in shown if value is not None]
    if not there:
        return ""
    low, span = min(there), max(there) - min(there)
    if span <= 1e-6 * max(1.0, abs(low)):  # rounding, not a trend
        span = math.inf
    return "".join(" " if value is None else BARS[round((value - low) / span * (len(BARS) - 1))] for value in shown)


def _table(title: str) -> tuple[Group, Table]:
    """A table with few lines, under a title that is not broken to its width."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    return Group(Text(title, style="italic"), table), table


def _training(run: Watched) -> RenderableType:
    last = run.steps[-1]
    grpo = run.config.get("grpo")
    total = grpo.get("steps") if isinstance(grpo, dict) and last["stage"] == "grpo" else None
    name = "GRPO" if last["stage"] == "grpo" else "SFT"
    at = f"step {last['step']}" + (f" of {total}" if total is not None else "")
    group, table = _table(f"Training: {name} of round {last['round']}, {at}")
    for heading in ("figure", "first", "last"):
        table.add_column(heading, justify="left" if heading == "figure" else "right", no_wrap=True)
    table.add_column("trend", no_wrap=True)
    for key, title, digits in TRAINING:
        values = [known(row, key) for row in run.steps]
        there = [value for value in values if value is not None]
        if there:
            table.add_row(title, f"{there[0]:z,.{digits}f}", f"{there[-1]:z,.{digits}f}", trend(values))
    return group


def _guards(events: Sequence[Row]) -> Text:
    if not events:
        return Text("Guards  ", style="italic").append("none has acted", style="not italic green")
    text = Text(f"Guards that acted: {len(events)}", style="italic")
    for event in events[-GUARDS_SHOWN:]:
        action = str(event.get("guard_action", "?"))
        hard = action in ("stop", "roll_back", "end_round")
        text.append(f"\n  round {event['round']}  ", style="not italic")
        text.append(plain(action.replace("_", " ")), style="not italic bold red" if hard else "not italic bold yellow")
        text.append(f"  {plain(event.get('cause', event.get('guard', '')))}", style="not italic")
    return text


def _times(run: Watched) -> RenderableType:
    """One row a stage: seconds in each round, and the most memory that it held."""
    numbers = sorted(run.seconds, key=int)
    head = "Time by stage" + (f"; memory at most {run.peak_memory / 1024:.1f} GB" if run.peak_memory else "")
    if run.progress.get("memory_mb") and not run.status.ended:
        head += f", {run.progress['memory_mb'] / 1024:.1f} GB now"
    if not numbers:
        return Text("Time by stage  ", style="italic").append("no stage is finished yet", style="not italic")
    group, table = _table(head)
    table.add_column("stage", no_wrap=True)
    for heading in [*(f"round {number}" for number in numbers), *(["memory"] if run.memory else [])]:
        table.add_column(heading, justify="right", no_wrap=True)
    for name in dict.fromkeys(name for number in numbers for name in run.seconds[number]):
        cells = [_seconds(run.seconds[number].get(name)) for number in numbers]
        held = [memory for stages in run.memory.values() if (memory := stages.get(name))]
        table.add_row(plain(name), *cells, *([f"{max(held) / 1024:.1f} GB" if held else "–"] if run.memory else []))
    table.add_row("total", *(_seconds(sum(run.seconds[number].values())) for number in numbers), style="bold")
    return group


def _seconds(value: Any) -> str:
    return "–" if value is None else duration(float(value))
