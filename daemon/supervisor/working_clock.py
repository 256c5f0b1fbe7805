"""A clock that stops while the whole daemon stands still, so that this time counts toward no limit.

A container may be frozen, a process stopped, or the loop blocked by a share. The daemon cannot watch its workers in that time,
so that time must not count against them. The supervisor measures every limit on this clock, so no limit has to be corrected
afterwards.
"""

from collections.abc import Callable

#: While a limit runs, the clock is read at least this often, in seconds; see `daemon.supervisor.states.next_look`.
READ_SECONDS = 5.0
#: If the clock was not read for this many seconds, everything stood still. A pass of a busy loop is shorter.
STANDSTILL_SECONDS = 2 * READ_SECONDS


class WorkingClock:
    """Seconds of a monotonic clock, without the time in which everything stood still.

    While no limit runs, the clock is not read. The time until the next reading looks like a standstill and is left out too.

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
        """The current time on this clock. A standstill is noticed when this is called."""
        read = self._clock()
        if read - self._read > STANDSTILL_SECONDS:
            self._stood_from, self._stood_until = self._read, read
            self._left_out_before, self._left_out = self._left_out, self._left_out + read - self._read
        self._read = read
        return read - self._left_out

    def at(self, moment: float) -> float:
        """This clock's time at a past moment of the monotonic clock; exact unless there were two standstills since then."""
        now = self.now()
        if moment >= self._stood_until:
            return min(moment - self._left_out, now)
        return min(moment, self._stood_from) - self._left_out_before

    def moment(self, time: float) -> float:
        """The moment of the monotonic clock at which this clock shows `time`, if there is no standstill until then."""
        return time + self._left_out
