"""What a stage wrote reads back as what it computed, so that a resumed run goes on from the same values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing.records import Candidate, Problem, TestSuite
from rewards.records import Execution, Kind, Outcome
from rl.round_files import CANDIDATES, EXECUTIONS, PROBLEMS, PROPOSALS, SUITES, VERDICTS, BankProgram, Proposal, Stage, Verdict

OUTCOMES = st.builds(Outcome, st.sampled_from(Kind), st.text(max_size=5))
EXECUTION = st.builds(Execution, st.lists(OUTCOMES, max_size=3).map(tuple), st.integers(0, 99).map(float))
PROGRAM = st.builds(BankProgram, st.text(max_size=5), st.text(max_size=9), st.lists(st.integers(0, 9), max_size=3).map(tuple), EXECUTION)
RECORDS = {
    "proposals": (PROPOSALS, st.builds(Proposal)),
    "problems": (PROBLEMS, st.builds(Problem)),
    "suites": (SUITES, st.builds(TestSuite)),
    "candidates": (CANDIDATES, st.builds(Candidate)),
    "executions": (EXECUTIONS, PROGRAM),
    "verdicts": (VERDICTS, st.builds(Verdict)),
}


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
def test_what_is_written_reads_back(tmp_path_factory: pytest.TempPathFactory, name: str, data: Any) -> None:
    stage: Stage[Any, Any] = RECORDS[name][0]
    records = data.draw(st.lists(RECORDS[name][1].filter(lambda record: "nan" not in repr(record)), max_size=3))  # no NaN
    path = tmp_path_factory.mktemp("round") / stage.file
    stage.write(path, records)
    assert list(stage.read(path)) == records
