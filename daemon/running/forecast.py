"""What status.json says about a running job's progress: its stage, the fraction done, and the remaining time."""

from collections.abc import Callable, Iterable

from daemon.contract.bounds import MAX_SECONDS
from daemon.contract.records import Job
from daemon.contract.status import Progress
from daemon.jobs.estimate import Estimator

#: Seconds between two updates of the remaining time while a worker is silent, as in a model's long pass.
_COUNTDOWN_SECONDS = 1.0


class Forecast:
    """Keeps the progress of the running jobs up to date.

    Args:
        progress: by job id; updated here, and read by the view writer.
        clock: returns monotonic seconds.
        past: returns past jobs to learn from, oldest first. It is called once, when the first job begins.
    """

    def __init__(
        self,
        progress: dict[str, Progress],
        clock: Callable[[], float],
        past: Callable[[], Iterable[Job]],
    ) -> None:
        self._progress, self._clock = progress, clock
        self._past: Callable[[], Iterable[Job]] | None = past
        self._estimator = Estimator()
        self._shown_at = float("-inf")

    def begin(self, job: Job) -> None:
        """Note that a worker has received this job."""
        if self._past is not None:
            for earlier in self._past():
                self._estimator.learn(earlier)
            self._past = None
        self._estimator.begin(job, self._clock())

    def progressed(self, job_id: str, stage: str, fraction: float) -> None:
        """Show the progress that a worker reported: its stage, and the fraction of the job that is done, 0 to 1."""
        now = self._clock()
        self._estimator.progressed(job_id, stage, fraction, now)
        self._show(job_id, stage, fraction, now)

    def count_down(self) -> None:
        """Reduce the remaining times that are shown if no worker has reported anything for a while."""
        now = self._clock()
        if now - self._shown_at >= _COUNTDOWN_SECONDS:
            for job_id, seen in tuple(self._progress.items()):
                self._show(job_id, seen.stage, seen.fraction, now)

    def end(self, job_id: str, *, completed: bool) -> None:
        """Note that a job's worker is gone."""
        self._progress.pop(job_id, None)
        self._estimator.end(job_id, self._clock(), completed=completed)

    def checking(self, job_id: str) -> None:
        """Show that a job's result is being checked."""
        self._show(job_id, "checking", 1.0, self._clock())

    def forget(self, job_id: str) -> None:
        """Remove the progress of a job that is no longer running."""
        self._progress.pop(job_id, None)

    def learn(self, job: Job) -> None:
        """Learn from a job that ended."""
        self._estimator.learn(job)

    def remaining(self, jobs: Iterable[str]) -> float | None:
        """Seconds until the first of these running jobs is done; None if unknown."""
        now = self._clock()
        known = (self._left(job_id, now) for job_id in jobs)
        return min((left for left in known if left is not None), default=None)

    def _show(self, job_id: str, stage: str, fraction: float, now: float) -> None:
        left = self._left(job_id, now)
        self._progress[job_id] = Progress(stage=stage, fraction=fraction, eta_seconds=None if left is None else round(left, 1))
        self._shown_at = now

    def _left(self, job_id: str, now: float) -> float | None:
        """Seconds until a job is done; None if unknown, or if the estimate is absurd because a worker reports wrong fractions."""
        left = self._estimator.remaining(job_id, now)
        return left if left is not None and 0.0 <= left <= MAX_SECONDS else None
