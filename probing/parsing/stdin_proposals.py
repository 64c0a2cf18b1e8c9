"""Reading an invented problem whose solution is a program: its statement and a sample of input and output. Texts only."""

from __future__ import annotations

from probing.parsing.proposals import LEAST_WORDS, NAMES, Unreadable, heading_pattern, plain_text, sections_of
from probing.parsing.stdin_texts import stdin_examples_in
from probing.reading.text import answer_text
from probing.records import STDIN, Problem, short_hash

_NAMES = {
    **{name: usual for name, usual in NAMES.items() if usual != "signature"},
    **dict.fromkeys(("input", "input format"), "input"),
    **dict.fromkeys(("output", "output format"), "output"),
    **dict.fromkeys(("sample input", "example input", "sample output", "example output", "sample", "samples"), "example"),
    **dict.fromkeys(("explanation", "note", "notes"), "explanation"),
}
_PATTERN = heading_pattern(_NAMES, behind=r"(?:#?\d{1,2}[ \t]*)?")
_PARTS = {"input": "Input", "output": "Output", "constraints": "Constraints"}  # of a statement, behind the problem itself


def read_stdin_proposal(text: str, topic: str, prefix: str) -> Problem:
    """A problem from an answer; its example is the first sample. Raises Unreadable with the reason."""
    text = answer_text(text)
    sections = sections_of(text, _NAMES, _PATTERN)
    description = plain_text(sections.get("problem", ""))
    if len(description.split()) < LEAST_WORDS:
        raise Unreadable("no statement")
    description += "".join(f"\n\n{title}:\n{sections[name]}" for name, title in _PARTS.items() if sections.get(name))
    examples = stdin_examples_in(text, statement=True)
    if not examples:
        raise Unreadable("no sample input")
    return Problem(
        id=f"{prefix}-{short_hash(description + STDIN)}",
        title=plain_text(sections.get("title", "")).split("\n")[0] or " ".join(description.split()[:6]),
        description=description,
        entry=STDIN,
        signature="",
        example=examples[0].text().strip("\n"),
        topic=topic,
    )
