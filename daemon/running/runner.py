"""Runs jobs: starts the next one, receives events of the running ones, and records how they end.

`daemon.running.publishing` checks and publishes what a worker made; `daemon.running.failures` handles failures.

The next job begins as soon as the worker has exited, before its result is checked, so that the disk works while the next worker
computes. That is safe: the two jobs share no file, and the order of a job's records concerns only that job. After a crash in
between, the journal says that both jobs were started, and the finished job runs again.
"""

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from loguru import logger

from daemon.contract.records import AnyRecord, Ended, Job, Started
from daemon.errors import SourceMissing
from daemon.fs import FileSystem
from daemon.health.system_health import SystemHealth
from daemon.jobs import decide
from daemon.jobs.follow_ups import owed_after
from daemon.jobs.told import end_of, start_of
from daemon.journal import UnreplayableError
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.running.executor import Executor, Place
from daemon.running.failures import FailureHandler
from daemon.running.forecast import Forecast
from daemon.running.late_writes import Fingerprint, LateWrites
from daemon.running.pauses import Pauses
from daemon.running.publishing import Results, unrecordable
from daemon.running.returning import Returns
from daemon.settings import Settings
from daemon.supervisor import Cancelled, Completed, Failed, Outcome, Stopped
from daemon.troubles import Troubles

#: At most this many jobs are ended in one pass. Each end takes a few syncs, and the loop has other work.
_ENDED_AT_ONCE = 50
#: Names for `Troubles` of what concerns no single job. They cannot be job ids, because those contain no space.
_START = "the start"
_RETURN = "the way back"


@dataclass
class JobRunner:
    """Starts jobs, and brings the running ones to their end.

    The executor calls `on_progress` and `on_end`. `system_health` says whether work can continue, and who is at fault for a
    failure. `clock` returns monotonic seconds, `wall_clock` seconds since 1970. `failures` counts the jobs that failed.
    """

    fs: FileSystem
    settings: Settings
    ledger: Ledger
    outbox: Outbox
    executor: Executor
    system_health: SystemHealth
    forecast: Forecast
    pauses: Pauses
    settling: LateWrites
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    failures: int = 0
    _stopping: bool = False
    #: What keeps jobs from starting or from returning to the inbox (`_START`, `_RETURN`).
    _troubles: Troubles = field(default_factory=Troubles)

    def __post_init__(self) -> None:
        paths, limits = self.settings.paths, self.settings.limits
        self.returns = Returns(self.fs, paths.inbox_bytes, self.outbox, self.ledger, self.settling)
        self.failure_handler = FailureHandler(
            self.ledger,
            self.outbox,
            self.returns,
            self.settling,
            self.end,
            self.system_health,
            lambda: not self._stopping and self.executor.is_here,
            self.wall_clock,
        )
        self.results = Results(
            self.fs,
            int(limits.max_output_bytes),
            self.ledger,
            self.outbox,
            self.failure_handler,
            self.end_all,
            self.forecast.checking,
            self.clock,
        )

    # -- starting ---------------------------------------------------------------------------------------------------------

    def end_without_worker(self) -> None:
        """Continue with jobs that need no worker, `_ENDED_AT_ONCE` at most: end, return or publish them."""
        for job in list(islice(self.ledger.jobs.workerless.values(), _ENDED_AT_ONCE)):
            if job.attempt and job.attempt.publishing:
                self.results.publish(job)
            elif job.place != "source":
                self._return(job)
            elif job.cancel_requested:
                self.end(job, decide.cancelled(job))
            elif job.refusal:
                self.end(job, decide.refused(job, job.refusal))

    def _return(self, job: Job) -> None:
        """Continue to return a job's files to the inbox, or to fetch them from there."""
        try:
            record = self.returns.continue_return(job)
        except OSError as error:
            self._troubles.tell(_RETURN, f"the files of {job.job_id} cannot be moved: {error.strerror}")
            return
        self._troubles.over(_RETURN)
        self.end(job, record)

    def end_removed_returns(self) -> None:
        """End each returned job if somebody removed its picture from the inbox."""
        for job in self.returns.missing():
            self.end(job, decide.taken_back(job))

    def start_next(self) -> None:
        """Start jobs until the allowed number is running, or until no other job may start."""
        executor = self.executor
        # Unchecked results take up disk space, so workers must not get too far ahead of the checks.
        while not self._stopping and self._at_work() < executor.most and len(self.results) <= executor.most:
            try:
                candidates = executor.candidates(self.ledger.jobs.queue, self.pauses.left, self._at_work())
                ready = self.settling.ready(candidates, self.pauses.left, executor.most - self._at_work())
                if not ready:
                    self._troubles.over(_START)
                if not ready or not self._start(ready):
                    return
            except OSError as error:
                self._troubles.tell(_START, f"no job can be started: {error.strerror}")
                return

    def _at_work(self) -> int:
        """How many jobs have a worker, or have failed for a cause that is still undecided."""
        unfinished = [job for job in self.ledger.jobs.processing.values() if not (job.attempt and job.attempt.publishing)]
        return len(unfinished) - len(self.results)

    def is_busy(self) -> bool:
        """Whether a job is running, or its result or failure is being examined."""
        return self._at_work() > 0 or len(self.results) > 0

    @property
    def problem(self) -> str | None:
        """Why jobs cannot continue at the moment; None if they can."""
        trouble = self.executor.trouble
        return self._troubles.first or (trouble.problem if trouble else None) or self.results.kept

    def _start(self, ready: Sequence[tuple[Job, Fingerprint | None]]) -> bool:
        """Start jobs, or record why they cannot run. Each has its picture's fingerprint; None if the picture is missing.

        Returns False if no other job can be started now.

        Raises:
            OSError: the outbox cannot be read or written.
        """
        if not self.outbox.is_healthy():
            # The outbox disappeared between two health checks: no job must fail for that.
            raise FileNotFoundError(errno.ENOENT, "the outbox is not there")
        unchanged = [(job, seen) for job, seen in ready if seen is not None and not self.settling.has_changed(job, seen)]
        self.end_all([self._without_picture(job) for job, seen in ready if seen is None and not self.outbox.has_lost(job.job_id)])
        if not unchanged:
            return True
        if not self.system_health.may_start():
            return False
        placed = self._place(unchanged)
        self._troubles.over(_START)
        self.ledger.record(*(Started(job=job.job_id, attempt=at.attempt, machine=at.machine) for job, _, at in placed))
        begun = [self._start_at(at, job, seen) for job, seen, at in placed]
        return all(begun)

    def _without_picture(self, job: Job) -> tuple[Job, AnyRecord]:
        error = SourceMissing(f"{job.image.to} is no longer in the job's source folder")
        return job, decide.after_failure(job, error.info(), now=self.wall_clock(), seconds=None)

    def _place(self, jobs: Sequence[tuple[Job, Fingerprint]]) -> list[tuple[Job, Fingerprint, Place]]:
        """Take places for the first of these jobs. Raises OSError if even the first gets none."""
        placed = list[tuple[Job, Fingerprint, Place]]()
        for job, seen in jobs:
            try:
                placed.append((job, seen, self.executor.place(job)))
            except OSError:
                if not placed:
                    raise
                break  # the next try reports it
        return placed

    def _start_at(self, place: Place, job: Job, seen: Fingerprint) -> bool:
        """Start a job whose `started` is recorded. Returns False if that fails."""
        try:
            process = self.executor.start(job, place, seen)
        except OSError as error:
            self.failure_handler.not_started(job.job_id, error.strerror or str(error), here=self.executor.is_here)
            return False
        if process is not None:
            self.ledger.record(Started(job=job.job_id, attempt=place.attempt, process=process, machine=place.machine))
        self.forecast.begin(self.ledger.jobs.live[job.job_id])
        logger.info("{}", start_of(job.job_id, self.ledger.jobs.live[job.job_id].attempts, place.machine))
        return True

    # -- what the executor tells ------------------------------------------------------------------------------------------

    def on_progress(self, job_id: str, stage: str, fraction: float) -> None:
        """A worker reported progress."""
        self.forecast.progressed(job_id, stage, fraction)

    def on_end(self, job_id: str, outcome: Outcome) -> None:
        """A worker and its whole process group are gone. A result is published later by `check_and_publish`."""
        self.forecast.end(job_id, completed=isinstance(outcome, Completed))
        job = self.ledger.jobs.live.get(job_id)
        if job is None or job.attempt is None:
            raise AssertionError(f"the worker of {job_id} ended, but no such job was running")
        match outcome:
            case Completed():
                self.results.add(job_id, outcome)
            case Failed():
                self.failure_handler.failed(job_id, outcome)
            case Cancelled(seconds=seconds):
                self.end(job, decide.cancelled(job, seconds=seconds))
            case Stopped():
                self.end(job, decide.interrupted(job))

    def check_and_publish(self) -> bool:
        """Continue checking and publishing results. Returns whether there was anything to do."""
        return self.results.continue_checks()

    def begin_stop(self) -> None:
        """Start no more jobs, because the daemon stops."""
        self._stopping = True

    def stop(self) -> None:
        """Record the last results and failures, because the daemon stops. Call this when all workers are gone."""
        self.results.stop()
        self.failure_handler.release()

    def end(self, job: Job, record: AnyRecord) -> None:
        """Record the end of an attempt or of a job, then clean up."""
        self.end_all([(job, record)])

    def end_all(self, ends: Sequence[tuple[Job, AnyRecord]]) -> None:
        """`end` for several jobs, with one sync of the journal."""
        if not ends:
            return
        try:
            self.ledger.record(*(self._with_what_it_owes(record) for _, record in ends))
        except UnreplayableError as error:
            if len(ends) > 1:  # only one of them is at fault
                for one in ends:
                    self.end_all([one])
                return
            # Leave out the worker's texts: only they can be what could not be read back.
            ((job, record),) = ends
            seconds = record.processing_seconds if isinstance(record, Ended) else None
            failed = Ended(job=job.job_id, state="failed", error=unrecordable(error).info(), processing_seconds=seconds)
            self.ledger.record(self._with_what_it_owes(failed))
        for job, _ in ends:
            self._clean_up(job)

    def _clean_up(self, job: Job) -> None:
        """Forget an attempt or a job that has just ended. `job`: as it was before."""
        self.results.forget(job.job_id)
        self.forecast.forget(job.job_id)
        after = self.ledger.jobs.find(job.job_id)
        if after and after.ended:
            self.settling.forget(job)
            self.failure_handler.forget(job.job_id)
            self.forecast.learn(after)
            self.failures += after.state == "failed"
            if not after.discarded:  # otherwise its folder was moved away, and that was said
                logger.info("{}", end_of(after))
        elif after and after.place != "source":
            logger.info("{} waits in the inbox for the rest of its picture", job.job_id)
        elif after:
            self.pauses.begin(after)
            if job.state == "processing":
                why = after.last_error.message if after.last_error else "it was stopped"
                logger.info("{} will be tried again: {}", job.job_id, why)
        if job.attempt:
            self._discard(job.attempt.folder)

    def _with_what_it_owes(self, record: AnyRecord) -> AnyRecord:
        """The record, with what is to be done after this end: its delivery and its hook, if the settings ask for them."""
        if not isinstance(record, Ended):
            return record
        hooks, delivers = self.settings.hooks, self.settings.paths.deliveries is not None
        owes = owed_after(record.state, delivers=delivers, has_hook=hooks.command(record.state) is not None)
        return replace(record, owes=owes)

    def _discard(self, attempt: str) -> None:
        try:
            self.outbox.discard_attempt(attempt)
        except OSError as error:
            # It is removed at the next start; in .work/ nobody sees it.
            logger.warning("cannot remove the attempt {}: {}", attempt, error)

    # -- stopping ---------------------------------------------------------------------------------------------------------

    def cancel(self, job: Job) -> None:
        """Stop a job for which `cancel_requested` is recorded."""
        if job.state == "processing":
            self.executor.cancel(job.job_id)
        elif job.claimed and job.place == "source":
            self.end(job, decide.cancelled(job))
