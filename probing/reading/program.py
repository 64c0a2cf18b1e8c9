"""The program in an answer, put together: see `probing.reading` for the steps."""

from __future__ import annotations

import ast
import re
import textwrap
import typing
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from probing.reading.assembly import import_of, indent_behind, join, kept_text
from probing.reading.blocks import Block, blocks_of
from probing.reading.definitions import (
    Definition,
    adopting_run,
    binds,
    breaks_off,
    defined_names,
    defining_run,
    definition,
    ends_in_head,
    written_lines,
)
from probing.reading.facts import facts_of
from probing.reading.forms import is_open_import, is_stub
from probing.reading.needs import Statements
from probing.reading.parsing import Parser
from probing.reading.programs import prints, reads_input, unbound, whole_program
from probing.reading.renderings import renderings
from probing.reading.runs import CodeRun, indented_parts, indented_runs, runs_of
from probing.reading.text import answer_text
from probing.records import STDIN

_ADOPTED = "\n\n\ndef {entry}(*args, **kwargs):\n    return {owner}().{entry}(*args, **kwargs)"
_INDENTED = re.compile(r"\s*?^[ \t]+(?!(?:async |def |class |from |@))\S", re.MULTILINE)  # code that begins further right than a program
_HELPERS = 20  # most parts that a program may need beside its own, and most blocks that are tried as the body of a given head


def read_program(answer: str, entry: str | None = None, given: str = "") -> str | None:
    """The program in an answer (its prefill included), or None when there is none.

    entry: name of the function that is called; what it does not need is left out of the program. None or STDIN: the answer is a program
    that reads standard input, and nothing is left out of it. given: code that the prompt gave, such as imports and helper functions: what
    the program needs of it stands before it, and where it ends in the head of the entry, the answer may go on with the entry's body.

    What defines the entry counts, the last of several (drafts, corrections) unless it is a summary. A method of that name in a class is
    called by a function of the same name behind the class. An answer that defines the entry and does not parse is given as it is; one with
    functions of other names, with those: running it says what is wrong. Never raises, whatever the text.

    >>> read_program("Sure:\\n```python\\ndef f(x):\\n    return x\\n\\nassert f(1) == 2\\n```\\nDone.", "f")
    'def f(x):\\n    return x'
    >>> read_program("    return x + 1", "f", "def f(x):")
    'def f(x):\\n    return x + 1'
    >>> read_program("I cannot do that.", "f") is None
    True
    """
    return _read(answer, entry, given, True)[0]


def read_voter(answer: str, entry: str | None = None, given: str = "", finished: bool = True) -> str | None:
    """The program in an answer that votes on others: that of `read_program`, or None where it is cut off.

    The head of a function is another function, and the heads of several answers agree where the whole ones would not. finished: whether the
    answer came to its end. Where it did not, what it ends in is cut off even if it parses; a function that has returned is not.

    >>> cut = "```python\\ndef f(xs):\\n    xs.sort()\\n"
    >>> read_voter(cut, "f", finished=False) is None, read_voter(cut, "f")
    (True, 'def f(xs):\\n    xs.sort()')
    """
    program, whole = _read(answer, entry, given, finished)
    return program if whole else None


def _read(answer: str, entry: str | None, given: str, finished: bool) -> tuple[str | None, bool]:
    """The program in an answer, and whether it is whole."""
    entry = None if entry == STDIN else entry
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about the code are of no interest here
        text = answer_text(answer)
        if not text.strip():
            return None, False
        reading = _Reading(text, given, finished)
        if (found := reading.whole(entry)) is not None:
            return found, reading.is_whole
        for other in renderings(text, entry):
            rendered = _Reading(other, given, finished)
            if (found := rendered.whole(entry)) is not None:
                return found, rendered.is_whole
        return reading.remainder(entry), reading.is_whole


@dataclass(frozen=True)
class _Helper:
    """Statements that a program needs from another part of the answer, or from the prompt."""

    text: str
    binds: set[str]
    misses: set[str]  # names that it needs in turn
    given: bool  # from the prompt


class _Reading:
    """One answer being read."""

    def __init__(self, text: str, given: str, finished: bool) -> None:
        self.text, self.finished = text, finished
        self.is_whole = True  # whether the program that was put together last is
        self.parser = Parser(len(text))
        self.given = given.replace("\r\n", "\n").replace("\r", "\n")
        self.blocks = blocks_of(text, self.parser)

    @cached_property
    def fenced(self) -> list[CodeRun]:
        return [run for block in self.blocks if block.fenced and block.python for run in runs_of(block, self.parser)]

    @cached_property
    def around(self) -> list[CodeRun]:
        """Runs of the text around the blocks, and of blocks in other languages."""
        return [run for block in self.blocks if not (block.fenced and block.python) for run in runs_of(block, self.parser)]

    @cached_property
    def unfenced(self) -> list[CodeRun]:
        """Runs of the text as if it had no fences, and of its indented parts."""
        whole = Block(self.text, False)
        return [*(runs_of(whole, self.parser) if len(self.blocks) > 1 else ()), *indented_runs(whole, self.parser)]

    @cached_property
    def prompt(self) -> list[CodeRun]:
        """Runs of the code that the prompt gave."""
        given = self.given.strip("\n")
        head = f"{given}\n{indent_behind(given)}pass"
        text = given if self.parser.body(given) is not None else head
        return runs_of(Block(text, True), self.parser) if given.strip() else []

    def whole(self, entry: str | None) -> str | None:
        """The program, where one is there that defines the entry from its first line to its last."""
        if entry is None:
            run = self.whole_run()
            return None if run is None or self.is_doubtful(run) else self.completed(run, None)
        first = self.blocks[:1]
        if first and not first[0].fenced and _INDENTED.match(first[0].text) and (continued := self.continued(entry, first)) is not None:
            return continued
        run = self.defining(entry)
        if (run is None or definition(run, entry) is Definition.STUB) and (adopted := self.adopted(entry)) is not None:
            return adopted
        if run is None or definition(run, entry) < Definition.WHOLE:  # what looked like a fence may have been in a string
            run = defining_run([*([run] if run else []), *self.unfenced], entry)
        return None if run is None or definition(run, entry) < Definition.WHOLE else self.completed(run, [entry])

    def whole_run(self) -> CodeRun | None:
        """The run that is the program of an answer without an entry."""
        return whole_program(self.fenced) or whole_program(self.around) or whole_program(self.unfenced)

    def is_doubtful(self, run: CodeRun) -> bool:
        """Whether the run is only a part of a program that the answer shows in another form: it cannot run, nor does it read and print."""
        if reads_input(run) and prints(run):
            return False
        return any(self.helper(name, run) is None for name in unbound(run))

    def remainder(self, entry: str | None) -> str | None:
        """What there is where no program is whole: a cut one, a body for the prompt's head, one that does not parse, another one."""
        if entry is None:
            run = self.whole_run()
            return None if run is None else self.completed(run, None)
        known = self.defining(entry)
        run = defining_run([*([known] if known else []), *self.unfenced], entry)
        if run is not None and definition(run, entry) is Definition.CUT:
            return self.completed(run, [entry])
        blocks = sorted(self.blocks, key=lambda block: not block.fenced)
        continued = self.continued(entry, [*blocks, *indented_parts(self.text)])
        if continued is not None or run is None:
            return continued or self.unparsed(entry) or self.other()
        return self.completed(run, [entry])

    def defining(self, entry: str) -> CodeRun | None:
        """The run that defines the entry, between fences if there is one, else around them."""
        return defining_run(self.fenced, entry, self.bound) or defining_run(self.around, entry, self.bound)

    def bound(self) -> set[str] | None:
        """Names that the answer's code and the prompt's bind; None where they import everything from somewhere."""
        statements = [s for run in (*self.fenced, *self.around, *self.prompt) for s in run.body]
        if any(isinstance(s, ast.ImportFrom) and s.names[0].name == "*" for s in statements):
            return None
        try:
            return {name for s in statements for name in facts_of(s).binds}
        except RecursionError:
            return None

    def completed(self, run: CodeRun, entries: Sequence[str] | None, adopted: bool = False) -> str:
        """The run's text, less what the entries do not need, with what it needs from other parts of the answer and from the prompt.

        adopted: the entry is a class whose method is called. Such classes are written for a judge that has the names of `typing`.
        """
        every = [True] * len(run.body)
        try:
            program = Statements(run.body, guarded=entries is None)
            wanted, hopeless, helpers = list(entries or ()), set[str](), list[_Helper]()
            for name in sorted(program.stubs(wanted)):
                if (helper := self.helper(name, run, written=True)) is not None:  # the prompt's, repeated as a stub
                    helpers.append(helper)
                    program.leave_out(name)
            while True:
                kept = every if entries is None else program.needed(wanted, entries)
                bound = {name for helper in helpers for name in helper.binds} | program.bound(kept)
                missing = program.missing(kept).union(*(helper.misses for helper in helpers)) - bound - hopeless
                if not missing or len(helpers) == _HELPERS:
                    break
                name = min(missing)
                if entries is not None and name in program.binders and name not in wanted:
                    wanted.append(name)
                elif (helper := self.helper(name, run)) is not None:
                    helpers.insert(0, helper)
                else:
                    hopeless.add(name)
            ends = (
                entries is None or program.needed(wanted, entries, harmless=False)[-1]
            )  # the run's last statement is a part of the program
            self.is_whole = not (ends and breaks_off(run, self.text, self.finished))
        except RecursionError:  # nested too deep to be looked at: as it is
            return kept_text(run.text, run.body, every)
        given = [helper.text for helper in helpers if helper.given]
        opened = [ast.unparse(s) for other in self.beside(run) for s in other.body if is_open_import(s)] if hopeless else []
        if adopted and (typed := sorted(hopeless.intersection(typing.__all__))):
            opened.append(f"from typing import {', '.join(typed)}")
        return join([*dict.fromkeys(opened), *given, *(h.text for h in helpers if not h.given), kept_text(run.text, run.body, kept)])

    def beside(self, run: CodeRun) -> list[CodeRun]:
        """The other runs: those in front of it, the last first, those behind it, the prompt's."""
        place = next((i for i, other in enumerate(self.fenced) if other.text == run.text), len(self.fenced))
        return [*reversed(self.fenced[:place]), *self.fenced[place + 1 :], *self.around, *self.unfenced, *self.prompt]

    def helper(self, name: str, run: CodeRun, written: bool = False) -> _Helper | None:
        """What binds a name outside of the run: the last in front of it, else the first behind it, else the prompt's.

        written: a stub or an import does not count.
        """
        for other in self.beside(run):
            binders = [s for s in other.body if binds(s, name)]
            weak = written and all(is_stub(s) or isinstance(s, ast.Import | ast.ImportFrom) for s in binders)
            if binders and not weak and not _inside(other.text, run.text):
                given = any(other is part for part in self.prompt)
                program = Statements(other.body)
                kept = program.needed([name], harmless=False)
                statements = [statement for statement, keep in zip(other.body, kept, strict=True) if keep]
                if len(statements) == 1 and isinstance(statements[0], ast.ImportFrom) and not program.facts[kept.index(True)].star:
                    return _Helper(import_of(statements[0], name), {name}, set(), given)
                return _Helper(kept_text(other.text, other.body, kept), program.bound(kept), program.missing(kept), given)
        return None

    def adopted(self, entry: str) -> str | None:
        """A class with a method of the entry's name, and a function of that name that calls it."""
        found = adopting_run(self.fenced, entry, self.bound) or adopting_run(self.around, entry, self.bound)
        if found is None:
            return None
        run, owner = found
        return self.completed(run, [owner], adopted=True) + _ADOPTED.format(entry=entry, owner=owner)

    def continued(self, entry: str, blocks: Sequence[Block]) -> str | None:
        """The prompt's code with a block as the body of the entry, where it ends in the entry's head and the block can be one."""
        if not self.prompt or not ends_in_head(self.prompt[-1], entry):
            return None
        head = self.given.strip("\n").rstrip()
        for block in blocks[:_HELPERS]:
            body = block.text.strip("\n")
            shapes = [body, indent_behind(head) + body.lstrip(), textwrap.indent(textwrap.dedent(body), indent_behind(head))]
            best: CodeRun | None = None
            longest = 0
            for place, shape in enumerate(shapes):
                for run in runs_of(Block(f"{head}\n{shape}", True), self.parser)[:1]:
                    length = written_lines(run, entry, must_return=place > 0)
                    if length > longest:
                        best, longest = run, length
            if best is not None:
                return self.completed(defining_run([best], entry) or best, [entry])
        return None

    def unparsed(self, entry: str) -> str | None:
        """The text of the first block that defines the entry in words and does not parse."""
        defines = re.compile(rf"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+{re.escape(entry)}\b", re.MULTILINE)
        for block in sorted(self.blocks, key=lambda block: block.fenced, reverse=True):
            found = defines.search(block.text)
            if found is not None and self.parser.body(block.text) is None:
                return (block.text if block.fenced else block.text[found.start() :]).strip("\n").rstrip()
        return None

    def other(self) -> str | None:
        """The functions and classes of the last run that has any."""
        for run in [*reversed(self.fenced), *reversed(self.around)]:
            if names := defined_names(run):
                return self.completed(run, names)
        return None


def _inside(text: str, whole: str) -> bool:
    """Whether the lines of a text are lines of another one that follow one another, their indentation aside."""
    part, lines = (["", *(line.strip() for line in t.split("\n") if line.strip()), ""] for t in (text, whole))
    return "\n".join(part) in "\n".join(lines)
