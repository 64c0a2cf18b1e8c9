"""The interpreter that runs programs and the packages that it offers them: the named ones, what they require, and nothing else.

Only what the distributions' own records list is offered. Standard library only: for an environment other than our own this file runs in
that environment's interpreter, as `python -I packages.py NAME ...`, and prints what it found as JSON.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import all_suffixes
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any

SUPPORTED = ((3, 11), (3, 12))  # versions of Python whose instructions the fast lane's check knows
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[([^\]]*)\])?[^;]*(?:;(.*))?$", re.DOTALL)
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_ASK_SECONDS = 120.0


class PackagesError(ValueError):
    """The packages of `sandbox.packages` cannot be offered: one is not installed, or the environment is not one."""


@dataclass(frozen=True)
class Offer:
    """An interpreter, and the packages that its programs may import beside the standard library.

    >>> offer = make_offer(("numpy",))                                                         # doctest: +SKIP
    >>> offer.wanted, offer.versions                                                           # doctest: +SKIP
    (('numpy',), ('numpy 2.4.6',))
    """

    python: str  # path of the interpreter's binary, outside any virtual environment
    prefix: str  # folder of its standard library
    version: tuple[int, int, int]
    wanted: tuple[tuple[str, ...], ...] = ()  # for each named package the modules to import beforehand
    modules: tuple[tuple[str, str, str], ...] = ()  # (dotted name, file or "", folder or ""); without a file: a namespace
    paths: tuple[str, ...] = ()  # files and folders that become readable
    records: tuple[str, ...] = ()  # the distributions' metadata folders
    versions: tuple[str, ...] = ()  # "numpy 2.4.6", of every distribution offered, sorted

    @property
    def tops(self) -> tuple[str, ...]:
        """Top-level names that can be imported."""
        return tuple(sorted({name.partition(".")[0] for name, _, _ in self.modules}))

    def identity(self) -> str:
        """What an outcome depends on of all this."""
        return " ".join([".".join(map(str, self.version)), *self.versions])


def make_offer(packages: Sequence[str], environment: Path | None = None) -> Offer:
    """What to offer. packages: names of distributions ("scikit-learn") or of modules ("sklearn", "scipy.stats": imported beforehand too).

    environment: folder of a virtual environment; None: the one that we run in. Raises PackagesError.
    """
    return _make_offer(tuple(packages), None if environment is None else str(environment.expanduser().absolute()))


@functools.lru_cache(maxsize=16)
def _make_offer(names: tuple[str, ...], environment: str | None) -> Offer:
    found = found_here(names) if environment is None else _ask(environment, names)
    if "problem" in found:
        raise PackagesError(found["problem"])
    offer = Offer(**{key: _frozen(value) for key, value in found.items()})
    if offer.version[:2] not in SUPPORTED:
        known = " or ".join(".".join(map(str, v)) for v in SUPPORTED)
        raise PackagesError(f"the sandbox runs Python {known}, and {offer.python} is {'.'.join(map(str, offer.version))}")
    return offer


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _ask(environment: str, names: tuple[str, ...]) -> dict[str, Any]:
    """What the interpreter of another environment finds."""
    python = Path(environment) / "bin" / "python"
    if not python.is_file():
        raise PackagesError(f"{environment} is no virtual environment: it has no bin/python")
    try:
        done = subprocess.run(
            [str(python), "-I", str(Path(__file__).resolve()), *names], capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
        return dict(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        words = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise PackagesError(f"the interpreter of {environment} does not answer: {words[-1] if words else error}") from None


def found_here(names: Sequence[str]) -> dict[str, Any]:
    """The fields of `Offer` in this interpreter, or {"problem": a sentence}."""
    base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    offer = Offer(base, sys.base_prefix, (sys.version_info[0], sys.version_info[1], sys.version_info[2]))
    if not names:
        return asdict(offer)
    try:
        chosen = [_chosen(name) for name in names]
    except PackagesError as error:
        return {"problem": str(error)}
    everything = closure([(found, extras) for found, extras, _ in chosen])
    modules: dict[str, tuple[str, str]] = {}
    paths: dict[str, None] = {}
    for found in everything:
        for name, file, folder in _modules_of(found, paths):
            modules.setdefault(name, (file, folder))
    wanted = []
    for name, (found, _, dotted) in zip(names, chosen, strict=True):
        wanted.append((dotted,) if dotted else _main_modules(found))
        if not wanted[-1] or wanted[-1][0].partition(".")[0] not in modules:
            return {"problem": f"{name} is installed without files of its own (in editable form?), so it cannot be offered to programs"}
    return asdict(offer) | {
        "wanted": wanted,
        "modules": [(name, *where) for name, where in sorted(modules.items())],
        "paths": sorted(paths),
        "records": sorted(str(record) for found in everything if (record := _record(found)) is not None),
        "versions": sorted(f"{found.name} {found.version}" for found in everything),
    }


def _chosen(name: str) -> tuple[Distribution, frozenset[str], str]:
    """(distribution, extras, module to import beforehand, or "" for all of it) that a name means."""
    match = _REQUIREMENT.fullmatch(name)
    plain, extras = (match[1], _listed(match[2])) if match and not match[3] else (name, frozenset[str]())
    try:
        return distribution(plain), extras, ""
    except (PackageNotFoundError, ValueError):
        pass
    if (found := _by_module().get(plain.partition(".")[0])) is not None:
        return found, extras, plain
    raise PackagesError(f"{name} is not installed in {sys.prefix}, so it cannot be offered to programs")


@functools.lru_cache(maxsize=1)
def _by_module() -> dict[str, Distribution]:
    """Each top-level module's distribution, the first on the search path."""
    found: dict[str, Distribution] = {}
    for one in distributions():
        for name in _public(one):
            found.setdefault(name, one)
    return found


def _listed(extras: str | None) -> frozenset[str]:
    return frozenset(_normal(extra) for extra in (extras or "").split(",") if extra.strip())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def closure(chosen: Iterable[tuple[Distribution, frozenset[str]]]) -> list[Distribution]:
    """The distributions and all that they require and that is installed, by name."""
    pending = list(chosen)
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    for one, extras in pending:
        name = _normal(one.name)
        found.setdefault(name, one)
        for requirement in one.requires or []:
            match = _REQUIREMENT.fullmatch(requirement)
            asked = {_normal(extra) for extra in _EXTRA.findall((match[3] if match else "") or "")}
            if match is None or (asked and not asked & extras):
                continue
            key = (_normal(match[1]), _listed(match[2]))
            if key not in seen:
                seen.add(key)
                try:
                    pending.append((distribution(key[0]), key[1]))
                except PackageNotFoundError:  # for another platform, or for nothing that is used here
                    continue
    return [found[name] for name in sorted(found)]


def _record(found: Distribution) -> Path | None:
    """The folder of a distribution's metadata."""
    folder = getattr(found, "_path", None)
    return Path(folder).resolve() if folder is not None and os.path.isdir(folder) else None


def _files(found: Distribution) -> list[tuple[str, ...]]:
    """What a distribution put beside its metadata, as parts of paths; of one without a record, what its list of top-level names says."""
    if found.files:
        return [path.parts for path in found.files]
    root = Path(str(found.locate_file("")))
    names = (found.read_text("top_level.txt") or "").split()
    return [(name, "__init__.py") if (root / name).is_dir() else (f"{name}.py",) for name in names]


def _public(found: Distribution) -> set[str]:
    """Top-level modules of a distribution that are there to be imported."""
    tops = {parts[0].partition(".")[0] for parts in _files(found) if _is_module(parts[-1]) and (len(parts) == 1 or "." not in parts[0])}
    return {name for name in tops if name.isidentifier() and not name.startswith("_")}


def _main_modules(found: Distribution) -> tuple[str, ...]:
    """The module that is named like the distribution; where there is none, all that are there to be imported."""
    public = sorted(_public(found))
    return tuple(name for name in public if _normal(name) == _normal(found.name)) or tuple(public)


def _is_module(file: str) -> bool:
    return file.endswith(tuple(all_suffixes())) and not file.endswith(".pyc")


def _modules_of(found: Distribution, paths: dict[str, None]) -> list[tuple[str, str, str]]:
    """(dotted name, file, folder) of what can be imported of a distribution; its files and folders are added to `paths`.

    A package's folder stands for all that is in it, and so does one that is no package's (metadata, shared libraries); a namespace's is
    shared with other distributions, and only entered.
    """
    root = Path(str(found.locate_file(""))).resolve()
    whole: set[tuple[str, ...]] = set()
    namespaces: set[tuple[str, ...]] = set()
    modules: list[tuple[str, str, str]] = []
    for parts in _files(found):
        if parts[0] in ("..", "__pycache__") or os.path.isabs(parts[0]):
            continue  # scripts, manual pages
        heads = [parts[:depth] for depth in range(1, len(parts))]
        if any(head in whole for head in heads):
            continue
        for head in heads:
            folder = root.joinpath(*head)
            is_package = (folder / "__init__.py").is_file()
            if is_package:
                modules.append((".".join(head), str(folder / "__init__.py"), str(folder)))
            if is_package or not head[-1].isidentifier():
                whole.add(head)
                paths[str(folder)] = None
                break
            if head not in namespaces:
                namespaces.add(head)
                modules.append((".".join(head), "", str(folder)))
        else:
            file, name = root.joinpath(*parts), (*parts[:-1], parts[-1].partition(".")[0])
            paths[str(file)] = None
            if _is_module(parts[-1]) and all(part.isidentifier() for part in name):
                modules.append((".".join(name), str(file), ""))
    return modules


if __name__ == "__main__":
    print(json.dumps(found_here(sys.argv[1:])))
