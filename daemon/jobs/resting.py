"""How long a job still pauses before its next attempt: never longer than the pause that was decided, whatever the clock says."""

from collections.abc import Callable

from daemon.contract.records import Job

#: Returns the seconds that a job still pauses; 0 if it may run when it is its turn.
Rest = Callable[[Job], float]


def rest_left(job: Job, at: float) -> float:
    """Seconds that a job still pauses, by the wall clock; 0 if it may run.

    If the clock was set back, nobody knows how much of the pause has passed, so the whole pause remains.

    Args:
        job: what is known of it.
        at: seconds since 1970.
    """
    if job.state != "pending":
        return 0.0
    return min(max(job.retry_at - at, 0.0), job.pause)


def by_the_clock(at: float) -> Rest:
    """`rest_left` at one moment, given in seconds since 1970."""
    return lambda job: rest_left(job, at)
