"""`pip install ucoder` without the extra `train`: the sandbox, the votes and the judge, on what the light dependencies bring alone.

The package is built and installed into a folder of its own, and run in a process that refuses every library that is not one of its declared
dependencies (or theirs), so that an import which nobody declared fails here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from rl.cli import COMMANDS
from rl.console import TRAIN_LIBRARIES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
refused = frozenset(open(sys.argv[1]).read().split())
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[2:]
import runpy
"""


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


def light_distributions() -> set[str]:
    """The declared dependencies, and what they require in turn, without extras."""
    found: set[str] = set()
    wanted = [name_of(text) for text in PROJECT["dependencies"]]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            requirements = [Requirement(text) for text in metadata.requires(name) or ()]
            wanted += [name_of(str(r)) for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in it, as pip leaves it, and `refused`: the top-level modules of all other distributions."""
    if int(metadata.version("setuptools").split(".")[0]) < 77:
        pytest.skip("building needs setuptools 77, and this environment has an older one")
    tmp = tmp_path_factory.mktemp("light")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: which files belong to the package is not known")
    parts = {"remote", "probing", "rewards", "rl", "seedling", "pyproject.toml", "README.md", "LICENSE"}
    for name in listed.stdout.splitlines():
        if name.split("/")[0] in parts and (ROOT / name).is_file():
            (tmp / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp / "source" / name)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(tmp / "site")]
    done = subprocess.run([*pip, str(tmp / "source")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    light = light_distributions() | {"ucoder"}
    owners = metadata.packages_distributions()
    refused = {top for top, names in owners.items() if not {re.sub(r"[-_.]+", "-", name).lower() for name in names} & light}
    assert {"torch", "transformers", "trl"} <= refused
    (tmp / "refused").write_text("\n".join(refused))
    return tmp


def light(installed: Path, code: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Python code in a process that finds the installed package, its dependencies, and nothing else."""
    environment = {"PYTHONPATH": str(installed / "site"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", REFUSE + code, str(installed / "refused"), *argv]
    return subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True, timeout=120, check=False)


UCODER = "runpy.run_module('rl.cli', run_name='__main__')"


def test_judge_works(installed: Path) -> None:
    answers = ["def f(x):\n    return 2 * x", "```python\ndef f(x):\n    return x + x\n```", "def f(x):\n    return x"]
    (installed / "answers.jsonl").write_text("".join(json.dumps({"code": code}) + "\n" for code in answers))
    (installed / "inputs.json").write_text("[[1], [2], [3]]")
    done = light(installed, UCODER, "ucoder", "judge", "answers.jsonl", "--entry", "f", "--inputs", "inputs.json", "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [cluster["samples"] for cluster in report["clusters"]] == [2, 1]


def test_the_library_works(installed: Path) -> None:
    code = """
import rewards
assert rewards.__file__.startswith(sys.argv[1]), rewards.__file__
from rewards import ConsensusReward
from rewards.sandbox import Program, Sandbox, SandboxConfig
with Sandbox(SandboxConfig(workers=1)) as sandbox:
    print([e.outcomes[0].payload for e in sandbox.run([Program("def f(x):\\n    return x + 1", "f", ("[1]",))])])
with ConsensusReward(sandbox=SandboxConfig(workers=1)) as reward:
    print(reward.score(["def f(x): return x"] * 2, "f", [[1], [2]]), reward.score(["def f(x): return -x"] * 2, "f", [[1], [2]]))
"""
    done = light(installed, code, "library", str(installed / "site"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['2']\n[1.0, 1.0] [1.0, 1.0]\n"


TRAIN = "runpy.run_path('site/rl/train.py', run_name='__main__')"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_shows_its_help(installed: Path, command: str) -> None:
    done = light(installed, UCODER, "ucoder", command, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: ucoder {command} ") and not done.stderr


def test_the_training_script_shows_its_help(installed: Path) -> None:
    done = light(installed, TRAIN, "rl/train.py", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ") and "--config" in done.stdout


@pytest.mark.parametrize(
    "argv",
    [("config", "--keys"), ("config", "--prompts", "instruct"), ("plan", str(ROOT / "configs/seedling.yaml"))],
    ids=lambda a: f"{a[0]} {a[1]}",
)
def test_what_needs_no_model_works(installed: Path, argv: tuple[str, ...]) -> None:
    done = light(installed, UCODER, "ucoder", *argv)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("code", "argv"),
    [
        (UCODER, ("ucoder", "eval", "--model", str(ROOT / "seedling" / "weights"), "--benchmarks", "seedling")),
        (UCODER, ("ucoder", "solve", str(ROOT / "README.md"), "--model", str(ROOT / "seedling" / "weights"))),
        (UCODER, ("ucoder", "report", str(ROOT))),
        (UCODER, ("ucoder", "push", str(ROOT), "--repo", "me/model")),
        (TRAIN, ("rl/train.py", "--config", str(ROOT / "configs/seedling.yaml"), "--run_dir", "new")),
    ],
    ids=["eval", "solve", "report", "push", "train"],
)
def test_what_needs_more_says_so_on_one_screen(installed: Path, code: str, argv: tuple[str, ...]) -> None:
    done = light(installed, code, *argv)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("ucoder cannot start\nwhat   ") and "Traceback" not in done.stderr
    assert done.stderr.rstrip().endswith("do     pip install 'ucoder[train]'")
    assert not (installed / "new").exists()


def test_the_screen_knows_every_library_of_the_extra() -> None:
    wanted = {name_of(text) for text in PROJECT["optional-dependencies"]["train"]}
    owners = {top: {re.sub(r"[-_.]+", "-", name).lower() for name in names} for top, names in metadata.packages_distributions().items()}
    assert wanted == set().union(*(owners.get(top, {top}) for top in TRAIN_LIBRARIES)) & wanted
    assert not [top for top in TRAIN_LIBRARIES if not owners.get(top, {top}) & wanted]
