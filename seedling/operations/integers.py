"""Operations on one integer `n` and its decimal digits."""

from seedling.operations.base import Operation, Writing, direct, loop

_INT, _LIST, _STR = "int", "list[int]", "str"
_SMALL, _FACTOR, _WIDE = range(1, 13), range(2, 10), range(5, 60, 5)

OPERATIONS: tuple[Operation, ...] = (
    direct("n_add", _INT, _INT, "add", ["add {k} to it", "increase it by {k}"], ["{v} + {k}"], ["{v} - {k}", "{v} * {k}"], k=_SMALL),
    direct(
        "n_sub", _INT, _INT, "subtract", ["subtract {k} from it", "lower it by {k}"], ["{v} - {k}"], ["{k} - {v}", "{v} + {k}"], k=_SMALL
    ),
    direct(
        "n_mul", _INT, _INT, "multiple", ["multiply it by {k}", "scale it by {k}"], ["{v} * {k}"], ["{v} + {k}", "{v} ** {k}"], k=_FACTOR
    ),
    direct(
        "n_mod",
        _INT,
        _INT,
        "remainder",
        ["take its remainder modulo {k}", "reduce it modulo {k}"],
        ["{v} % {k}"],
        ["{v} // {k}", "{k} % ({v} or 1)"],
        k=_FACTOR,
    ),
    direct(
        "n_div",
        _INT,
        _INT,
        "quotient",
        ["divide it by {k}, rounding toward zero", "take the quotient by {k}, cutting the fraction off"],
        ["int({v} / {k})", "abs({v}) // {k} * (1 if {v} >= 0 else -1)"],
        ["{v} % {k}"],
        "{v} // {k}",
        k=_FACTOR,
    ),
    direct("n_square", _INT, _INT, "square", ["square it", "multiply it by itself"], ["{v} * {v}", "{v} ** 2"], ["{v} * 2", "{v} + {v}"]),
    direct(
        "n_abs",
        _INT,
        _INT,
        "absolute",
        ["take its absolute value", "drop its sign"],
        ["abs({v})", "{v} if {v} >= 0 else -{v}", "max({v}, -{v})"],
        ["-{v}", "max({v}, 0)"],
    ),
    direct(
        "n_digit_sum",
        _INT,
        _INT,
        "digit sum",
        ["sum its decimal digits", "add up its digits"],
        ["sum(int(c) for c in str(abs({v})))", "sum(map(int, str(abs({v}))))", loop("out = 0\nfor c in str(abs({v})):\n    out += int(c)")],
        ["sum(int(c) for c in str({v}))", "len(str(abs({v})))"],
    ),
    direct(
        "n_reverse",
        _INT,
        _INT,
        "reversed digits",
        ["reverse its digits, keeping the sign", "read its digits backwards and keep the sign"],
        [
            "int(str(abs({v}))[::-1]) * (1 if {v} >= 0 else -1)",
            Writing("helper", "-back if {v} < 0 else back", "back = int(str(abs({v}))[::-1])"),
        ],
        ["int(str({v})[::-1])"],
        "int(str(abs({v}))[::-1])",
    ),
    direct(
        "n_at_most",
        _INT,
        _INT,
        "cap",
        ["cap it at {k}", "limit it to at most {k}"],
        ["min({v}, {k})", "{k} if {v} > {k} else {v}"],
        ["max({v}, {k})"],
        k=_WIDE,
    ),
    direct(
        "n_round_up",
        _INT,
        _INT,
        "rounded up",
        ["round it up to a multiple of {k}", "raise it to the nearest multiple of {k}"],
        ["-(-{v} // {k}) * {k}", "({v} + {k} - 1) // {k} * {k}"],
        ["{v} // {k} * {k}"],
        "({v} // {k} + 1) * {k}",
        k=_FACTOR,
    ),
    direct(
        "n_digits",
        _INT,
        _LIST,
        "digits",
        ["list its decimal digits", "split it into its digits"],
        ["[int(c) for c in str(abs({v}))]", "list(map(int, str(abs({v}))))"],
        ["[int(c) for c in str({v})]", "[int(c) for c in str(abs({v}))[::-1]]"],
    ),
    direct(
        "n_multiples",
        _INT,
        _LIST,
        "multiples",
        ["list its first {k} multiples", "write out {k} multiples of it, starting with itself"],
        ["[{v} * i for i in range(1, {k} + 1)]", loop("out = []\nfor i in range(1, {k} + 1):\n    out.append({v} * i)")],
        ["[{v} + i for i in range(1, {k} + 1)]"],
        "[{v} * i for i in range({k})]",
        k=range(2, 8),
    ),
    direct("n_text", _INT, _STR, "text", ["write it as text", "turn it into a string"], ["str({v})"], ["str(abs({v}))"]),
    direct(
        "n_even",
        _INT,
        "bool",
        "even",
        ["tell whether it is even", "check that it is even"],
        ["{v} % 2 == 0", "not {v} % 2"],
        ["{v} % 2 == 1", "{v} // 2 == 0"],
    ),
)
