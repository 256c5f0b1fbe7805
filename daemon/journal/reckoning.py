"""How much time has passed, by what the journal itself has seen: the age of its segments must not hang on how the clock is set.

One start with the clock two years ahead (an empty battery) would make everything look old, and what is pruned is gone for ever.
So between two records that follow each other at most a day counts, forward or back: a clock that was set wrong and then right
leaves no trace, one that stays wrong costs a day. After long silences segments look younger than they are, and are kept longer.
"""

from collections.abc import Iterable
from itertools import pairwise

#: Seconds that count at most between two moments: the days of a studio that works daily count in full.
MAX_AT_ONCE = 86400.0
#: Moments of a segment that are looked at, at most: a start must not take long.
_MAX_MOMENTS = 512


def passed(moments: Iterable[float]) -> float:
    """The seconds that passed over these moments of the wall clock (seconds since 1970), in the order of their recording."""
    return sum(max(-MAX_AT_ONCE, min(MAX_AT_ONCE, after - before)) for before, after in pairwise(moments))


def some(count: int) -> list[int]:
    """The indices, of so many moments, that are enough to look at: the first and the last always."""
    step = max(1, count // _MAX_MOMENTS)
    return [*range(0, count - 1, step), count - 1] if count else []
