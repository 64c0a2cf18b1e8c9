"""The layout: folders that one screen holds, imports that point down, no circles."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("remote", "probing", "rewards", "rl", "seedling", "bench")
MOST_MODULES = 15  # in one folder, `__init__.py` included

# Rooms, from the ground up: each imports those above it in this list, and none below. A module that lies in a package itself is a room.
ROOMS = (
    "remote",
    "probing.memory",
    "probing.records",
    "probing.section",
    "probing.prompt",
    "probing.models",
    "probing.reading",
    "probing.parsing",
    "probing.samplers",
    "probing.samplers.engines",
    "probing.prompts",
    "probing.probe",
    "probing.stages",
    "rewards.text",
    "rewards.user_error",
    "rewards.mixed",
    "rewards.records",
    "rewards.outcomes",
    "rewards.user_files",
    "rewards.programs",
    "rewards.clusters",
    "rewards.rules",
    "rewards.sandbox.inside",
    "rewards.sandbox",
    "rewards.judge",
    "rewards.reward_batch",
    "rewards.reward_problem",
    "rewards.consensus_reward",
    "seedling.operations",
    "seedling",
    "rl.console",
    "rl.round_tables",
    "rl.stored",
    "rl.round_files",
    "rl.models",
    "rl.ranks",
    "rl.config",
    "rl.progress",
    "rl.stage_times",
    "rl.tracking",
    "rl.run_data",
    "rl.grading",
    "rl.benchmarks",
    "rl.scoring",
    "rl.labels",
    "rl.training",
    "rl.evals",
    "rl.solve",
    "rl.own",
    "rl.devices",
    "rl.run",
    "rl.planning",
    "rl.report",
    "rl.dashboard",
    "rl.watch",
    "rl.marking",
    "rl.sharing",
    "rl.loop",
    "rl.train",
    "rl.cli",
    "bench",
)
LOOSE = ("probing", "rewards", "rl")  # packages whose own modules are rooms of their own

Imports = Mapping[str, Iterable[str]]  # module: the modules of the project that it imports


def modules() -> dict[str, Path]:
    """Every module of the project, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, known: Mapping[str, Path]) -> set[str]:
    """Modules of the project that a file imports anywhere: at its head, inside functions, for types alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in inner}
    return {name for name in found if name in known}


def top_names(path: Path) -> set[str]:
    """Names that a module has once it is imported, at its head or under a condition; those it gets by `import *` are not known."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return found


def broken_imports(path: Path, known: Mapping[str, Path]) -> list[str]:
    """Names that a file imports from a module of the project, and that this module does not have."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    ours = [(node.module, alias.name) for node in nodes if node.module in known for alias in node.names]
    return [f"{module}.{name}" for module, name in ours if f"{module}.{name}" not in known and name not in top_names(known[module])]


def all_imports() -> dict[str, set[str]]:
    known = modules()
    return {name: imports_of(path, known) for name, path in known.items()}


def room_of(module: str) -> str:
    """The longest room that holds the module; a loose package itself (its `__init__`) counts as no room: ""."""
    parts = module.split(".")
    holders = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in holders if name in ROOMS), "")


def circle(imports: Imports) -> list[str]:
    """The modules of one circle, the first of them again at the end; [] when there is none."""
    done: set[str] = set()

    def follow(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return []
        for name in sorted(imports.get(module, ())):
            if found := follow(name, [*way, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(imports) if (found := follow(module, []))), [])


def upward(imports: Imports) -> list[str]:
    """Imports of a room that lies higher than the importer's."""
    places = {name: i for i, name in enumerate(ROOMS)}
    pairs = [(a, b) for a, names in imports.items() for b in names if room_of(a) and room_of(b)]
    return sorted(f"{a} imports {b}" for a, b in pairs if places[room_of(a)] < places[room_of(b)])


def crowded(paths: Iterable[Path]) -> list[str]:
    """Folders that hold more modules than one screen shows."""
    counts: dict[Path, int] = {}
    for path in paths:
        counts[path.parent] = counts.get(path.parent, 0) + 1
    return sorted(f"{folder}: {count}" for folder, count in counts.items() if count > MOST_MODULES)


def test_imports_point_down() -> None:
    assert upward(all_imports()) == []


def test_no_circle_of_imports() -> None:
    assert circle(all_imports()) == []


def test_every_imported_name_is_there() -> None:
    """Types are not checked in bench, whose commands no test runs."""
    known = modules()
    assert {name: found for name, path in known.items() if (found := broken_imports(path, known))} == {}


def test_every_module_has_a_room() -> None:
    assert [name for name in modules() if not room_of(name) and name not in LOOSE] == []


def test_every_room_is_there() -> None:
    assert sorted(set(ROOMS) - set(modules())) == []


def test_no_folder_is_crowded() -> None:
    assert crowded([*modules().values(), *(ROOT / "tests").rglob("*.py")]) == []


def test_every_package_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    there = {name for name, path in modules().items() if path.name == "__init__.py" and not name.startswith("bench")}
    assert sorted(listed) == sorted(there)


def test_the_readme_names_every_room() -> None:
    """Its layout section has a row a package, and in it the folders of the package."""
    layout = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Layout\n")[1].split("\n## ")[0]
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `(\w+)/` \|.*$", layout, re.MULTILINE)}
    folders = {package: {path.parent.name for path in (ROOT / package).glob("*/__init__.py")} for package in ("probing", "rewards", "rl")}
    for package, there in folders.items():
        assert set(re.findall(r"`(\w+)/`", rows[package])) - {package} == there


def test_no_folder_of_rl_hides_a_library() -> None:
    """`accelerate launch rl/train.py` puts rl/ itself first on sys.path, so `import NAME` would find rl/NAME instead of a library."""
    script = (
        "import importlib.util, pathlib, sys; here = pathlib.Path(sys.argv[1]).resolve()\n"
        "sys.path = [p for p in sys.path if pathlib.Path(p or '.').resolve() != here]\n"
        "names = {p.stem for p in here.iterdir() if p.suffix in ('', '.py') and not p.name.startswith('_')}\n"
        "print(*sorted(n for n in names if importlib.util.find_spec(n) is not None))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(ROOT / "rl")], capture_output=True, text=True, check=True, cwd=ROOT / "rl")
    assert done.stdout.split() == []


def test_a_circle_is_found_however_long() -> None:
    names = ["a", "b", "c", "d", "a"]
    found = circle({**{x: [y] for x, y in pairwise(names)}, "before": ["c"]})
    assert found in (names, ["b", "c", "d", "a", "b"], ["c", "d", "a", "b", "c"])
    assert circle({"a": ["b", "c"], "b": ["c"], "c": []}) == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [("rewards.records", "rl.console"), ("probing.models.loading", "rewards.text"), ("rl.config.schema", "rl.loop.round")],
)
def test_an_upward_import_is_found(importer: str, imported: str) -> None:
    assert upward({importer: [imported]}) == [f"{importer} imports {imported}"]
    assert upward({imported: [importer]}) == []


def test_a_crowded_folder_is_found() -> None:
    assert crowded([Path(f"rl/room/m{i}.py") for i in range(MOST_MODULES + 1)]) == [f"rl/room: {MOST_MODULES + 1}"]
    assert crowded([Path(f"rl/room/m{i}.py") for i in range(MOST_MODULES)]) == []


def test_a_name_that_is_gone_is_found(tmp_path: Path) -> None:
    file = tmp_path / "m.py"
    file.write_text("from rl.console import UserError, NoSuchThing\nfrom rl import console, nowhere\n")
    assert broken_imports(file, modules()) == ["rl.console.NoSuchThing", "rl.nowhere"]


def test_imports_inside_functions_and_for_types_count(tmp_path: Path) -> None:
    file = tmp_path / "m.py"
    file.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rl import run\ndef f():\n    import rl.console\n")
    assert imports_of(file, modules()) == {"rl.run", "rl.console"}
