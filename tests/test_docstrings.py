"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("probing", "rewards", "rl", "seedling", "remote", "bench")


def modules_with_examples() -> list[str]:
    paths = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    found = [path.relative_to(ROOT).with_suffix("").parts for path in paths if ">>> " in path.read_text(encoding="utf-8")]
    return [".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in found]


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_give_what_they_show(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"needs what is not installed: {error}")
    assert doctest.testmod(module).failed == 0  # what differs is printed
