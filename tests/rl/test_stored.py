"""Records that stay in their file read as a list does, by place, by slice and by problem."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing.records import Candidate
from rl.round_files import read_candidates, write_records
from rl.stored import Stored, grouped


def candidates(ids: list[str]) -> list[Candidate]:
    return [Candidate(pid, i, "é\n" * (i % 3), f"code {i}", (i, 2), (-0.5, -0.25), True) for i, pid in enumerate(ids)]


@given(ids=st.lists(st.text(max_size=4), max_size=12), place=st.integers(-14, 14), cut=st.slices(12))
def test_they_read_as_a_list_does(tmp_path_factory: pytest.TempPathFactory, ids: list[str], place: int, cut: slice) -> None:
    path, plain = tmp_path_factory.mktemp("s") / "candidates.jsonl", candidates(ids)
    write_records(path, plain)
    stored = read_candidates(path)
    assert len(stored) == len(plain) and list(stored) == plain and stored[cut] == plain[cut]
    if -len(plain) <= place < len(plain):
        assert stored[place] == plain[place]
    else:
        with pytest.raises(IndexError):
            stored[place]
    by_hand, by_problem = grouped(plain), grouped(stored)
    assert list(by_problem) == list(by_hand)
    for pid, its in by_hand.items():
        found = by_problem[pid]
        assert list(found) == its and len(found) == len(its) and found[0] == its[0] and found[1:] == its[1:]


def test_nothing_is_built_before_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "candidates.jsonl"
    write_records(path, candidates(["a", "a", "b"]))
    built: list[str] = []

    class Counted(Candidate):
        pass

    def build(row: dict) -> Candidate:
        built.append(row["code"])
        return Counted(**row)

    stored = Stored(path, build)
    groups = grouped(stored)
    assert built == [] and groups["b"][0].code == "code 2" and built == ["code 2"]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"index": 1, "problem_id": "a"}) + "\n")
    with pytest.raises(ValueError, match=r"line 1 of .* does not begin with its problem_id"):
        read_candidates(tmp_path / "x.jsonl")


def test_a_failure_while_writing_leaves_no_file(tmp_path: Path) -> None:
    def broken():
        yield candidates(["a"])[0]
        raise RuntimeError("the sandbox failed on too many")

    with pytest.raises(RuntimeError, match="too many"):
        write_records(tmp_path / "candidates.jsonl", broken())
    assert not (tmp_path / "candidates.jsonl").exists()
