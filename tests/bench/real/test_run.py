"""The file of a real model's rounds keeps every attempt."""

from __future__ import annotations

from typing import Any

from bench.real.run import with_attempt


def attempt(number: int, gain: float) -> dict[str, Any]:
    lead = {"base": 0.4, "final": 0.4 + gain / 100, "gain": gain, "gain_ci": [gain - 3, gain + 3], "minutes": 60.0}
    return {"attempt": number, "what": f"attempt {number}", "lead": lead, "controls": [{"arm": f"control of {number}"}]}


def test_the_last_attempt_stands_in_front_and_the_others_stay() -> None:
    record = with_attempt(with_attempt({}, attempt(2, 3.5)), attempt(1, 2.0))
    assert (record["attempt"], record["gain"]) == (2, 3.5)
    assert record["controls"] == [{"attempt": 1, "arm": "control of 1"}, {"attempt": 2, "arm": "control of 2"}]
    assert [one["attempt"] for one in record["attempts"]] == [1, 2]


def test_an_attempt_that_is_collected_again_is_replaced() -> None:
    record = with_attempt(with_attempt({}, attempt(1, 2.0)), attempt(1, 1.0))
    assert [one["lead"]["gain"] for one in record["attempts"]] == [1.0]


def test_a_file_of_the_former_form_gives_way() -> None:
    assert with_attempt({"gain": 9.0, "lead": {}}, attempt(1, 2.0))["gain"] == 2.0
