"""The trackers that `report_to` names. `rl.tracking.monitor` decides what is sent; here, and in `rl.tracking.wandb_tracker`, is only how.

Every point carries `round`, and `step` where there is one, as its axes. A run that is killed and goes on leaves each point once.
The only module that imports trackio.
"""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any

from rl.config.schema import Config
from rl.tracking.tracker import Point, Tracker, run_name, tracker_run_id
from rl.tracking.wandb_tracker import WandbTracker

FLUSH_SECONDS = 10  # until TensorBoard shows a figure


def place_trackio(config: Config) -> None:
    """Name trackio's folder, RUN/trackio, unless TRACKIO_DIR does. It reads the name when it is first imported, and TRL imports it."""
    if "trackio" in config.tracking.report_to:
        os.environ.setdefault("TRACKIO_DIR", str((Path(config.run_dir).expanduser() / "trackio").resolve()))


def make_trackers(config: Config, folder: Path) -> list[Tracker]:
    """One tracker for each name in `tracking.report_to`."""
    makers: dict[str, Callable[[Config, Path], Tracker]] = {
        "wandb": WandbTracker,
        "tensorboard": TensorboardTracker,
        "trackio": TrackioTracker,
    }
    return [makers[name](config, folder) for name in config.tracking.report_to]


class TensorboardTracker:
    """Event files: figures in RUN/tensorboard, texts in RUN/tensorboard/texts (TensorBoard follows one file in a folder). The axis is the
    step, or the round where there is no step.

    What a killed run wrote past its last checkpoint can be dropped only by one step for all curves (`purge_step`), and ours have two axes:
    so each start writes the figures anew, all of them, from metrics.jsonl.
    """

    delivered = 0

    def __init__(self, config: Config, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        events = folder / "tensorboard"
        for earlier in events.glob("events.out.tfevents.*"):
            earlier.unlink()
        self.figures = SummaryWriter(str(events), flush_secs=FLUSH_SECONDS)
        self.texts = SummaryWriter(str(events / "texts"), flush_secs=FLUSH_SECONDS)

    def log(self, point: Point) -> None:
        for name, value in point.values.items():
            self.figures.add_scalar(name, value, point.round if point.step is None else point.step, walltime=point.time)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], index: int) -> None:
        cells = [[str(cell).replace("|", "\\|").replace("\n", "<br>") for cell in row] for row in [columns, ["---"] * len(columns), *rows]]
        self.texts.add_text(name, "\n".join(f"| {' | '.join(row)} |" for row in cells), index)

    def artifact(self, path: Path, name: str, kind: str, aliases: Sequence[str]) -> None:
        self.texts.add_text(f"artifacts/{name}", f"{kind} {path} ({', '.join(aliases)})")

    def close(self) -> None:
        self.figures.close()
        self.texts.close()


class TrackioTracker:
    """Trackio, stored in RUN/trackio (TRACKIO_DIR, where that is set). Its axis is the step; a round's figures lie at its last step.

    Points carry `row`, the number of their line in metrics.jsonl: a kill loses those of the last half second, which are then sent again.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        place_trackio(config)
        import trackio
        import trackio.sqlite_storage
        import trackio.utils

        assert str(trackio.utils.TRACKIO_DIR) == os.environ["TRACKIO_DIR"], "trackio was imported before its folder was named"
        name = f"{run_name(config, folder)}-{tracker_run_id(folder, 'trackio')}"
        database = trackio.sqlite_storage.SQLiteStorage.get_project_db_path(config.tracking.project)
        self.trackio = trackio
        self.delivered, self.step = stored_so_far(Path(database), name)
        with redirect_stdout(io.StringIO()):  # it prints how to open its dashboard, in the middle of the progress bars
            trackio.init(
                config.tracking.project, name=name, group=config.tracking.group, config=config.model_dump(mode="json"), resume="allow"
            )

    def log(self, point: Point) -> None:
        self.step = self.step if point.step is None else point.step
        self.trackio.log({**point.values, "round": point.round, "row": point.row}, step=self.step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], index: int) -> None:
        import pandas

        frame = pandas.DataFrame([list(row) for row in rows], columns=list(columns))
        self.trackio.log({name: self.trackio.Table(dataframe=frame), "round": index}, step=self.step)

    def artifact(self, path: Path, name: str, kind: str, aliases: Sequence[str]) -> None:
        self.trackio.log({f"artifacts/{name}": f"{kind} {path} ({', '.join(aliases)})"}, step=self.step)

    def close(self) -> None:
        with redirect_stdout(io.StringIO()):
            self.trackio.finish()


def stored_so_far(database: Path, run: str) -> tuple[int, int]:
    """(lines of metrics.jsonl, last step) that trackio's database holds of a run."""
    if not database.is_file():
        return 0, 0
    query = "SELECT MAX(json_extract(metrics, '$.row')), MAX(step) FROM metrics WHERE run_name = ?"
    with closing(sqlite3.connect(database)) as connection:
        row, step = connection.execute(query, (run,)).fetchone()
    return 0 if row is None else row + 1, step or 0
