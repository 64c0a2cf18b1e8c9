"""Outcome matrices: what every candidate of one problem gave on every input, as integers that can be compared in bulk.

In the symbols of docs/method.md, "The quantities", σ(r) = (o(r, x_1), …, o(r, x_m)); errors and timeouts never agree
with anything, not even with each other.
What that means for a program that errs on a few inputs:

- on one input, two programs *agree* only if both gave a value and the values are canonically equal;
- two programs have *equal signatures* if they agree wherever either of them gave a value, so their errors lie at the same inputs. Two
  errors at one input are no agreement (soft rules count nothing there), they are merely no disagreement;
- a program is *valid* if at least a share ρ of its inputs gave a value. Programs that are not valid belong to no cluster and cast no vote,
  so errors alone never hold a cluster together.

Over valid programs signature equality is an equivalence: equality of code rows with every error written as -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rewards.outcomes.claims import claim_text, fulfils
from rewards.records import Execution, Kind, Outcome

Signature = Literal["outputs", "passfail"]
ERROR = -1  # agrees with nothing
MISSING = -2  # our infrastructure failed: unknown, neither right nor wrong


@dataclass(frozen=True, eq=False)
class OutcomeMatrix:
    """Outcomes of n programs on m inputs of one problem.

    >>> three, four = Outcome(Kind.VALUE, "int:3"), Outcome(Kind.VALUE, "int:4")
    >>> m = OutcomeMatrix.from_executions([Execution((three, four)), Execution((three, Outcome(Kind.TIMEOUT)))])
    >>> m.codes.tolist()
    [[0, 1], [0, -1]]
    """

    codes: np.ndarray  # int32[n, m]: index into `legend`, or ERROR, or MISSING
    weights: np.ndarray  # int64[n]: multiplicity, how many samples share this program's text; at least 1
    legend: tuple[str, ...]  # canonical text of each code, or a claim's (`rewards.outcomes.claims`); one legend for all inputs
    argument_codes: np.ndarray  # int32[m, a]: code of each argument of each input, ERROR where unknown; to find echoes
    expected_codes: np.ndarray  # int32[m]: code of what a model-written assert claims, MISSING where there is none

    def __post_init__(self) -> None:
        n, m = self.codes.shape
        assert self.weights.shape == (n,)
        assert self.argument_codes.shape[0] == m and self.expected_codes.shape == (m,)
        if n and int(self.weights.min()) < 1:
            raise ValueError("every weight (multiplicity) must be at least 1")

    @classmethod
    def from_executions(
        cls,
        executions: Sequence[Execution],
        weights: Sequence[int] | np.ndarray | None = None,
        arguments: Sequence[Sequence[Outcome]] | None = None,
        expected: Sequence[Outcome | None] | None = None,
    ) -> OutcomeMatrix:
        """Build the matrix; rows in the order of `executions`.

        weights: multiplicities, 1 each when None. arguments: for each input the canonical form of each of its arguments, so that programs
        that echo an argument can be marked. expected: for each input the output that a model-written assert claims, or None; only the
        rules `codet` and `passfail` read it. Raises ValueError when lengths differ or a weight is below 1.
        """
        n = len(executions)
        widths = {len(e.outcomes) for e in executions}
        if len(widths) > 1:
            raise ValueError(f"executions of one problem must cover the same inputs; got lengths {sorted(widths)}")
        m = widths.pop() if widths else len(arguments or expected or ())
        interned: dict[str, int] = {}
        value, missing = Kind.VALUE, Kind.INFRASTRUCTURE
        rows = [
            [
                interned.setdefault(o.payload, len(interned)) if o.kind is value else MISSING if o.kind is missing else ERROR
                for o in e.outcomes
            ]
            for e in executions
        ]
        codes = np.array(rows, dtype=np.int32).reshape(n, m)

        def code_of(outcome: Outcome | None) -> int:
            if outcome is None or outcome.kind is not value:
                return MISSING if outcome is None else ERROR
            return interned.setdefault(claim_text(outcome), len(interned))

        expected_codes = np.full(m, MISSING, dtype=np.int32)
        if expected is not None:
            if len(expected) != m:
                raise ValueError(f"{len(expected)} expected outputs for {m} inputs")
            expected_codes[:] = [code_of(o) for o in expected]
        argument_codes = np.full((m, max((len(a) for a in arguments or ()), default=0)), ERROR, dtype=np.int32)
        if arguments is not None:
            if len(arguments) != m:
                raise ValueError(f"arguments of {len(arguments)} inputs for {m} inputs")
            for j, outcomes in enumerate(arguments):
                argument_codes[j, : len(outcomes)] = [code_of(o) for o in outcomes]
        counts = np.ones(n, dtype=np.int64) if weights is None else np.asarray(weights, dtype=np.int64)
        if counts.shape != (n,):
            raise ValueError(f"{counts.size} weights for {n} executions")
        return cls(codes, counts, tuple(interned), argument_codes, expected_codes)

    @property
    def n_programs(self) -> int:
        return int(self.codes.shape[0])

    @property
    def n_inputs(self) -> int:
        return int(self.codes.shape[1])

    @property
    def missing(self) -> np.ndarray:
        """bool[n]: some outcome is missing, so the program is left out of every count and its scores are NaN."""
        return (self.codes == MISSING).any(axis=1)

    @property
    def value_share(self) -> np.ndarray:
        """float64[n]: e(r), the share of inputs that gave a value; 0 when there are no inputs."""
        return (self.codes >= 0).mean(axis=1) if self.n_inputs else np.zeros(self.n_programs)

    def valid(self, rho: float) -> np.ndarray:
        """bool[n]: not missing, and e(r) >= rho > 0 (the paper's ρ, 0.8 there)."""
        share = self.value_share
        return (share >= rho - 1e-12) & (share > 0) & ~self.missing

    @property
    def constant(self) -> np.ndarray:
        """bool[n]: the same value on every input that gave one, at least two of them."""
        values = self.codes >= 0
        low = np.where(values, self.codes, np.iinfo(np.int32).max).min(axis=1, initial=np.iinfo(np.int32).max)
        high = self.codes.max(axis=1, initial=MISSING)
        return (values.sum(axis=1) >= 2) & (low == high)

    @property
    def echo(self) -> np.ndarray:
        """bool[n]: one and the same argument came back on every input that gave a value, at least two of them."""
        values = self.codes >= 0
        found = np.zeros(self.n_programs, dtype=bool)
        for argument in self.argument_codes.T:  # few: one a position
            found |= ((self.codes == argument) | ~values).all(axis=1)
        return found & (values.sum(axis=1) >= 2)

    @property
    def degenerate(self) -> np.ndarray:
        """bool[n]: constant or echo. Told by behaviour and not by text, so that a policy cannot disguise one."""
        return self.constant | self.echo

    def select_inputs(self, columns: Sequence[int] | np.ndarray) -> OutcomeMatrix:
        """The same n programs on some of the inputs: columns int[k], in the given order."""
        index = np.asarray(columns, dtype=np.int64)
        return OutcomeMatrix(self.codes[:, index], self.weights, self.legend, self.argument_codes[index], self.expected_codes[index])

    def select_programs(self, rows: Sequence[int] | np.ndarray) -> OutcomeMatrix:
        """Some of the programs, in the given order. rows: indices int[k], or a mask bool[n]."""
        index = np.asarray(rows)
        index = index if index.dtype == bool else index.astype(np.int64)
        return OutcomeMatrix(self.codes[index], self.weights[index], self.legend, self.argument_codes, self.expected_codes)


def concatenate(*matrices: OutcomeMatrix) -> OutcomeMatrix:
    """Stack programs that ran on the same inputs (bank and group, or the slices of several ranks); codes stay comparable.

    Arguments and expected outputs are those of the first matrix. Raises ValueError when the numbers of inputs differ.
    """
    first = matrices[0]
    if len({m.n_inputs for m in matrices}) > 1:
        raise ValueError(f"outcome matrices cover different numbers of inputs: {[m.n_inputs for m in matrices]}")
    interned = {text: code for code, text in enumerate(first.legend)}
    parts = [first.codes]
    for matrix in matrices[1:]:
        recode = np.array([interned.setdefault(text, len(interned)) for text in matrix.legend] + [MISSING, ERROR], dtype=np.int32)
        parts.append(recode[matrix.codes])  # negative codes index from the end: -1 is ERROR, -2 is MISSING
    weights = np.concatenate([m.weights for m in matrices])
    return OutcomeMatrix(np.concatenate(parts), weights, tuple(interned), first.argument_codes, first.expected_codes)


def pass_bits(matrix: OutcomeMatrix) -> np.ndarray:
    """bool[n, t]: which of the t inputs with an expected output each program passes, as Python compares; a crash is a fail.

    ValueError when t is 0.
    """
    tested = np.flatnonzero(matrix.expected_codes != MISSING)
    if not len(tested):
        raise ValueError("model-written asserts are compared with here, but no input has an expected output; use rule hard or soft")
    bits = np.zeros((matrix.n_programs, len(tested)), dtype=bool)
    met = np.zeros(len(matrix.legend) + 2, dtype=bool)  # by code; the last two stand for ERROR and MISSING, and are never met
    for column, j in enumerate(tested):
        codes, expected = matrix.codes[:, j], int(matrix.expected_codes[j])
        if expected < 0:
            continue
        claim = matrix.legend[expected]
        met[:-2] = False
        met[[code for code in set(codes.tolist()) if code >= 0 and fulfils(matrix.legend[code], claim)]] = True
        bits[:, column] = met[codes]
    return bits


def signature_rows(matrix: OutcomeMatrix, signature: Signature) -> np.ndarray:
    """What programs are compared by: typed outputs int32[n, m], or the paper's bits bool[n, t] (ValueError without an assert)."""
    return pass_bits(matrix) if signature == "passfail" else matrix.codes


def no_program(n_inputs: int) -> Execution:
    """The execution of a completion that holds no program at all: refused everywhere (a wrong answer, not a missing one)."""
    return Execution((Outcome(Kind.REFUSED, "no program"),) * n_inputs)
