"""What status.json says about a running job's progress: its stage, the fraction done, and the remaining time."""

from collections.abc import Callable, Iterable

from daemon.contract.bounds import MAX_SECONDS
from daemon.contract.records import Job
from daemon.contract.status import Progress
from daemon.jobs.estimate import Estimator

#: Seconds between two updates of the remaining time while a worker is silent, as in a model's long pass.
_COUNTDOWN_SECONDS = 1.0


class Forecast:
    """Keeps the progress of the running jobs.

    Args:
        progress: of the running jobs, by id; updated here, and read by the view writer.
        clock: returns monotonic seconds.
        past: returns past jobs to learn from, oldest first; called when the first job begins.
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
        """A worker has received this job."""
        if self._past is not None:
            for earlier in self._past():
                self._estimator.learn(earlier)
            self._past = None
        self._estimator.begin(job, self._clock())

    def moved(self, job_id: str, stage: str, fraction: float) -> None:
        """A worker reports the progress of its job."""
        now = self._clock()
        self._estimator.moved(job_id, stage, fraction, now)
        self._show(job_id, stage, fraction, now)

    def count_down(self) -> None:
        """Reduce the remaining time while a worker has nothing to report."""
        now = self._clock()
        if now - self._shown_at >= _COUNTDOWN_SECONDS:
            for job_id, seen in tuple(self._progress.items()):
                self._show(job_id, seen.stage, seen.fraction, now)

    def end(self, job_id: str, *, completed: bool) -> None:
        """A worker is gone."""
        self._progress.pop(job_id, None)
        self._estimator.end(job_id, self._clock(), completed=completed)

    def checking(self, job_id: str) -> None:
        """The result is being checked, which takes a while."""
        self._show(job_id, "checking", 1.0, self._clock())

    def forget(self, job_id: str) -> None:
        """The job is no longer running."""
        self._progress.pop(job_id, None)

    def learn(self, job: Job) -> None:
        """A job ended."""
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
        """Seconds until a job is done; None if that is unknown or absurd: workers report the fractions, and may be wrong."""
        left = self._estimator.remaining(job_id, now)
        return left if left is not None and 0.0 <= left <= MAX_SECONDS else None
