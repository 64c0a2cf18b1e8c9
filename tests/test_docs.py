"""What the documentation names exists: files, functions, config keys, commands, links and sections."""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import re
from pathlib import Path

import pytest

from rl.cli import COMMANDS, main
from rl.config.loader import field_type, known_keys
from rl.config.schema import Config

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for pattern in ("*.md", "docs/**/*.md") for path in ROOT.glob(pattern))
HISTORY = ROOT / "docs" / "log"  # measured at older commits, under the names of then
PACKAGES = ("remote", "probing", "rewards", "rl", "seedling", "bench", "tests")
FOLDERS = (*PACKAGES, "configs", "docs", "examples")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w./*-]+")
DOTTED = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def current_pages() -> list[Path]:
    return [page for page in PAGES if not page.is_relative_to(HISTORY)]


def by_page(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


def codes(page: Path) -> list[str]:
    """What stands between backticks, outside of blocks of code."""
    return CODE.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))


@functools.cache
def names_in(path: Path) -> set[str]:
    """Dotted names that a module defines, imports or assigns: functions, classes and what classes hold."""

    def walk(body: list[ast.stmt], prefix: str) -> set[str]:
        found: set[str] = set()
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
                found |= walk(node.body, f"{prefix}{node.name}.") if isinstance(node, ast.ClassDef) else set()
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
                found |= {prefix + target.id for target in targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found |= {prefix + (alias.asname or alias.name) for alias in node.names}
        return found

    return walk(ast.parse(path.read_text()).body, "")


def module_file(parts: list[str]) -> tuple[Path, str] | None:
    """The file of the longest prefix that is a module, and what is left of the name."""
    for n in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:n])
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return file, ".".join(parts[n:])
    return None


def exists(dotted: str) -> bool:
    found = module_file(dotted.split("."))
    return found is not None and (not found[1] or found[1] in names_in(found[0]))


def headings(page: Path) -> dict[str, str]:
    """Heading -> its anchor on GitHub."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {heading: re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@by_page(current_pages())
def test_files_that_are_named_exist(page: Path) -> None:
    named = {word for code in codes(page) for word in PATH.findall(code)}
    missing = {name for name in named if not any(ROOT.glob(name.rstrip("/.")))}
    assert not missing


@by_page(current_pages())
def test_modules_and_functions_that_are_named_exist(page: Path) -> None:
    words = (re.match(r"(?:python -m )?([\w.]+)", code) for code in codes(page))
    named = {word[1] for word in words if word is not None and DOTTED.fullmatch(word[1])}
    assert not {name for name in named if not exists(name)}


@by_page(current_pages())
def test_functions_are_where_the_page_says(page: Path) -> None:
    wrong = []
    for names, path in re.findall(r"((?:`[\w.]+`(?:, | and )?)+) in `([\w/]+\.py)`", page.read_text()):
        wrong += [(name, path) for name in CODE.findall(names) if name not in names_in(ROOT / path)]
    assert not wrong


@by_page(current_pages())
def test_config_keys_that_are_named_exist(page: Path) -> None:
    keys = {".".join(key) for key in known_keys(Config)}
    sections = {key.split(".")[0] for key in keys if "." in key}
    words = {word for code in codes(page) for word in re.findall(r"(?<![\w./-])[a-z_]+(?:\.[a-z_]+)+(?![\w/])", code)}
    named = {word for word in words if word.split(".")[0] in sections and not word.endswith((".json", ".jsonl", ".npz"))}
    assert not named - keys


@by_page(current_pages())
def test_commands_that_are_named_exist(page: Path) -> None:
    blocks = re.findall(r"^```.*?\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = [line for code in (*codes(page), *blocks) for line in code.splitlines()]
    subcommands = {word[1] for line in lines if (word := re.match(r"ucoder ([a-z]+)", line))}
    assert not subcommands - set(COMMANDS)
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    made = {word[1] for line in lines if (word := re.match(r"make ([a-z][\w-]*)", line))}
    assert not made - targets


def commands(page: Path) -> list[list[str]]:
    """The words of each command that runs `ucoder` or `rl/train.py`, from that word on: in blocks and between backticks."""
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    blocks += re.findall(r"(?:^ {4}.+\n)+", page.read_text(), flags=re.MULTILINE)
    lines = [line for text in (*codes(page), *blocks) for line in text.replace("\\\n", " ").splitlines()]
    found = []
    for line in lines:
        for part in re.split(r"[|;&]| #|[<>]", line):
            words = part.replace("[", " ").replace("]", " ").split()
            start = next((i for i, word in enumerate(words) if word in ("ucoder", "rl/train.py")), None)
            if start is not None:
                found.append(words[start:])
    return found


@functools.cache
def options_of(*command: str) -> set[str]:
    """What `--help` of a command lists."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([*command, "--help"])
    return set(re.findall(r"(?<![\w-])--[A-Za-z][\w-]*", shown.getvalue()))


@by_page(current_pages())
def test_options_that_are_named_exist(page: Path) -> None:
    keys = {".".join(key) for key in known_keys(Config)}
    mappings = tuple(f"{key}." for key in keys if "dict" in str(field_type(Config, tuple(key.split(".")))))
    wrong = []
    for words in commands(page):
        command = words[1:3] if words[1:2] == ["sandbox"] else words[1:2]
        named = {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)}
        if words[0] == "rl/train.py":
            known = {"--config", "--help"}
        elif command and command[0] in COMMANDS:
            known = options_of(*command) | {"--help", *(["--config"] if command[0] in ("config", "plan") else [])}
        else:
            continue
        settable = keys if words[0] == "rl/train.py" or command[0] in ("config", "plan") else {k for k in keys if k.startswith("sampling.")}
        wrong += [(words, o) for o in named - known if o[2:] not in settable and not o[2:].startswith(mappings)]
    assert not wrong


@by_page(current_pages())
def test_options_of_modules_that_are_named_exist(page: Path) -> None:
    """Of `python -m MODULE`, by the module's source: measurements import what takes seconds."""
    wrong, keys = [], {".".join(key) for key in known_keys(Config)} | {"config"}
    for module, words in re.findall(rf"python -m ((?:{'|'.join(PACKAGES)})[\w.]*)([^`\n#|]*)", page.read_text().replace("\\\n", " ")):
        base = ROOT.joinpath(*module.split("."))
        file = next((f for f in (base.with_suffix(".py"), base / "__main__.py") if f.is_file()), None)
        named = re.findall(r"(?<!\S)--[a-z][\w.-]*", re.sub(r'"[^"]*"', "", words))  # between quotes: handed on to a run
        source = "" if file is None else file.read_text()
        settable = keys if "config_from_argv(sys.argv" in source else set()  # a measurement that takes the keys of a run
        known = [option for option in named if f'"{option}"' in source or option[2:] in settable]
        wrong += [(module, option) for option in named or [""] if file is None or (option and option not in known)]
    assert not wrong


@by_page(PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target).values(), link


def test_sections_that_the_code_cites_exist() -> None:
    cited = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        cited += [(path, *found) for found in re.findall(r"(?<!ggml, )(docs/[\w/]+\.md)(?:,\s+\"([\w ]+)\")?", path.read_text())]
    assert any(section for _, _, section in cited)
    for path, page, section in cited:
        assert (ROOT / page).is_file(), (path, page)
        assert not section or section in headings(ROOT / page), (path, page, section)
