"""Operations on a dictionary `d` from names to integers."""

from seedling.operations.base import Operation, Values, Writing, direct

_D, _INT, _S, _W, _L, _BOOL = "dict[str, int]", "int", "str", "list[str]", "list[int]", "bool"
_NEAR, _FACTOR = range(13), range(2, 10)


def _kept(test: str) -> tuple[Writing, ...]:
    return (
        Writing("comprehension", f"{{{{k: x for k, x in {{v}}.items() if {test}}}}}"),
        Writing("loop", "out", f"out = {{{{}}}}\nfor k, x in {{v}}.items():\n    if {test}:\n        out[k] = x"),
        Writing("helper", "dict(filter(lambda p: keep(*p), {v}.items()))", f"def keep(k, x):\n    return {test}"),
    )


def _keep(name: str, label: str, phrases: list[str], test: str, wrong: list[str], **constants: Values) -> Operation:
    return Operation(name, _D, _D, label, tuple(phrases), _kept(test), tuple(_kept(t) for t in wrong), constants=constants)


def _mapped(result: str) -> tuple[Writing, ...]:
    return (
        Writing("comprehension", f"{{{{k: {result} for k, x in {{v}}.items()}}}}"),
        Writing("loop", "out", f"out = {{{{}}}}\nfor k, x in {{v}}.items():\n    out[k] = {result}"),
        Writing("builtin", f"dict(zip({{v}}, map(lambda x: {result}, {{v}}.values())))"),
    )


def _each(name: str, label: str, phrases: list[str], result: str, wrong: list[str], **constants: Values) -> Operation:
    return Operation(name, _D, _D, label, tuple(phrases), _mapped(result), tuple(_mapped(r) for r in wrong), constants=constants)


OPERATIONS: tuple[Operation, ...] = (
    _keep(
        "d_above",
        "above",
        ["keep the entries with a value greater than {k}", "keep only entries above {k}"],
        "x > {k}",
        ["x >= {k}", "x < {k}"],
        k=_NEAR,
    ),
    _keep(
        "d_even",
        "even",
        ["keep the entries with an even value", "drop the entries whose value is odd"],
        "x % 2 == 0",
        ["x % 2 == 1", "x // 2 == 0"],
    ),
    _keep(
        "d_long",
        "long names",
        ["keep the names longer than {k} letters", "keep only names of more than {k} letters"],
        "len(k) > {k}",
        ["len(k) >= {k}", "len(k) < {k}"],
        k=range(2, 6),
    ),
    _each("d_add", "sums", ["add {k} to each value", "increase every value by {k}"], "x + {k}", ["x - {k}", "x * {k}"], k=range(1, 13)),
    _each("d_mul", "products", ["multiply each value by {k}", "scale every value by {k}"], "x * {k}", ["x + {k}", "x ** {k}"], k=_FACTOR),
    _each("d_square", "squares", ["square each value", "replace every value by its square"], "x * x", ["x * 2", "x + x"]),
    direct(
        "d_name_lengths",
        _D,
        _D,
        "name lengths",
        ["replace each value by the length of its name", "map every name to its own length"],
        ["{{k: len(k) for k in {v}}}", Writing("loop", "out", "out = {{}}\nfor k in {v}:\n    out[k] = len(k)")],
        ["{{k: len(k) + 1 for k in {v}}}", "{{k: len({v}) for k in {v}}}"],
    ),
    direct(
        "d_upper",
        _D,
        _D,
        "upper names",
        ["turn each name to upper case", "write every name in capitals"],
        ["{{k.upper(): x for k, x in {v}.items()}}"],
        ["{{k.title(): x for k, x in {v}.items()}}", "{{k.lower(): x for k, x in {v}.items()}}"],
    ),
    direct(
        "d_total",
        _D,
        _INT,
        "total",
        ["take the sum of the values", "add up the values"],
        ["sum({v}.values())", "sum({v}[k] for k in {v})"],
        ["len({v})", "sum({v})", "max({v}.values(), default=0)"],
    ),
    direct(
        "d_max",
        _D,
        _INT,
        "largest",
        ["take the largest value, or 0 if there is none", "find the maximum value, 0 for an empty dictionary"],
        ["max({v}.values(), default=0)", "max({v}.values()) if {v} else 0"],
        ["max({v}.values())", "min({v}.values(), default=0)"],
    ),
    direct(
        "d_count",
        _D,
        _INT,
        "size",
        ["count the entries", "take the number of entries"],
        ["len({v})", "sum(1 for k in {v})"],
        ["sum({v}.values())", "len(set({v}.values()))"],
    ),
    direct(
        "d_leader",
        _D,
        _S,
        "leader",
        [
            "take the name with the largest value, ties by alphabet, or nothing",
            "find the first name in the alphabet with the maximum value, else an empty string",
        ],
        ['min({v}, key=lambda k: (-{v}[k], k), default="")', 'sorted({v}, key=lambda k: (-{v}[k], k))[0] if {v} else ""'],
        ['min({v}, key={v}.get, default="")'],
        'max({v}, key={v}.get, default="")',
    ),
    direct(
        "d_names",
        _D,
        _W,
        "names",
        ["list the names in alphabetical order", "sort the names"],
        ["sorted({v})", "sorted({v}.keys())"],
        ["list({v})", "sorted({v}, reverse=True)"],
    ),
    direct(
        "d_ranking",
        _D,
        _W,
        "ranking",
        ["list the names by value from small to large, ties by alphabet", "sort the names by their values, equal ones in name order"],
        ["sorted({v}, key=lambda k: ({v}[k], k))"],
        ["sorted({v}, key=lambda k: (-{v}[k], k))"],
        "sorted({v}, key={v}.get)",
    ),
    direct(
        "d_values",
        _D,
        _L,
        "values",
        ["list the values in order of their names", "take the values, sorted by name"],
        ["[{v}[k] for k in sorted({v})]", "[x for k, x in sorted({v}.items())]"],
        ["sorted({v}.values())"],
        "list({v}.values())",
    ),
    direct(
        "d_any_negative",
        _D,
        _BOOL,
        "any negative",
        ["tell whether any value is negative", "check for a value under zero"],
        ["any(x < 0 for x in {v}.values())"],
        ["all(x < 0 for x in {v}.values())", "any(x <= 0 for x in {v}.values())"],
    ),
)
