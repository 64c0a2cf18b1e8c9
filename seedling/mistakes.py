"""Which operations the corpus gets wrong, and how.

A *misconception* is held in most texts of its operation, so a vote confirms it. A *trap* is wrong in the hasty text alone: greedy decoding
falls into it, a vote does not. The other operations are right in their hasty text. `seedling.spellings` has the shares.
"""

from __future__ import annotations

from collections.abc import Sequence

from seedling.operations import Operation, Writing

# Operations whose belief is held in most texts; those with another belief are traps.
# fmt: off
MISCONCEPTIONS = frozenset({
    "n_div", "n_round_up", "xs_div", "xs_gaps", "xs_weighted", "xs_sort_abs", "xs_alternating", "xs_median", "s_title", "s_pad",
    "s_no_vowels", "w_vowels", "w_by_length", "w_longest", "d_div", "d_best", "d_leader", "d_ranking",
})
# fmt: on
# Traps without a belief: the places in `Operation.wrong` of the hasty text's fault (of two where these behave alike).
TRAPS: dict[str, tuple[int, ...]] = {
    "n_padded": (1,),  # spaces for zeros
    "xs_running": (0,),  # without the number itself
    "xs_spread": (1,),  # last minus first
    "xs_squares_sum": (0,),  # the square of the sum
    "s_no_spaces": (0,),  # strip
    "s_double": (0, 1),  # the whole string
    "w_capital": (0,),  # all capitals
    "w_letters": (1,),  # with spaces between
    "d_distinct": (1,),  # of the names
    "d_names": (0,),  # unsorted
}


def trap_fault(operation: Operation) -> Sequence[Writing]:
    """The fault of the hasty text, the hasty writing first; empty where the operation is no trap."""
    if operation.belief:
        return () if operation.name in MISCONCEPTIONS else operation.belief
    return tuple(writing for place in TRAPS.get(operation.name, ()) for writing in operation.wrong[place])


def other_faults(operation: Operation) -> Sequence[Sequence[Writing]]:
    """The faults that careful texts may have, each in equivalent writings."""
    return [writings for place, writings in enumerate(operation.wrong) if place not in TRAPS.get(operation.name, ())]
