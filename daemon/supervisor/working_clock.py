"""A clock that stops while the whole daemon is stopped, so that this time counts towards no limit.

A container may be frozen, a process stopped, or the loop blocked by a share. Nobody watched the workers in that time, so it must
not count against them. The supervisor measures every limit on this clock, so no limit has to be moved afterwards.
"""

from collections.abc import Callable

#: While a limit runs, the clock is read at least this often, in seconds; see `daemon.supervisor.states.next_look`.
GLANCE_SECONDS = 5.0
#: If it was not read for this many seconds, everything stood still. A pass of a loop that is only busy is shorter.
STANDSTILL_SECONDS = 2 * GLANCE_SECONDS


class WorkingClock:
    """Seconds of a monotonic clock, without the time in which everything stood still.

    If nobody read it because no limit ran, that time is left out as well, because its length cannot be known.

    Args:
        clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._read = clock()
        self._left_out = self._left_out_before = 0.0
        #: The last standstill, on the monotonic clock.
        self._stood_from = self._stood_until = float("-inf")

    def now(self) -> float:
        """The time. Reading it is how a standstill is noticed."""
        read = self._clock()
        if read - self._read > STANDSTILL_SECONDS:
            self._stood_from, self._stood_until = self._read, read
            self._left_out_before, self._left_out = self._left_out, self._left_out + read - self._read
        self._read = read
        return read - self._left_out

    def at(self, moment: float) -> float:
        """This clock's time at a moment of the monotonic clock; exact back to the last standstill but one."""
        now = self.now()
        if moment >= self._stood_until:
            return min(moment - self._left_out, now)
        return min(moment, self._stood_from) - self._left_out_before

    def moment(self, time: float) -> float:
        """When this clock will show `time`, on the monotonic clock, if nothing stands still until then."""
        return time + self._left_out
