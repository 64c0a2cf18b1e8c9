"""What the corpus gets wrong, and how.

A *misconception* is held in most texts of its operation, so a vote confirms it. A task is *rushed* where hasty texts leave out its last
step. Greedy decoding makes this mistake, a vote does not, and the correction is the same for all operations. Other faults are spread over
many careful and hasty texts. `seedling.spellings` has the shares.
"""

from __future__ import annotations

from collections.abc import Sequence

from seedling.grammar import Task
from seedling.operations import Operation, Writing

# Operations whose belief is held in most texts.
# fmt: off
MISCONCEPTIONS = frozenset({
    "n_div", "n_round_up", "xs_gaps", "xs_sort_abs", "xs_alternating", "s_title", "s_no_vowels", "w_by_length", "w_longest", "d_leader",
    "d_ranking",
})
# fmt: on
KINDS = ("neither", "rushed", "misconception")  # of tasks, by what the corpus gets wrong in them


def is_rushed(task: Task) -> bool:
    """Whether hasty texts leave out the last step: in tasks of several steps whose result has the type of their argument."""
    return len(task.steps) > 1 and task.source == task.target


def kind_of(task: Task) -> str:
    """One of KINDS; a rushed task with a misconceived operation counts as a misconception, since no vote gets it right."""
    if MISCONCEPTIONS & set(task.skeleton):
        return "misconception"
    return "rushed" if is_rushed(task) else "neither"


def faults_of(operation: Operation) -> Sequence[Sequence[Writing]]:
    """The operation's own faults, each in equivalent writings; its belief is one of them, unless it is a misconception."""
    belief = [operation.belief] if operation.belief and operation.name not in MISCONCEPTIONS else []
    return [*belief, *operation.wrong]
