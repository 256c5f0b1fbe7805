"""How long a job still rests before its next attempt. Never longer than the pause that was decided, whatever the clock says."""

from collections.abc import Callable

from daemon.contract.records import Job

#: Seconds that a job still rests; 0 if it may run when it is its turn.
Rest = Callable[[Job], float]


def rest_left(job: Job, at: float) -> float:
    """Seconds that a job still rests, by the wall clock; 0 if it may run.

    The clock may have been set back since: then nobody knows how much of the pause has passed, and all of it is left.

    Args:
        job: what is known of it.
        at: seconds since 1970.
    """
    if job.state != "pending":
        return 0.0
    return min(max(job.retry_at - at, 0.0), job.pause)


def by_the_clock(at: float) -> Rest:
    """`rest_left` at this moment, seconds since 1970."""
    return lambda job: rest_left(job, at)
