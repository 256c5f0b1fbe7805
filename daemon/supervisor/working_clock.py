"""A clock that stands still while everything else does, so that no limit runs meanwhile.

A container is frozen, a process is stopped, a loop is held up by a share: then nobody looked after the workers, and the time is
not theirs. Every limit of the supervisor is measured on this clock, so no limit has to be moved when such a time is over.
"""

from collections.abc import Callable

#: While a limit runs, the clock is read at least so often, in seconds; see `daemon.supervisor.states.next_look`.
GLANCE_SECONDS = 5.0
#: If it was not read for so long, everything stood still. A round of the loop that merely has much to do is shorter.
STANDSTILL_SECONDS = 2 * GLANCE_SECONDS


class WorkingClock:
    """Seconds of a monotonic clock, without the standstills.

    A time in which nobody read it because no limit ran is left out as well, so it cannot tell how long that was.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._read = clock()
        self._left_out = self._left_out_before = 0.0
        #: The last standstill, on the other clock.
        self._stood_from = self._stood_until = float("-inf")

    def now(self) -> float:
        """The time. This is where a standstill is noticed."""
        read = self._clock()
        if read - self._read > STANDSTILL_SECONDS:
            self._stood_from, self._stood_until = self._read, read
            self._left_out_before, self._left_out = self._left_out, self._left_out + read - self._read
        self._read = read
        return read - self._left_out

    def at(self, moment: float) -> float:
        """The time that it was at a moment of the other clock; exact as far back as the last standstill but one."""
        now = self.now()
        if moment >= self._stood_until:
            return min(moment - self._left_out, now)
        return min(moment, self._stood_from) - self._left_out_before

    def moment(self, time: float) -> float:
        """When this clock will show the time, on the other one, if nothing stands still until then."""
        return time + self._left_out
