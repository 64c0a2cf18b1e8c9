"""From a YAML file and dotted overrides to a validated pydantic model, with errors that name the place and the remedy.

Generic: knows nothing of ucoder's keys. Used by `rl.config.schema`.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from rewards.text import read_fault
from rewards.user_error import COMMAND_LINE
from rl.console import UserError

KeyPath = tuple[str, ...]
Model = TypeVar("Model", bound=BaseModel)
EXTENDS = "extends"  # the key that names the file which a config starts from
MOST_ERRORS_SHOWN = 8


def load(model: type[Model], path: Path | None, overrides: Sequence[str] = ()) -> Model:
    """Read `path` (all defaults if None), apply overrides, validate.

    overrides: `["--rounds", "1", "--grpo.learning_rate=1e-5"]`; a dash in a name counts as an underscore.
    Raises UserError with every mistake found, each with its file and line.
    """
    values, places = read_yaml(path) if path is not None else ({}, {})
    for key, raw in split_overrides(overrides):
        _put(values, key, parse_value(raw, field_type(model, key), _in_mapping(model, key)), places)
        places[key] = COMMAND_LINE
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise explain(error, model, places, str(path) if path else COMMAND_LINE) from None


def read_yaml(path: Path, below: tuple[Path, ...] = ()) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    """The mapping in a YAML file, and "FILE, line N" for each of its keys. Duplicate keys are errors.

    `extends: OTHER.yaml` (a path from the file's own folder) starts from another file's mapping: sections are merged key by key, and what
    the file itself says wins. below: the files that extend this one. Raises UserError for a file that cannot be read, and for a circle.
    """
    values, places = _read_one(path)
    if EXTENDS not in values:
        return values, places
    base, where = values.pop(EXTENDS), places.pop((EXTENDS,))
    if not isinstance(base, str) or not base:
        raise UserError(f"extends names one file, not {base!r}", where, "write extends: OTHER.yaml")
    other = path.parent / base
    chain = (*below, path)
    if any(other.resolve() == seen.resolve() for seen in chain):
        raise UserError(f"{other} extends itself, by way of this file", where, "remove one of the extends lines")
    values_below, places_below = read_yaml(other, chain)
    return merged(values_below, values), places_below | places


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping laid over another; mappings inside both are merged alike.

    >>> merged({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}, "b": 4})
    {'a': {'x': 1, 'y': 3}, 'b': 4}
    """
    found = dict(below)
    for key, value in above.items():
        before = found.get(key)
        found[key] = merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return found


def _read_one(path: Path) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    """`read_yaml` without what the file extends."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.y*ml")], 1, 0.5) if path.parent.is_dir() else []
        unlike = "check the path, or give no --config for the laptop's run, configs/seedling.yaml"
        remedy = f"did you mean {path.parent / near[0]}?" if near else unlike
        raise UserError("the config file does not exist", str(path), remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the config file cannot be read: {read_fault(error)}", str(path), "give a readable UTF-8 YAML file") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise UserError(f"the config file is not valid YAML: {getattr(error, 'problem', error)}", where, "correct that line") from None
    except (ValueError, RecursionError) as error:  # an impossible date, an integer of thousands of digits, lists nested thousands deep
        said = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"the config file holds a value that cannot be read: {said}", str(path), "correct that value") from None
    if values is None:
        return {}, {}
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        raise UserError("a config file holds `key: value` lines", str(path), "see configs/seedling.yaml for an example")
    places: dict[KeyPath, str] = {}
    _note_places(node, (), places, path)
    return values, places


def _note_places(node: yaml.MappingNode, prefix: KeyPath, places: dict[KeyPath, str], path: Path) -> None:
    for key_node, value_node in node.value:
        key = (*prefix, str(key_node.value))
        place = f"{path}, line {key_node.start_mark.line + 1}"
        if key in places:
            first = places[key].rsplit(" ", 1)[1]
            raise UserError(f"the key {'.'.join(key)} is given twice", f"{place} (first: line {first})", "remove one of them")
        places[key] = place
        if isinstance(value_node, yaml.MappingNode):
            _note_places(value_node, key, places, path)


def split_overrides(overrides: Sequence[str]) -> list[tuple[KeyPath, str]]:
    """`["--a.b", "1", "--c=2"]` as `[(("a", "b"), "1"), (("c",), "2")]`. Raises UserError for any other word."""
    pairs: list[tuple[KeyPath, str]] = []
    words = list(overrides)
    while words:
        word = words.pop(0)
        if not word.startswith("--") or len(word) < 3:
            remedy = "overrides look like --rounds 1 or --grpo.learning_rate=1e-5"
            raise UserError(f"cannot read the argument {word!r}", COMMAND_LINE, remedy)
        name, equals, value = word[2:].partition("=")
        if not equals:
            if not words or words[0].startswith("--"):
                raise UserError(f"--{name} has no value", COMMAND_LINE, f"write --{name} VALUE or --{name}=VALUE")
            value = words.pop(0)
        pairs.append((tuple(name.replace("-", "_").split(".")), value))
    return pairs


def parse_value(raw: str, annotation: Any, untyped: bool = False) -> Any:
    """A command-line value: YAML where it must have structure, null as None, else the text, which pydantic converts.

    untyped: pydantic does not know what it should be, as below a key that holds any JSON: YAML decides (`false` is no text).
    """
    names_none = any("none" in typing.get_args(option) for option in _options(annotation) if typing.get_origin(option) is typing.Literal)
    if raw.lower() == "null" or (raw.lower() == "none" and not names_none):
        return None
    if untyped or (raw[:1] in "[{" and raw):
        try:
            return yaml.safe_load(raw)
        except yaml.YAMLError:
            return raw
    if any(typing.get_origin(option) in (tuple, list) for option in _options(annotation)):
        return [part.strip() for part in raw.split(",") if part.strip()]
    return raw


def _in_mapping(model: type[BaseModel], key: KeyPath) -> bool:
    """Whether a dotted key lies below one that holds any mapping."""
    return any(typing.get_origin(option) is dict for n in range(1, len(key)) for option in _options(field_type(model, key[:n])))


def _put(values: dict[str, Any], key: KeyPath, value: Any, places: Mapping[KeyPath, str]) -> None:
    for depth, name in enumerate(key[:-1], start=1):
        below = values.get(name)
        if below is None:
            below = values[name] = {}
        if not isinstance(below, dict):
            here = ".".join(key[:depth])
            remedy = f"give {here} keys of its own, or drop --{'.'.join(key)}"
            raise UserError(f"{here} is not a section", places.get(key[:depth], COMMAND_LINE), remedy)
        values = below
    values[key[-1]] = value


def _options(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union, or the one type; Annotated[...] peeled off."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _options(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(option for part in typing.get_args(annotation) for option in _options(part))
    return (annotation,)


def _section(annotation: Any) -> type[BaseModel] | None:
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def field_type(model: type[BaseModel], key: KeyPath) -> Any:
    """The annotation of a dotted key; None when there is no such key."""
    section: type[BaseModel] | None = model
    annotation: Any = None
    for name in key:
        if section is None or name not in section.model_fields:
            return None
        annotation = section.model_fields[name].annotation
        section = _section(annotation)
    return annotation


def known_keys(model: type[BaseModel], prefix: KeyPath = ()) -> dict[KeyPath, str]:
    """Every key of the model, sections included, with its description."""
    keys: dict[KeyPath, str] = {}
    for name, field in model.model_fields.items():
        keys[(*prefix, name)] = field.description or ""
        section = _section(field.annotation)
        if section is not None:
            keys.update(known_keys(section, (*prefix, name)))
    return keys


def nearest(model: type[BaseModel], key: KeyPath) -> str | None:
    """The known key most like an unknown one: in the same section, else of the same name elsewhere, else overall."""
    keys = known_keys(model)
    siblings = {known[-1]: known for known in keys if known[:-1] == key[:-1]}
    close = difflib.get_close_matches(key[-1], siblings, 1, 0.6)
    if close:
        return ".".join(siblings[close[0]])
    same_name = [".".join(known) for known in keys if known[-1] == key[-1]]
    if same_name:
        return " or ".join(same_name)
    names = {known[-1]: ".".join(known) for known in keys}
    close = difflib.get_close_matches(".".join(key), names.values(), 1, 0.7)
    if close:
        return close[0]
    close = difflib.get_close_matches(key[-1], names, 1, 0.75)
    return names[close[0]] if close else None


def explain(error: ValidationError, model: type[BaseModel], places: Mapping[KeyPath, str], fallback: str) -> UserError:
    """A pydantic error as one screen: each mistake with its place and its remedy."""
    known, found = known_keys(model), list[tuple[str, str, str]]()
    for item in error.errors(include_url=False):
        key = _real_key(model, item["loc"])
        dotted = ".".join(key) or "the config"
        where = next((places[key[:n]] for n in range(len(key), 0, -1) if key[:n] in places), fallback)
        if item["type"] == "extra_forbidden":
            near = nearest(model, key)
            here = ", ".join(sorted(k[-1] for k in known if k[:-1] == key[:-1]))
            remedy = f"did you mean {near}?" if near else f"keys here: {here}"
            found.append((f"unknown key {dotted}", where, remedy))
        elif item["type"] == "missing":
            found.append((f"{dotted} is missing", where, f"give it: {known.get(key, '') or dotted}"))
        else:
            message = item["msg"].removeprefix("Value error, ")
            if key and item["type"] != "value_error" and isinstance(item["input"], dict) and _section(field_type(model, key)) is None:
                message = "this key holds one value and has no keys below it"
            if item["type"] == "value_error":
                found.append((f"{dotted}: {message}" if key else message, where, ""))
            else:
                meaning = known.get(key, "")
                given = "" if isinstance(item["input"], dict) else f" (given: {item['input']!r})"
                found.append((f"{dotted}: {message[:1].lower()}{message[1:]}{given}", where, f"{dotted} is: {meaning}" if meaning else ""))
    if len(found) == 1:
        return UserError(*found[0])
    shown = [f"{i}. " + "\n   ".join(filter(None, mistake)) for i, mistake in enumerate(found[:MOST_ERRORS_SHOWN], 1)]
    if len(found) > MOST_ERRORS_SHOWN:
        shown.append(f"and {len(found) - MOST_ERRORS_SHOWN} more")
    return UserError(f"{len(found)} mistakes in the config\n" + "\n".join(shown), fallback, "correct each line named above")


def _real_key(model: type[BaseModel], loc: Sequence[int | str]) -> KeyPath:
    """pydantic's location without union branches and list positions: the key as a person writes it."""
    key: KeyPath = ()
    section: type[BaseModel] | None = model
    for part in loc:
        if section is None or not isinstance(part, str):
            break
        key = (*key, part)
        section = _section(section.model_fields[part].annotation) if part in section.model_fields else None
    return key
