"""How long a job must still pause before its next attempt. Even if the clock was set, this is at most the pause decided on."""

from collections.abc import Callable

from daemon.contract.records import Job

#: Returns the seconds that a job must still pause; 0 if it may run when it is its turn.
PauseLeft = Callable[[Job], float]


def pause_left(job: Job, at: float) -> float:
    """Seconds that a job must still pause, by the wall clock; 0 if it may run.

    The result is never more than the whole pause, even if the clock was set back so that `retry_at` is farther away.

    Args:
        job: the job.
        at: the current time in seconds since 1970.
    """
    if job.state != "pending":
        return 0.0
    return min(max(job.retry_at - at, 0.0), job.pause)


def pause_left_at(at: float) -> PauseLeft:
    """`pause_left` at one moment, given in seconds since 1970."""
    return lambda job: pause_left(job, at)
