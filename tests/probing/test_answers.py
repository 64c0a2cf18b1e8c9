"""Sections and blocks in answers."""

from probing.answers import code_block, headed_sections


def test_sections_end_at_the_next_heading():
    assert headed_sections("### Title\na\nb\n### Problem\nc") == {"Title": "a\nb", "Problem": "c"}


def test_the_first_of_equal_headings_counts():
    assert headed_sections("### Title\na\n### Title\nb")["Title"] == "a"


def test_no_code_block_is_none():
    assert code_block("plain") is None
