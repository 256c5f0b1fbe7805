"""Counts the time that has passed by the journal's own records: the age of segments must not depend on the clock.

A single start with the clock two years ahead (an empty battery) would make everything look old, and what is pruned is gone for
ever. So between two consecutive records at most a day counts, forwards or backwards. A clock that was wrong and then corrected
leaves no trace; one that stays wrong costs a day. After long pauses, segments look younger than they are and are kept longer.
"""

from collections.abc import Iterable
from itertools import pairwise

#: The most seconds that count between two moments: with daily work, all time counts in full.
MAX_AT_ONCE = 86400.0
#: How many moments of a segment are read at most: a start must be quick.
_MAX_MOMENTS = 512


def passed(moments: Iterable[float]) -> float:
    """The seconds that passed between these moments of the wall clock (seconds since 1970), in recorded order."""
    return sum(max(-MAX_AT_ONCE, min(MAX_AT_ONCE, after - before)) for before, after in pairwise(moments))


def some(count: int) -> list[int]:
    """The indices, out of `count` moments, that are enough to read; always the first and the last."""
    step = max(1, count // _MAX_MOMENTS)
    return [*range(0, count - 1, step), count - 1] if count else []
