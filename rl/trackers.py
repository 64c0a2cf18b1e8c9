"""The trackers that `report_to` names, behind one small interface. The only module that imports wandb or trackio.

`rl.monitor` decides what is sent; here is only how. Every point carries `round`, and `step` where there is one, as its axes.
"""

from __future__ import annotations

import io
import json
import netrc
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlparse

from rl.config import Config
from rl.console import UserError
from rl.run_folder import write_atomically

# metric groups by their axis; a name is GROUP/METRIC
STEP_GROUPS = ("grpo", "sft", "guards", "audit", "outcomes")
ROUND_GROUPS = (
    *("eval", "problems", "funnel", "suites", "sampling", "sandbox", "consensus", "probe"),
    *("held_out", "choice", "seconds", "spent", "programs"),
)
WandbMode = Literal["online", "offline", "disabled"]
WANDB_HOST = "https://api.wandb.ai"


class Tracker(Protocol):
    """What the monitor asks of a tracker."""

    def log(self, values: Mapping[str, float], round: int, step: int | None) -> None:
        """Finite numbers by full name. `step` counts optimizer steps over all rounds."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], round: int) -> None:
        """A small table; a tracker without tables leaves it out (the run folder has the rows)."""

    def artifact(self, path: Path, name: str, kind: str, aliases: Sequence[str]) -> None:
        """A file or folder with aliases; a tracker without artifacts leaves it out."""

    def close(self) -> None:
        """Flush and end."""


def run_id(folder: Path, tracker: str) -> str:
    """The run's id at a tracker: made once, kept in RUN/tracking.json, so that a resumed run continues its own curves."""
    path = folder / "tracking.json"
    ids = json.loads(path.read_text()) if path.is_file() else {}
    if tracker not in ids:
        ids[tracker] = uuid.uuid4().hex[:12]
        write_atomically(path, json.dumps(ids, indent=2) + "\n")
    return ids[tracker]


def run_name(config: Config, folder: Path) -> str:
    return config.tracking.name or folder.resolve().name


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


def logged_in_to_wandb() -> bool:
    """Whether a key for Weights & Biases lies in the environment or in netrc."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", WANDB_HOST)).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (FileNotFoundError, netrc.NetrcParseError, PermissionError):
        return False


def default_entity() -> str:
    """The team or user that the login stands for."""
    import wandb

    return str(wandb.Api().default_entity)


def wandb_mode(config: Config) -> WandbMode:
    """online, offline or disabled. `auto`: WANDB_MODE if it is set, else online with a login, else offline."""
    if config.tracking.mode != "auto":
        return config.tracking.mode
    modes: tuple[WandbMode, ...] = ("online", "offline", "disabled")
    for mode in modes:
        if os.environ.get("WANDB_MODE") == mode:
            return mode
    return "online" if logged_in_to_wandb() else "offline"


class WandbTracker:
    """Weights & Biases: one run for a training, however often it is resumed."""

    def __init__(self, config: Config, folder: Path) -> None:
        import wandb

        self.wandb, self.mode = wandb, wandb_mode(config)
        try:
            self.run = wandb.init(
                project=config.tracking.project,
                entity=config.tracking.entity,
                name=run_name(config, folder),
                group=config.tracking.group,
                tags=list(config.tracking.tags),
                config=config.model_dump(mode="json"),
                id=run_id(folder, "wandb"),
                resume="allow" if self.mode == "online" else None,
                mode=self.mode,
                dir=str(folder),
                settings=wandb.Settings(console="off", silent=True, disable_git=True),
            )
        except (wandb.errors.CommError, wandb.errors.UsageError) as error:
            remedy = "log in with `wandb login`, or run with --tracking.mode offline"
            raise UserError(f"Weights & Biases did not start the run: {error}", "tracking", remedy) from None
        self.run.define_metric("round")
        self.run.define_metric("step")
        for group in STEP_GROUPS:
            self.run.define_metric(f"{group}/*", step_metric="step")
        for group in ROUND_GROUPS:
            self.run.define_metric(f"{group}/*", step_metric="round")

    def log(self, values: Mapping[str, float], round: int, step: int | None) -> None:
        axes: dict[str, float] = {"round": round} if step is None else {"round": round, "step": step}
        self.run.log({**values, **axes})

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], round: int) -> None:
        self.run.log({name: self.wandb.Table(columns=list(columns), data=[list(row) for row in rows]), "round": round})

    def artifact(self, path: Path, name: str, kind: str, aliases: Sequence[str]) -> None:
        artifact = self.wandb.Artifact(f"{name}-{self.run.id}", type=kind)  # names are the project's: each run has its own
        if path.is_dir():
            artifact.add_dir(str(path))
        else:
            artifact.add_file(str(path))
        self.run.log_artifact(artifact, aliases=list(aliases))

    def close(self) -> None:
        self.run.finish()
        self.wandb.teardown()  # the file is complete only when the service behind it has ended


class TensorboardTracker:
    """Event files in RUN/tensorboard; the axis is the step, or the round where there is no step."""

    def __init__(self, config: Config, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, values: Mapping[str, float], round: int, step: int | None) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, round if step is None else step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], round: int) -> None:
        cells = [[str(cell).replace("|", "\\|").replace("\n", "<br>") for cell in row] for row in [columns, ["---"] * len(columns), *rows]]
        self.writer.add_text(name, "\n".join(f"| {' | '.join(row)} |" for row in cells), round)

    def artifact(self, path: Path, name: str, kind: str, aliases: Sequence[str]) -> None:
        self.writer.add_text(f"artifacts/{name}", f"{kind} {path} ({', '.join(aliases)})")

    def close(self) -> None:
        self.writer.close()


class TrackioTracker:
    """Trackio, stored in RUN/trackio (TRACKIO_DIR, where that is set). Its axis is the step; a round's figures lie at its last step."""

    def __init__(self, config: Config, folder: Path) -> None:
        place_trackio(config)
        import trackio
        import trackio.utils

        assert str(trackio.utils.TRACKIO_DIR) == os.environ["TRACKIO_DIR"], "trackio was imported before its folder was named"
        self.trackio, self.step = trackio, 0
        name = f"{run_name(config, folder)}-{run_id(folder, 'trackio')}"
        with redirect_stdout(io.StringIO()):  # it prints how to open its dashboard, in the middle of the progress bars
            trackio.init(
                config.tracking.project, name=name, group=config.tracking.group, config=config.model_dump(mode="json"), resume="allow"
            )

    def log(self, values: Mapping[str, float], round: int, step: int | None) -> None:
        self.step = self.step if step is None else step
        self.trackio.log({**values, "round": round}, step=self.step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], round: int) -> None:
        import pandas

        frame = pandas.DataFrame([list(row) for row in rows], columns=list(columns))
        self.trackio.log({name: self.trackio.Table(dataframe=frame), "round": round}, step=self.step)

    def artifact(self, path: Path, name: str, kind: str, aliases: Sequence[str]) -> None:
        self.trackio.log({f"artifacts/{name}": f"{kind} {path} ({', '.join(aliases)})"}, step=self.step)

    def close(self) -> None:
        with redirect_stdout(io.StringIO()):
            self.trackio.finish()
