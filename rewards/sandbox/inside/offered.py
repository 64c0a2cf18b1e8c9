"""The packages of `sandbox.packages` inside the zygote: found without a search path, and imported before it forks.

There is no site-packages folder to look into, which would show what else is installed: a list from the parent says where each module is.
Imported beforehand is what starts no threads, which a fork would lose; a trial import in a child of its own tells. Standard library only.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, DistributionFinder, PathDistribution
from pathlib import Path
from types import ModuleType

from rewards.sandbox.inside import confine


class Finder(DistributionFinder):
    """Finds the offered modules, and their distributions' metadata. modules: (dotted name, file or "", folder or "")."""

    def __init__(self, modules: Iterable[Sequence[str]], records: Iterable[str]) -> None:
        self.places = {name: (file, folder) for name, file, folder in modules}
        self.records = [Path(record) for record in records]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        place = self.places.get(fullname)
        if place is None:
            return None
        file, folder = place
        if file:
            return importlib.util.spec_from_file_location(fullname, file, submodule_search_locations=[folder] if folder else None)
        namespace = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        namespace.submodule_search_locations = [folder]
        return namespace

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterator[Distribution]:
        wanted = None if context is None or context.name is None else _plain(context.name)
        for record in self.records:
            if wanted is None or _plain(record.name.rpartition(".")[0].partition("-")[0]) == wanted:
                yield PathDistribution(record)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


class ImportFails(RuntimeError):
    """A package that was to be offered cannot be imported."""


def offer(modules: Iterable[Sequence[str]], records: Iterable[str], wanted: Sequence[Sequence[str]]) -> int:
    """Let this process and its children import the modules; import those wanted, where that is safe. Raises ImportFails.

    wanted: for each named package the modules to import, of which one has to be importable. Returns the bytes of address space that this
    took, with what a child needs for packages that it has to import itself.
    """
    sys.meta_path.append(Finder(modules, records))
    before, later = confine.address_space(), 0
    with _home_of_its_own():
        groups = [list(group) for group in wanted]
        while groups:
            done, fault, grown = _try(groups)
            if fault:
                raise ImportFails(f"sandbox.packages: {fault}")
            for group in groups[:done]:
                _import(group)
            later += grown
            groups = groups[done + 1 :]  # the one between them starts threads: each child imports it for itself
    if hasattr(threadpools := sys.modules.get("threadpoolctl"), "_HAS_PROCFS"):
        threadpools._HAS_PROCFS = False  # type: ignore[union-attr]  # scikit-learn's threads are counted without /proc, which is closed
    return max(0, confine.address_space() - before) + later


def _try(groups: Sequence[Sequence[str]]) -> tuple[int, str, int]:
    """Import group after group in a child: (groups that started no thread, what went wrong or "", bytes that the next one takes)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, json.dumps(_trial(groups)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not text:
        return 0, f"importing {', '.join(name for group in groups for name in group)} ended by signal {os.WTERMSIG(status)}", 0
    done, fault, grown = json.loads(text)
    return done, fault, grown


def _trial(groups: Sequence[Sequence[str]]) -> tuple[int, str, int]:
    for done, group in enumerate(groups):
        before = confine.address_space()
        try:
            _import(group)
        except ImportFails as error:
            return done, str(error), 0
        if not confine.is_single_threaded():
            return done, "", confine.address_space() - before
    return len(groups), "", 0


def _import(group: Sequence[str]) -> None:
    """Import the modules of one package. Raises ImportFails when that works for none of them."""
    faults = []
    for name in group:
        try:
            importlib.import_module(name)
        except BaseException as error:  # whatever a package does when it is imported
            faults.append(f"{name} cannot be imported: {type(error).__name__}: {str(error)[:300]}".replace("\n", " "))
    if len(faults) == len(group):
        raise ImportFails(faults[0])


@contextlib.contextmanager
def _home_of_its_own() -> Iterator[None]:
    """A folder for what packages write when they are imported (matplotlib keeps a list of fonts), gone afterwards."""
    before, folder = os.environ["HOME"], tempfile.mkdtemp(prefix="sandbox-home-")
    os.environ["HOME"] = folder
    try:
        yield
    finally:
        os.environ["HOME"] = before
        shutil.rmtree(folder, ignore_errors=True)
