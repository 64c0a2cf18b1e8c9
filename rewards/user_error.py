"""What a user has to put right: the one error that commands end on, and an argument parser that raises it.

`rl.console.error_screen` shows it as one screen (what, where, do), and ends with status 2.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from pydantic import ValidationError

COMMAND_LINE = "command line"


class UserError(ValueError):
    """Something that the user can put right. Says what was wrong, where, and what to do."""

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        super().__init__("\n".join(part for part in (what, where, remedy) if part))
        self.what = what
        self.where = where  # a file and line, "command line", or a path
        self.remedy = remedy


class Options(argparse.ArgumentParser):
    """A command's options. A word that it cannot read is a `UserError`, and no usage text of argparse's own."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message, COMMAND_LINE, f"see {self.prog} --help")


def bad_value(error: ValidationError, command: str, options: Mapping[str, str] | None = None) -> UserError:
    """The first value that pydantic refuses, by the option that gave it.

    command: whose --help lists the options. options: field -> option, where the option is not `--FIELD`.
    """
    first = error.errors()[0]
    remedy = f"see {command} --help"
    if not first["loc"]:
        return UserError(first["msg"], COMMAND_LINE, remedy)
    field = str(first["loc"][0])
    option = (options or {}).get(field, f"--{field}")
    return UserError(f"{option} {first['input']}: {first['msg'].lower()}", COMMAND_LINE, remedy)
