"""Measures the pauses before another attempt on the monotonic clock, so that setting the wall clock has no effect on them.

The journal records the end of each pause in wall-clock time, for the next start and for people. That time is used only once, when
the pause is first seen. A pause found at a start is never longer than the pause that was decided.
"""

from collections.abc import Callable

from daemon.contract.records import Job
from daemon.jobs.fold import Jobs
from daemon.jobs.retry_pause import pause_left

#: Pauses that are over are forgotten when there are this many more of them than pausing jobs.
_LEFTOVERS = 100


class Pauses:
    """The pauses of one process.

    Args:
        jobs: all jobs.
        clock: returns monotonic seconds.
        wall_clock: returns seconds since 1970.
    """

    def __init__(self, jobs: Jobs, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        self._jobs = jobs
        self._clock = clock
        self._wall_clock = wall_clock
        #: By job: which pause it is (its end according to the journal), and its end on the monotonic clock.
        self._ends: dict[str, tuple[float, float]] = {}

    def begin(self, job: Job) -> None:
        """Start the pause of a job, if it has one. Call this right after the pause was decided."""
        self.left(job)

    def left(self, job: Job) -> float:
        """Seconds that a job must still pause before its next attempt; 0 if its pause is over."""
        if job.state != "pending" or job.retry_at <= 0:
            return 0.0
        now = self._clock()
        pause, end = self._ends.get(job.job_id, (None, 0.0))
        if pause != job.retry_at:
            end = now + pause_left(job, self._wall_clock())
            self._ends[job.job_id] = (job.retry_at, end)
            self._forget()
        return max(0.0, end - now)

    def next_end(self) -> float | None:
        """Seconds until the first pause ends; None if no job pauses."""
        return min((left for job in self._jobs.postponed.values() if (left := self.left(job)) > 0), default=None)

    def _forget(self) -> None:
        if len(self._ends) > len(self._jobs.postponed) + _LEFTOVERS:
            self._ends = {job_id: end for job_id, end in self._ends.items() if job_id in self._jobs.postponed}
