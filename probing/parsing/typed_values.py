"""Typed literal values: whether a value fits an annotation, and a mutator that keeps to it (stage 4).

Annotations are syntax trees of a signature and are never evaluated; one that is not understood fits everything.
"""

from __future__ import annotations

import ast
import copy
import random
from typing import Any

_PLAIN: dict[str, type] = {"int": int, "str": str, "bool": bool, "bytes": bytes}
_SEQUENCES: dict[str, type] = {"list": list, "set": set, "frozenset": frozenset}
_ALIASES = {"List": "list", "Dict": "dict", "Set": "set", "Tuple": "tuple", "Sequence": "list", "Iterable": "list"}
_EDGE_INTS = (0, 1, -1, 2, 10, 100, -100)
_LETTERS = "abcxyzAEZ019 _-!é"


def _head(annotation: ast.expr) -> tuple[str, list[ast.expr]]:
    """Name and parameters of an annotation, `list[int]` -> ("list", [int])."""
    if isinstance(annotation, ast.Subscript):
        name, _ = _head(annotation.value)
        inner = annotation.slice
        return name, list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
    if isinstance(annotation, ast.Name):
        return _ALIASES.get(annotation.id, annotation.id), []
    if isinstance(annotation, ast.Attribute):
        return _ALIASES.get(annotation.attr, annotation.attr), []
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return "None", []
    return "?", []


class _BuiltIn(ast.NodeTransformer):
    """Names of `typing` and of modules become the built-in ones."""

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(_ALIASES.get(node.id, node.id))

    def visit_Attribute(self, node: ast.Attribute) -> ast.Name:
        return ast.Name(_ALIASES.get(node.attr, node.attr))


def plain_annotation(annotation: ast.expr) -> str:
    """The text of an annotation, in which different names of one type are the same.

    >>> plain_annotation(ast.parse("typing.List[ Dict[str,int] ]", mode="eval").body)
    'list[dict[str, int]]'
    """
    return ast.unparse(_BuiltIn().visit(copy.deepcopy(annotation)))


def fits(value: Any, annotation: ast.expr | None) -> bool:
    """Whether a literal value can be passed where the annotation stands (an int passes for a float, a bool not for an int)."""
    if annotation is None:
        return True
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return fits(value, annotation.left) or fits(value, annotation.right)
    name, parameters = _head(annotation)
    if name in _PLAIN:
        return type(value) is _PLAIN[name]
    if name == "float":
        return type(value) in (int, float)
    if name == "None":
        return value is None
    if name in ("Optional", "Union"):
        return (name == "Optional" and value is None) or any(fits(value, p) for p in parameters)
    if name in _SEQUENCES:
        items: Any = value
        return type(value) is _SEQUENCES[name] and (not parameters or all(fits(v, parameters[0]) for v in items))
    if name == "dict":
        if type(value) is not dict or len(parameters) != 2:
            return type(value) is dict
        return all(fits(k, parameters[0]) and fits(v, parameters[1]) for k, v in value.items())
    if name == "tuple":
        if type(value) is not tuple or not parameters:
            return type(value) is tuple
        if isinstance(parameters[-1], ast.Constant) and parameters[-1].value is Ellipsis:
            return all(fits(v, parameters[0]) for v in value)
        return len(value) == len(parameters) and all(fits(v, p) for v, p in zip(value, parameters, strict=True))
    return True


def mutate(value: Any, rng: random.Random) -> Any:
    """A value of the same shape of types, a little different: edge values, neighbours, shorter, longer, reordered."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, -value, value * 2, value // 2, rng.choice(_EDGE_INTS), rng.randint(-20, 20)))
    if isinstance(value, float):
        return rng.choice((value + 1, -value, value / 2, 0.0, float(rng.randint(-100, 100)) / 4))
    if isinstance(value, str):
        return _mutate_text(value, rng)
    if isinstance(value, list | tuple):
        items = _mutate_items(list(value), rng, resize=isinstance(value, list))
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        keys = _mutate_items(list(value), rng, resize=True)
        values = list(value.values())
        return {
            k: mutate(rng.choice(values), rng) if values and rng.random() < 0.5 else value.get(k, values[0] if values else 0) for k in keys
        }
    if isinstance(value, set | frozenset):
        return type(value)(_mutate_items(sorted(value, key=repr), rng, resize=True))
    return value


def _mutate_text(value: str, rng: random.Random) -> str:
    place = rng.randrange(len(value) + 1)
    return rng.choice(
        (
            value[:place] + rng.choice(_LETTERS) + value[place:],
            value[:place] + value[place + 1 :],
            value[::-1],
            value.swapcase(),
            value + value[:place],
            value[:place],
            "".join(rng.sample(value, len(value))),
            value.replace(" ", "  "),
        )
    )


def _mutate_items(items: list[Any], rng: random.Random, resize: bool) -> list[Any]:
    if not items:
        return items
    place = rng.randrange(len(items))
    # the places of a tuple may have types of their own: only their values change
    moves = ("change", "change", "shuffle", "swap", "drop", "repeat", "extend", "cut", "reverse") if resize else ("change",)
    match rng.choice(moves):
        case "change":
            items[place] = mutate(items[place], rng)
        case "shuffle":
            rng.shuffle(items)
        case "swap":
            items[place], items[0] = items[0], items[place]
        case "drop":
            del items[place]
        case "repeat":
            items.insert(place, items[place])
        case "extend":
            items += [mutate(rng.choice(items), rng) for _ in range(rng.randint(1, 3))]
        case "cut":
            items = items[:place]
        case "reverse":
            items.reverse()
    return items


def takes_literals(annotation: ast.expr) -> bool:
    """Whether values of an annotation can be written as literals: no callables, arrays or classes.

    >>> takes_literals(ast.parse("dict[str, list[int]] | None", mode="eval").body), takes_literals(ast.parse("TreeNode", mode="eval").body)
    (True, False)
    """
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return takes_literals(annotation.left) and takes_literals(annotation.right)
    if isinstance(annotation, ast.Constant) and annotation.value is Ellipsis:
        return True
    name, parameters = _head(annotation)
    known = {*_PLAIN, *_SEQUENCES, "float", "dict", "tuple", "None", "Optional", "Union", "Any", "object", "complex"}
    return name in known and all(takes_literals(p) for p in parameters)


def annotation_of(value: object) -> ast.expr:
    """The annotation of a literal value; items of different types leave a container without parameters.

    >>> ast.unparse(annotation_of([(1, "a")]))
    'list[tuple[int, str]]'
    """
    return ast.parse(_type_text(value), mode="eval").body


def _type_text(value: object) -> str:
    if isinstance(value, tuple):
        return f"tuple[{', '.join(map(_type_text, value))}]" if value else "tuple"
    if isinstance(value, dict):
        keys, values = {_type_text(k) for k in value}, {_type_text(v) for v in value.values()}
        return f"dict[{keys.pop()}, {values.pop()}]" if len(keys) == len(values) == 1 else "dict"
    if isinstance(value, list | set | frozenset):
        items = {_type_text(item) for item in value}
        return f"{type(value).__name__}[{items.pop()}]" if len(items) == 1 else type(value).__name__
    return "None" if value is None else type(value).__name__
