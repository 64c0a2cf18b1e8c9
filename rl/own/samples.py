"""Solutions that were collected elsewhere, for the user's own problems: candidates of stage 5 that nobody has to sample.

    {"id": "12", "candidates": ["def f(xs): ...", "Here is my answer: ..."]}

A row names its problem by `id` (or `task_id`), or by the statement itself. Every candidate is read by the one reader. What is trained
on, and what the probe reads, is the program in the form in which the policy answers (`as_answer`), in the policy's tokens, with the
policy's logprobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from probing.prompt import Question
from probing.prompts.asking import Ask
from probing.reading import read_voter
from probing.reading.text import closing_tag, opened_thinking
from probing.records import Candidate, Problem
from probing.stages.solutions import given_code, solve_question
from rl.console import UserError
from rl.own.source import ROW_ID, STATEMENT, Rows, first_text, half_characters, read_source

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from probing.probe.hidden_states import HiddenStates

KEY = "solutions.source"
CANDIDATES = ("candidates", "completions", "samples")
REMEDY = f"give them as a list of texts under {', '.join(CANDIDATES[:-1])} or {CANDIDATES[-1]} (docs/own-problems.md)"
LEAST = 2  # a vote of one says nothing


class CollectedSamples:
    """Candidate programs, by a problem's id or statement."""

    def __init__(self, name: str, own: Rows) -> None:
        """name: FILE.jsonl. own: the rows of `problems.source`, whose ids count. Rows without candidates are passed over. Raises UserError
        when the file cannot be read, when no row has candidates, and when those of a row are no list of texts, or it names no problem.
        """
        self._own_ids: dict[str, str] = {}  # provenance of a problem -> the id that its row has, "" without one
        for index, row in enumerate(own.rows):
            self._own_ids.setdefault(own.place(index), first_text(row, ROW_ID))
        rows = read_source(name, KEY)
        self.label, self.digest = rows.label, rows.digest
        self._texts: dict[int, list[str]] = {}  # number of a row with candidates -> these
        self._by_id: dict[str, list[int]] = {}
        self._by_statement: dict[str, list[int]] = {}
        for number, row in enumerate(rows.rows, 1):
            where, row_id, statement = f"{name}, row {number}", first_text(row, ROW_ID), first_text(row, STATEMENT)
            texts = _texts(row, where)
            if texts is None:
                continue
            if not row_id and not statement:
                raise UserError("the row names no problem", where, f"give it an id, or the statement ({', '.join(STATEMENT)})")
            self._texts[number] = texts
            for table, key in ((self._by_id, row_id), (self._by_statement, statement)):
                if key:
                    table.setdefault(key, []).append(number)
        if not self._texts:
            raise UserError(f"no row of {KEY} has candidate programs", name, REMEDY)

    def of(self, problem: Problem) -> Sequence[str]:
        """The candidates of a problem, those of the rows with its statement and of those with its row's id, in the file's order."""
        numbers = {*self._by_statement.get(problem.description, ()), *self._by_id.get(self._own_ids.get(problem.source, ""), ())}
        return [text for number in sorted(numbers) for text in self._texts[number]]

    def unusable(self, problem: Problem) -> str:
        """Why a problem cannot go on with collected samples; "" where it can."""
        if len(self.of(problem)) < LEAST:
            return "no samples" if not self.of(problem) else "one sample alone"
        return "" if problem.entry else "no entry for its samples"


def _texts(row: Mapping[str, Any], where: str) -> list[str] | None:
    found = next((row[name] for name in CANDIDATES if name in row), None)
    if found is not None and not (isinstance(found, list) and all(isinstance(text, str) for text in found)):
        raise UserError("the row's candidate programs are no list of texts", where, REMEDY)
    if half_characters(found):
        raise UserError("the row's candidate programs hold half a surrogate pair, which is no character", where, "write them in UTF-8")
    return found


def as_answer(code: str, question: Question) -> str:
    r"""A program as an answer to the question: what follows the prefill of one code block. A thinking that the prompt opens is closed.

    >>> as_answer("def f(x): return x", Question("...", prefill="```python\n"))
    'def f(x): return x\n```'
    """
    block = f"```python\n{code.strip(chr(10))}\n```"
    opened = opened_thinking(question.prefill)
    return f"{closing_tag(opened)}\n\n{block}" if opened else block.removeprefix(question.prefill)


class CandidateReader:
    """Makes candidates of collected texts, with the logprobs of one policy."""

    def __init__(self, ask: Ask, tokenizer: PreTrainedTokenizerBase, states: HiddenStates, most_tokens: int) -> None:
        """states: reads the policy. most_tokens: a longer answer is left out, since the policy itself may not give one."""
        self.ask, self.tokenizer, self.states, self.most_tokens = ask, tokenizer, states, most_tokens

    def candidates(self, problem: Problem, texts: Sequence[str]) -> list[Candidate]:
        """One candidate a text, in order; texts of more than `most_tokens` tokens are left out."""
        question = solve_question(self.ask, problem)
        answers: list[tuple[str, str | None, list[int]]] = []
        for text in texts:
            code = read_voter(text, problem.entry, given_code(problem))
            answer = text if code is None else as_answer(code, question)
            tokens = [*self._ids(answer), *self._end]
            if 0 < len(tokens) <= self.most_tokens:
                answers.append((text, code, tokens))
        prompt = self._ids(question.text)
        logprobs = self.states.token_logprobs(prompt, [tokens for _, _, tokens in answers])
        return [
            Candidate(problem.id, index, text, code, tuple(tokens), tuple(round(p, 4) for p in logprob), True)
            for index, ((text, code, tokens), logprob) in enumerate(zip(answers, logprobs, strict=True))
        ]

    @property
    def _end(self) -> list[int]:
        return [] if self.tokenizer.eos_token_id is None else [int(self.tokenizer.eos_token_id)]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
