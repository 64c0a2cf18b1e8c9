"""`ucoder config`: check a config and print it resolved, list every key with its meaning and default, or show every prompt."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from rich.markup import escape

from rewards.user_error import Options
from rl.config.loader import field_type, known_keys
from rl.config.run_folder import config_text
from rl.config.schema import Config, config_from_argv
from rl.console import UserError, make_console


def main(argv: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises UserError for what the user has to put right."""
    usage = "ucoder config [CONFIG] [--keys | --prompts [SET]] [--KEY VALUE ...]"
    epilog = (
        "CONFIG is a YAML file (left out: configs/seedling.yaml, the laptop's run; with --keys or --prompts SET: the defaults); "
        "overrides look like --rounds 1 --grpo.learning_rate 1e-5"
    )
    parser = Options(usage=usage, description=__doc__, epilog=epilog, allow_abbrev=False)
    parser.add_argument("--keys", action="store_true", help="list every key with its value and meaning")
    parser.add_argument(
        "--prompts", nargs="?", const="", metavar="SET", help="show every prompt of the config's prompt set, or of SET (a name or a folder)"
    )
    args, rest = parser.parse_known_args(argv)
    if args.keys and args.prompts is not None:
        raise UserError("--keys and --prompts are two listings", "command line", "give one of them")
    if args.keys:
        list_keys(config_from_argv(rest, defaults=True))
    elif args.prompts is not None:
        from rl.config.prompts import listing  # loads a tokenizer, which takes seconds

        if args.prompts.endswith((".yaml", ".yml")):
            raise UserError(f"{args.prompts} is no prompt set", "command line", f"write ucoder config {args.prompts} --prompts")
        named = ["--prompts", args.prompts] if args.prompts else []
        sys.stdout.write(listing(config_from_argv([*rest, *named], defaults=bool(named))))
    else:
        sys.stdout.write(config_text(config_from_argv(rest)))
    return 0


def list_keys(config: Config) -> None:
    """Every key, its value in `config`, its meaning."""
    console = make_console()
    values = config.model_dump(mode="json")
    for key, meaning in known_keys(Config).items():
        name = ".".join(key)
        if isinstance(field_type(Config, key), type) and issubclass(field_type(Config, key), BaseModel):
            console.print(f"\n[bold]{name}[/]  [dim]{escape(meaning)}[/]")
        else:
            console.print(f"  {name} = {escape(str(_at(values, key)))}  [dim]{escape(meaning)}[/]", highlight=False, soft_wrap=True)


def _at(values: Any, key: Sequence[str]) -> Any:
    """A value in nested mappings; None below one that is null."""
    for part in key:
        values = None if values is None else values[part]
    return values
