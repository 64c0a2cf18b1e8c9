"""The files that only `ucoder judge` reads: candidates and asserts. Each mistake in them is a UserError that says where."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rewards.outcomes.literals import parse_assert
from rewards.records import Outcome
from rewards.text import json_lines
from rewards.user_error import UserError
from rewards.user_files import parse_json, read_list, read_text

LONGEST_INTEGER = 4_300  # digits that Python reads
ONE_A_LINE = 'one object a line: {"code": "def f(x): ..."}'


def _integer(digits: str) -> int | str:
    """A JSON integer; as text where it is longer than Python reads, which is so in fields alone that nobody asks for."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else digits


def read_candidates(path: Path) -> tuple[list[str], list[float] | None]:
    """Codes, and mean logprobs if every line has one. Raises UserError with the line's number."""
    codes, logprobs = [], []
    for number, line in json_lines(read_text(path)):
        where = f"{path}, line {number}"
        row = parse_json(line, where, ONE_A_LINE, parse_int=_integer)
        if not isinstance(row, dict) or not isinstance(row.get("code"), str):
            raise UserError('no text under "code"', where, ONE_A_LINE)
        codes.append(row["code"])
        if (logprob := row.get("logprob")) is not None:
            logprobs.append(_number(logprob, where))
    if not codes:
        raise UserError("the file holds no candidates", str(path), ONE_A_LINE)
    if logprobs and len(logprobs) != len(codes):
        raise UserError(f'only {len(logprobs)} of {len(codes)} candidates have a "logprob"', str(path), "give all of them one, or none")
    return codes, logprobs or None


def _number(value: Any, where: str) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise ValueError
        return float(value)
    except (ValueError, OverflowError):
        raise UserError(f'"logprob" must be a number, not {str(value)[:40]!r}', where, "give nats per token, or leave it out") from None


def read_asserts(path: Path, entry: str) -> tuple[list[str], list[Outcome | None]]:
    """Inputs and expected outcomes of the asserts that can be read. Raises UserError when there is none."""
    found = [parse_assert(text, entry) if isinstance(text, str) else None for text in read_list(path, "asserts")]
    readable = [pair for pair in found if pair is not None]
    if not readable:
        raise UserError(f"none of the asserts is about {entry}", str(path), f'write texts such as "assert {entry}(1) == 2"')
    return [literal for literal, _ in readable], [outcome for _, outcome in readable]
