"""Rows of the user's own data: a file of JSON lines, or a dataset of the Hub. Field names are forgiving; answers and tests are not read.

    {"description": "Return the largest even number of xs.", "signature": "def largest(xs: list[int]) -> int:", "example": "..."}

What cannot be read at all raises UserError before any work.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from probing.stages.config import HUB
from rewards.text import json_fault, json_lines, read_fault
from rl.benchmarks.data import hub_rows
from rl.console import UserError
from rl.models.hub import hub_answers

STATEMENT = ("description", "prompt", "text", "statement", "question")  # the first that holds a text counts
SIGNATURE = ("signature",)
ENTRY = ("entry", "entry_point", "name")
EXAMPLE = ("example",)
ROW_ID = ("id", "task_id")
TITLE = ("title",)
# Fields that look like tests or answers. None of them is read; a run says which it met.
ANSWERS = (
    *("test", "tests", "test_list", "test_cases", "test_code", "challenge_test_list", "test_setup_code", "test_imports", "asserts"),
    *("public_tests", "private_tests", "public_test_cases", "private_test_cases", "input_output", "inputs", "outputs", "output"),
    *("code", "solution", "solutions", "canonical_solution", "reference", "reference_solution", "answer", "answers", "expected"),
    *("target", "label", "labels", "completion", "response"),
)
DEFAULT_SPLIT = "train"


@dataclass(frozen=True)
class Rows:
    """The rows of a source, in its order."""

    label: str  # what a problem's provenance begins with: the file's name without its folder, or the hub's name with its split
    rows: Sequence[Mapping[str, Any]]
    digest: str  # SHA-256 over all rows, hexadecimal

    def place(self, index: int) -> str:
        """Provenance of a row: the row's own id where it has one, else its number from 1; `row 2` where another row has the id 2."""
        if own := first_text(self.rows[index], ROW_ID):
            return f"{self.label}#{own}"
        number = str(index + 1)
        while number in self._ids:
            number = f"row {number}"
        return f"{self.label}#{number}"

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(first_text(row, ROW_ID) for row in self.rows)

    @property
    def unread(self) -> list[str]:
        """Fields of the rows that look like tests or answers, sorted."""
        return sorted({name for row in self.rows for name in row if name.lower() in ANSWERS})


def read_source(name: str, key: str) -> Rows:
    """The rows of FILE.jsonl, FILE.jsonl.gz or hub:DATASET[:SPLIT]. Raises UserError. key: the config key that names it."""
    if name.startswith(HUB):
        label, rows = _hub(name, key)
    else:
        path = Path(name).expanduser()
        label, rows = path.name, _file(path, key)
    if not rows:
        raise UserError(f"{key} holds no row", name, "give a row for each problem")
    text = "\n".join(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return Rows(label, rows, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def _file(path: Path, key: str) -> list[dict[str, Any]]:
    remedy = f"{key} is a UTF-8 file of JSON lines, an object a line (docs/own-problems.md)"
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"the file of {key} does not exist", str(path), "check the path") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"the file of {key} cannot be read: {read_fault(error)}", str(path), remedy) from None
    rows = []
    for number, line in json_lines(text):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"not valid JSON: {json_fault(error)}", f"{path}, line {number}", remedy) from None
        if not isinstance(row, dict):
            raise UserError("the line is JSON, but no object", f"{path}, line {number}", remedy)
        rows.append(row)
    return rows


def _hub(name: str, key: str) -> tuple[str, list[dict[str, Any]]]:
    from datasets.exceptions import DatasetsError

    dataset, _, split = name.removeprefix(HUB).partition(":")
    split = split or DEFAULT_SPLIT
    said = ""
    try:
        rows = hub_rows(dataset, None, split, fetch=True)
    except (DatasetsError, RuntimeError) as error:
        rows, said = None, f": {str(error).splitlines()[0][:200]}"
    if rows is None:
        if hub_answers():
            remedy = f"check the name and the split (hub:OWNER/DATASET:SPLIT; without one it is {DEFAULT_SPLIT}), and that it is public"
        else:
            remedy = "it is not in the cache and the Hub does not answer (no network, or HF_HUB_OFFLINE is set): give a FILE.jsonl instead"
        raise UserError(f"the split {split} of the dataset {dataset} cannot be had{said}", f"{key}: {name}", remedy)
    return f"{HUB}{dataset}:{split}", rows


def first_text(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of the named fields that holds a text (or a number, for ids) that is not blank, stripped; "" where none does."""
    for name in names:
        value = row.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def half_characters(value: Any) -> bool:
    r"""Whether a value holds half a surrogate pair, which JSON can write (`"\ud800"`) and no tokenizer reads.

    >>> half_characters(["a", "\ud800"]), half_characters("\N{GRINNING FACE}")
    (True, False)
    """
    return re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False, default=str)) is not None


def example_text(row: Mapping[str, Any]) -> str:
    """The row's example: a text, or a list of texts, one a line."""
    value = row.get(EXAMPLE[0])
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value).strip()
    return first_text(row, EXAMPLE)
