"""Counts elapsed time by the journal's own records, so that the age of segments does not depend on the clock being right.

A single start with the clock two years ahead (an empty battery) would make all segments look old, and pruning cannot be undone.
So between two consecutive records at most a day counts, forwards or backwards. A clock that was wrong and then corrected makes
no difference in the end. A clock that stays wrong adds or subtracts a day. After long pauses, segments look younger than they
are and are kept longer.
"""

from collections.abc import Iterable
from itertools import pairwise

#: At most this many seconds count between two records. If there are records every day, all time counts.
MAX_AT_ONCE = 86400.0
#: At most about twice this many timestamps of a segment are read, because a start must be quick.
_MAX_MOMENTS = 512


def elapsed_seconds(moments: Iterable[float]) -> float:
    """The seconds that elapsed over these timestamps (seconds since 1970, in recorded order); at most a day for each step."""
    return sum(max(-MAX_AT_ONCE, min(MAX_AT_ONCE, after - before)) for before, after in pairwise(moments))


def sample_indices(count: int) -> list[int]:
    """The indices of the timestamps to read, out of `count`: evenly spaced, and always the first and the last."""
    step = max(1, count // _MAX_MOMENTS)
    return [*range(0, count - 1, step), count - 1] if count else []
