"""Whatever a program sets up at module level, its function finds it there; what only shows the function off is never run."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing.reading import read_program

pytestmark = pytest.mark.slow

HEAD = """
import heapq
from contextlib import suppress

t0 = [[3], [1], [2]]
t1 = [[5], [6], [4]]


def put(rows, k):
    rows[0].append(k)
    return k


def give(rows, k):
    same = rows
    return put(same, k)


def fill(k):
    t0[1].append(k)


def fill_by_put(k):
    for table in (t1,):
        put(table, k)


class Box:
    def __init__(self, rows):
        self.rows = rows

    def fill(self, k):
        self.rows[0].append(k)
"""
SETUP = [
    "{r} = {t}[{i}]\n{r}.append({k})",
    "{r} = {t}\n{r}[{i}].append({k})",
    "{r}, rest = {t}[{i}], 1\n{r}.append({k})",
    "{r} = {t} if {k} else t0\n{r}.append([{k}])",
    "{r} = dict(enumerate({t})).setdefault({i}, [])\n{r}.append({k})",
    "({r} := {t}).append([{k}])",
    "for {r} in {t}:\n    {r}.append({k})",
    "for _, {r} in enumerate({t}):\n    {r}[0] += {k}",
    "for {r}, _ in zip({t}, range(9)):\n    {r}.insert(0, {k})",
    "for {r} in reversed({t}):\n    node = {r}\n    for step in range(2):\n        node.append(step)",
    "[{r}.append({k}) for {r} in {t}]",
    "list(map({t}[{i}].append, [{k}]))",
    "{t}[{i}][0] -= {k}",
    "{t} += [[{k}]]",
    "del {t}[{i}][1:]",
    "spare = {k}\ndel spare",
    "while len({t}) < 5:\n    {t}.append([{k}])",
    "{t}.sort()",
    "heapq.heapify({t})",
    "put({t}, {k})",
    "put(k={k}, rows={t})",
    "put([{t}[{i}]], {k})",
    "count = put({t}, {k})",
    "give({t}, {k})",
    "print(fill({k}))",
    "fill_by_put({k})",
    "Box({t}).fill({k})",
    "box = Box({t})\nbox.fill({k})",
    "box = Box({t}[:])\nfor {r} in box.rows:\n    {r}.append({k})",
    "with suppress(KeyError):\n    {t}[{i}].append({k})",
    "try:\n    {{}}[{k}]\nexcept KeyError as error:\n    {t}[{i}].append({k})",
    "setattr(f, 'extra', {k})",
    "f.extra = {k}",
    "if {k}:\n    {t}[{i}].append({k})",
]
SHOWS = [
    "assert f() == 0",
    "print(f(1))",
    "f = f(1)",
    "del f",
    "import f",
    "from unheard_of import f",
    "with open('unheard_of') as f:\n    print(f.read())",
    "for f in [f(1)]:\n    f.append(2)",
    "try:\n    print(f(1))\nexcept ValueError as f:\n    pass",
    "n = int(input())",
    "result = f(1)\nresult.sort()",
    "if __name__ == '__main__':\n    f(1)",
]
statements = st.builds(
    lambda form, t, r, i, k: form.format(t=t, r=r, i=i, k=k),
    st.sampled_from(SETUP),
    st.sampled_from(["t0", "t1"]),
    st.sampled_from(["row", "cell"]),
    st.integers(0, 2),
    st.integers(0, 9),
)


def returned(program: str) -> Any:
    space: dict[str, Any] = {"__name__": "program"}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(program, space)
        return space["f"]()


@settings(max_examples=400)
@given(
    setup=st.lists(statements, max_size=5),
    shows=st.lists(st.sampled_from(SHOWS), max_size=3, unique=True),
    read=st.sampled_from(["t0", "t1", "t0, t1"]),
)
def test_the_function_finds_what_the_module_sets_up(setup: list[str], shows: list[str], read: str) -> None:
    entry = f"def f():\n    return [getattr(f, 'extra', None), {read}]"
    program = "\n".join([HEAD, entry, "", *setup])
    code = read_program("\n".join([program, *shows]), "f")
    assert code is not None and returned(code) == returned(program)
