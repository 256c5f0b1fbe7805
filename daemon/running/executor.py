"""Where jobs run: the interface that the job runner uses, and the executor that runs them on this machine.

The runner, the journal, retries, cancels, limits and views do not know which executor is in use. `daemon.cluster.executor` is the
other one: it runs jobs on the machines of a cluster.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from daemon.contract.messages import Warm
from daemon.contract.records import Job, Process
from daemon.jobs.retry_pause import PauseLeft
from daemon.outbox import Outbox
from daemon.running.job_command import command, ffmpeg
from daemon.running.late_writes import Fingerprint
from daemon.running.model_inventory import ModelInventory
from daemon.running.warm_workers import WarmWorkers
from daemon.settings import Settings
from daemon.supervisor import Outcome, Supervisor


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt runs: the name of its folder in .work/, and the name of the machine; None: this machine."""

    attempt: str
    machine: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an executor can run no job at the moment, a clause; and what a person can do about it."""

    problem: str
    hint: str


class JobListener(Protocol):
    """Receives the progress and the ends of jobs."""

    def on_progress(self, job_id: str, stage: str, fraction: float) -> None:
        """A job progressed; `fraction` is from 0 to 1."""

    def on_end(self, job_id: str, outcome: Outcome) -> None:
        """A job's processes are gone, or given up for lost. A result is in the attempt's folder, and not checked yet."""


class Executor(Protocol):
    """Runs jobs, here or elsewhere. All methods are called by the daemon's one thread."""

    @property
    def is_here(self) -> bool:
        """Whether jobs run on this machine, so that a failure may say something about it."""

    @property
    def most(self) -> int:
        """How many jobs can run at once. At most so many results wait for their check before another job starts."""

    @property
    def trouble(self) -> Trouble | None:
        """Why no job can run at the moment; None if jobs can run."""

    def subscribe(self, listener: JobListener) -> None:
        """Report to this listener. Call this once, before the first job."""

    def candidates(self, queue: Iterable[Job], paused_for: PauseLeft, at_work: int) -> Iterable[Job]:
        """The jobs that have a place now, in the order of the queue.

        Args:
            queue: all pending jobs, in the order in which they should run.
            paused_for: returns the seconds that a job must still pause.
            at_work: how many jobs are running.
        """

    def place(self, job: Job) -> Place:
        """Take the place of a job that was among the candidates. Raises OSError if its folder cannot be made."""

    def start(self, job: Job, place: Place, seen: Fingerprint) -> Process | None:
        """Run a job. Its `started` is recorded, so nobody else will run this attempt.

        Args:
            job: the job as it was before it was started: `job.attempts` counts the earlier attempts.
            place: what `place` returned.
            seen: the picture's current fingerprint.

        Returns:
            The worker's process; None if it is on another machine.

        Raises:
            OSError: it could not be started, and nothing is left running.
        """

    def cancel(self, job_id: str) -> None:
        """Ask a running job to stop."""

    @property
    def lacking(self) -> Mapping[str, str]:
        """What pending jobs wait for besides their turn, a noun phrase, by job id. There may be further such jobs."""

    def tick(self) -> None:
        """Do what is due, and report ends."""

    def next_deadline(self) -> float | None:
        """When `tick` must be called at the latest, in monotonic seconds; None if nothing is due."""

    def shutdown(self) -> None:
        """End every job within the grace period of the settings. They end as `Stopped`."""


class LocalExecutor:
    """Runs jobs in worker processes of this machine.

    Args:
        settings: the home's settings.
        outbox: where attempt folders are.
        supervisor: starts and ends workers.
        warm_workers: the worker that is kept ready.
        inventory: the installed models.
    """

    is_here = True
    trouble = None
    lacking: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        supervisor: Supervisor,
        warm_workers: WarmWorkers,
        inventory: ModelInventory,
    ) -> None:
        self._settings, self._outbox, self._supervisor = settings, outbox, supervisor
        self._warm_workers, self._inventory = warm_workers, inventory
        #: What the workers of the places that were taken load, by attempt.
        self._warm: dict[str, Warm] = {}

    @property
    def most(self) -> int:
        """See `Executor.most`."""
        return self._settings.queue.max_concurrent_jobs

    def subscribe(self, listener: JobListener) -> None:
        """See `Executor.subscribe`."""
        self._supervisor.subscribe(listener)

    def candidates(self, queue: Iterable[Job], paused_for: PauseLeft, at_work: int) -> Iterable[Job]:
        """See `Executor.candidates`. Any job has a place as long as fewer are running than may."""
        return queue if at_work < self.most else ()

    def place(self, job: Job) -> Place:
        """See `Executor.place`."""
        warm = self._inventory.warm_for(job)
        # A further attempt gets a process that shares nothing with those before it. A warm worker cannot start another program.
        alone = job.attempts > 0 or ffmpeg(job, self._settings) is not None
        ready = None if alone else self._warm_workers.take(warm)
        place = Place(ready or self._outbox.new_attempt())
        self._warm[place.attempt] = warm
        return place

    def start(self, job: Job, place: Place, seen: Fingerprint) -> Process | None:
        """See `Executor.start`."""
        warm = self._warm.pop(place.attempt)
        return self._supervisor.start(
            command(job, self._outbox, self._settings, attempt=place.attempt, seen=seen, warm=warm),
            log=self._outbox.job(job.job_id, b"job.log"),
            timeout_seconds=job.spec.timeout_seconds if job.spec else self._settings.worker.max_timeout_seconds,
            as_program=job.attempts > 0,
        )

    def cancel(self, job_id: str) -> None:
        """See `Executor.cancel`."""
        self._supervisor.cancel(job_id)

    def tick(self) -> None:
        """See `Executor.tick`."""
        self._supervisor.tick()

    def next_deadline(self) -> float | None:
        """See `Executor.next_deadline`."""
        return self._supervisor.next_deadline()

    def shutdown(self) -> None:
        """See `Executor.shutdown`."""
        self._supervisor.shutdown()
