"""The files that `ucoder judge` reads: candidates, inputs and asserts. Each mistake in them is a JudgeInputError that says where."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rewards.outcomes.literals import input_literal, parse_assert
from rewards.records import Outcome
from rewards.text import json_lines

LONGEST_INTEGER = 4_300  # digits that Python reads
ONE_A_LINE = 'one object a line: {"code": "def f(x): ..."}'


class JudgeInputError(ValueError):
    """A file or option that cannot be used; says what, where, and what to do."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.where, self.remedy = what, where, remedy


def read_text(path: Path) -> str:
    """A UTF-8 text file, without its byte order mark. Raises JudgeInputError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise JudgeInputError("there is no such file", str(path), "give the path of an existing file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise JudgeInputError(f"the file cannot be read: {error}", str(path), "give a readable UTF-8 text file") from None


def _integer(digits: str) -> int | str:
    """A JSON integer; as text where it is longer than Python reads, which is so in fields alone that nobody asks for."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else digits


def _parse(text: str, where: str, remedy: str, parse_int: Callable[[str], Any] | None = None) -> Any:
    """A JSON value. Tabs and other control characters inside strings, which some writers leave raw, are taken as they are."""
    try:
        return json.loads(text, strict=False, parse_int=parse_int)
    except json.JSONDecodeError as error:
        line = f"{where}, line {error.lineno}" if "\n" in text else where
        raise JudgeInputError(f"not JSON: {error.msg}", line, remedy) from None
    except ValueError:
        raise JudgeInputError(f"an integer of more than {LONGEST_INTEGER:,} digits", where, remedy) from None
    except RecursionError:
        raise JudgeInputError("lists or objects that are nested thousands deep", where, remedy) from None


def read_candidates(path: Path) -> tuple[list[str], list[float] | None]:
    """Codes, and mean logprobs if every line has one. Raises JudgeInputError with the line's number."""
    codes, logprobs = [], []
    for number, line in json_lines(read_text(path)):
        where = f"{path}, line {number}"
        row = _parse(line, where, ONE_A_LINE, parse_int=_integer)
        if not isinstance(row, dict) or not isinstance(row.get("code"), str):
            raise JudgeInputError('no text under "code"', where, ONE_A_LINE)
        codes.append(row["code"])
        if (logprob := row.get("logprob")) is not None:
            logprobs.append(_number(logprob, where))
    if not codes:
        raise JudgeInputError("the file holds no candidates", str(path), ONE_A_LINE)
    if logprobs and len(logprobs) != len(codes):
        raise JudgeInputError(
            f'only {len(logprobs)} of {len(codes)} candidates have a "logprob"', str(path), "give all of them one, or none"
        )
    return codes, logprobs or None


def _number(value: Any, where: str) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise ValueError
        return float(value)
    except (ValueError, OverflowError):
        raise JudgeInputError(
            f'"logprob" must be a number, not {str(value)[:40]!r}', where, "give nats per token, or leave it out"
        ) from None


def read_list(path: Path, what: str) -> list[Any]:
    """A JSON list that is not empty."""
    rows = _parse(read_text(path), str(path), f"a JSON list of {what}")
    if not isinstance(rows, list) or not rows:
        raise JudgeInputError(f"not a list of {what}" if rows else f"no {what} in it", str(path), f"a JSON list of {what}")
    return rows


def read_inputs(path: Path) -> list[str]:
    """Inputs as Python literals, each a list of positional arguments."""
    inputs = []
    for number, row in enumerate(read_list(path, "inputs"), 1):
        literal = input_literal(row)
        if literal is None:
            if "NaN" in json.dumps(row):
                raise JudgeInputError("NaN is no input: it has no literal", f"{path}, input {number}", "leave this input out")
            raise JudgeInputError(
                f"{json.dumps(row)[:80]} is no list of arguments", f"{path}, input {number}", "write [[1, 2], 3] for the call f([1, 2], 3)"
            )
        inputs.append(literal)
    return inputs


def read_texts(path: Path) -> list[str]:
    """Texts for standard input, as Python literals."""
    texts = read_list(path, "texts")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            said = f"{json.dumps(text)[:80]} is no text"
            raise JudgeInputError(said, f"{path}, input {number}", 'write "3\\n1 2 3\\n", the whole of what standard input holds')
    return [repr(text) for text in texts]


def read_asserts(path: Path, entry: str) -> tuple[list[str], list[Outcome | None]]:
    """Inputs and expected outcomes of the asserts that can be read."""
    found = [parse_assert(text, entry) if isinstance(text, str) else None for text in read_list(path, "asserts")]
    readable = [pair for pair in found if pair is not None]
    if not readable:
        raise JudgeInputError(f"none of the asserts is about {entry}", str(path), f'write texts such as "assert {entry}(1) == 2"')
    return [literal for literal, _ in readable], [outcome for _, outcome in readable]
