"""The files that a user names on the command line: what is in them, or a `UserError` that says where the mistake is."""

from __future__ import annotations

import errno
import io
import json
import os
import tempfile
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rewards.outcomes.literals import input_literal
from rewards.text import BOM, json_fault, read_fault
from rewards.user_error import UserError


def read_text(path: Path, source: bool = False, remedy: str = "give a readable UTF-8 text file") -> str:
    """A text file, without its byte order mark, lines ended by newlines alone. Raises UserError.

    source: it is read as Python reads its files, in the encoding that its first lines name; else it is UTF-8. remedy: what to do where it
    cannot be read.
    """
    encoding, where = "utf-8", str(path)
    try:
        data = path.read_bytes()
        if source:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0].removesuffix("-sig")
        return data.decode(encoding).removeprefix(BOM).replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise UserError("there is no such file", where, remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the file cannot be read: {read_fault(error)}", where, remedy) from None
    except SyntaxError as error:  # what the first lines name is no encoding, or not theirs
        said = f"the file is not UTF-8, and names no other encoding that it is in: {error.msg}"
        raise UserError(said, where, remedy) from None


def parse_json(text: str, where: str, remedy: str, parse_int: Callable[[str], Any] | None = None) -> Any:
    """A JSON value. Tabs and other control characters inside strings, which some writers leave raw, are taken as they are.

    where: the file, and its line where `text` is one of several. Raises UserError.
    """
    try:
        return json.loads(text, strict=False, parse_int=parse_int)
    except json.JSONDecodeError as error:
        line = f"{where}, line {error.lineno}" if "\n" in text else where
        raise UserError(f"not JSON: {error.msg}", line, remedy) from None
    except (ValueError, RecursionError) as error:
        raise UserError(json_fault(error), where, remedy) from None


def read_list(path: Path, what: str) -> list[Any]:
    """A JSON list that is not empty. what: a plural noun for its items. Raises UserError."""
    text, remedy = read_text(path), f"write a JSON list of {what}"
    if not text.strip():
        raise UserError("the file is empty", str(path), remedy)
    rows = parse_json(text, str(path), remedy)
    if not isinstance(rows, list) or not rows:
        raise UserError(f"no {what} in it" if rows == [] else f"not a list of {what}", str(path), remedy)
    return rows


def read_inputs(path: Path) -> list[str]:
    """Inputs as Python literals, each a list of positional arguments. Raises UserError with the input's number, from 1."""
    inputs = []
    for number, row in enumerate(read_list(path, "inputs"), 1):
        literal = input_literal(row)
        if literal is None:
            where, shown = f"{path}, input {number}", json.dumps(row)[:80]
            if "NaN" in json.dumps(row):
                raise UserError("NaN is no input: it has no literal", where, "leave this input out")
            raise UserError(f"{shown} is no list of arguments", where, "write [[1, 2], 3] for the call f([1, 2], 3)")
        inputs.append(literal)
    return inputs


def read_texts(path: Path) -> list[str]:
    """Texts for standard input, as Python literals. Raises UserError with the input's number, from 1."""
    texts = read_list(path, "texts")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            said = f"{json.dumps(text)[:80]} is no text"
            raise UserError(said, f"{path}, input {number}", 'write "3\\n1 2 3\\n", the whole of what standard input holds')
    return [repr(text) for text in texts]


def check_writable(path: Path, option: str) -> None:
    """Make the folder of a file to be written, and prove before any work that it can be. Raises UserError, naming the option."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():  # a pipe or a device
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        with tempfile.TemporaryFile(dir=path.resolve().parent):  # a link's file is written where it lies
            pass
    except (OSError, RuntimeError) as error:
        said = error.strerror if isinstance(error, OSError) else "a link that leads back to itself"
        raise UserError(f"{option} cannot be written: {said}", str(path), "choose another file") from None
