"""Bringing jobs to their end: start the next one, publish what a worker made, or say why not.

The order at the end of a job, and why:

1. The worker's files are checked against its word and made durable. Nothing is visible yet.
2. `publishing`: all that status.json will say of the result. From here a crash is rolled forward.
3. One rename to `result/`, synced. The result is there, whole. If it is there and the sync fails, the job stays at this step
   and the sync is tried again: what `ended` says must be true for good. (Unlike a file's bytes, a folder's names are not
   dropped after a failed sync: a file system that cannot write its own records goes read-only.)
4. `ended`. The job is over.
5. `status.json`, durable: whoever reads `completed` finds the files. Then the attempt's folder goes.

The next job begins before all this, as soon as the worker is gone: the two have no file in common, what is said here of a job
speaks of that job's records alone, and the disk's work falls into the time in which the next worker computes. A crash in between
finds two jobs `started`: the one that was made is made again, as after any crash before 2.
"""

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from loguru import logger

from daemon.contract.messages import Result, Warm
from daemon.contract.records import AnyRecord, Ended, Job, Process, Publishing, Started
from daemon.contract.status import ErrorInfo, Progress, Source
from daemon.errors import DiskFull, Internal, JobError, SourceMissing, WorkerCrashed
from daemon.fs import FileSystem
from daemon.jobs import decide
from daemon.journal import UnreplayableError
from daemon.outbox import NotDurableError, Outbox, check_result
from daemon.service.commands import command
from daemon.service.forecast import Forecast
from daemon.service.ledger import Ledger
from daemon.service.settling import Fingerprint, Settling
from daemon.settings import Settings
from daemon.supervisor import Cancelled, Completed, Failed, Outcome, Stopped, Supervisor

#: Each end is a few syncs; more at once would keep the loop from everything else for too long.
_ENDED_AT_ONCE = 50
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Runs:
    """The jobs that run, and the one that is next.

    `changed` is called with the id of each job whose status.json says something new.
    """

    fs: FileSystem
    settings: Settings
    ledger: Ledger
    outbox: Outbox
    changed: Callable[[str], None]
    progress: dict[str, Progress] = field(default_factory=dict)
    stopping: bool = False
    failures: int = 0
    #: Called with a job whose picture turned out not to be complete after all.
    incomplete: Callable[[Job], None] = lambda job: None
    #: Whether the disk is to blame for an error (its code, the attempt): then it was no attempt.
    lacks_room: Callable[[str, str | None], bool] = lambda code, attempt: False
    wall_clock: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.settling = Settling(self.fs, self.outbox, self.clock)
        #: Done by their workers, and still to be checked and published; in the journal they are processing.
        self._made: deque[tuple[str, Completed]] = deque()
        self._troubles: dict[str, str] = {}

    def bind(
        self,
        supervisor: Supervisor,
        take_spare: Callable[[Warm], str | None] = lambda warm: None,
        asked_of: Callable[[Job], Warm] = lambda job: "light",
        past: Callable[[], Iterable[Job]] = lambda: (),
    ) -> None:
        """Set the supervisor that runs the workers; it calls `on_progress` and `on_end`.

        `take_spare` gives the attempt folder of a worker that is no worse than a new one for a job that asks for so much, if
        there is one; `asked_of` what a job asks for; `past` the jobs that ended, oldest first, for the forecast.
        """
        self._supervisor, self._take_spare, self._asked_of = supervisor, take_spare, asked_of
        self.forecast = Forecast(self.progress, self.changed, self.clock, past)

    # -- starting ---------------------------------------------------------------------------------------------------------

    def settle_accounts(self) -> None:
        """End some of the jobs that need no worker: refused or cancelled ones, and those whose result is only to be published."""
        for job in list(islice(self.ledger.jobs.owed.values(), _ENDED_AT_ONCE)):
            if job.attempt and job.attempt.publishing:
                self.publish(job)
            elif job.cancel_requested:
                self.end(job, decide.cancelled(job))
            elif job.refusal:
                self.end(job, decide.refused(job, job.refusal))

    def start_next(self) -> None:
        """Start as many jobs as may run at once."""
        while not self.stopping and len(self.ledger.jobs.processing) - len(self._made) < self.settings.queue.max_concurrent_jobs:
            try:
                ready = self.settling.first_ready(self.ledger.jobs.queue, self.wall_clock())
                if ready is None:
                    self._troubles.pop("start", None)
                if ready is None or not self._start(*ready):
                    return
            except OSError as error:
                self._trouble("start", f"no job can be started: {error.strerror}")
                return

    @property
    def problem(self) -> str | None:
        """What keeps jobs from going on, until it is tried again."""
        return next(iter(self._troubles.values()), None)

    def _trouble(self, at: str, problem: str) -> None:
        if problem != self._troubles.get(at):
            logger.warning("{}", problem)
        self._troubles[at] = problem

    def _start(self, job: Job, seen: Fingerprint | None) -> bool:
        """Start one job, whose picture was seen so; false if nothing can be started now.

        Raises:
            OSError: the outbox cannot be read or written.
        """
        if not self.outbox.is_healthy():
            # Between two looks at its health the outbox went away: no job must fail for that.
            raise FileNotFoundError(errno.ENOENT, "the outbox is not there")
        if seen is None and self.outbox.has_lost(job.job_id):
            return True
        if seen is None:
            error = SourceMissing(f"{job.image.to} is not in the job's source folder any more")
            self.end(job, decide.after_failure(job, error.info(), now=self.wall_clock(), seconds=None))
            return True
        if self.settling.has_changed(job, seen):
            return True
        warm = self._asked_of(job)
        attempt = self._take_spare(warm) or self.outbox.new_attempt()
        self._troubles.pop("start", None)
        self.ledger.record(Started(job=job.job_id, attempt=attempt))
        try:
            pid = self._supervisor.start(
                command(job, self.outbox, self.settings, attempt=attempt, seen=seen, warm=warm),
                log=self.outbox.job(job.job_id, b"job.log"),
                timeout_seconds=job.spec.timeout_seconds if job.spec else self.settings.worker.max_timeout_seconds,
            )
        except OSError as error:
            self._failed(job.job_id, WorkerCrashed(f"no worker could be started: {error.strerror}").info(), seconds=None)
            return False
        process = Process(
            pid=pid.pid, created=pid.created, boot_id=pid.boot_id, group=pid.group, guardian_created=pid.guardian_created
        )
        self.ledger.record(Started(job=job.job_id, attempt=attempt, process=process))
        self.forecast.begin(self.ledger.jobs.live[job.job_id])
        logger.info("{} started (attempt {})", job.job_id, self.ledger.jobs.live[job.job_id].attempts)
        self.changed(job.job_id)
        return True

    # -- what the supervisor tells ----------------------------------------------------------------------------------------

    def on_progress(self, job_id: str, stage: str, fraction: float) -> None:
        """A worker moved on."""
        self.forecast.moved(job_id, stage, fraction)

    def remaining(self) -> float | None:
        """Seconds until the first of the running jobs is done; none if that is not known."""
        return self.forecast.remaining(self.ledger.jobs.processing)

    def on_end(self, job_id: str, outcome: Outcome) -> None:
        """A worker is gone, and its whole group with it. What it completed waits for `publish_made`."""
        self.forecast.end(job_id, completed=isinstance(outcome, Completed))
        job = self.ledger.jobs.live.get(job_id)
        if job is None or job.attempt is None:
            raise AssertionError(f"the worker of {job_id} ended, but no such job was running")
        match outcome:
            case Completed():
                self._made.append((job_id, outcome))
            case Failed(error=error, retryable=retryable, seconds=seconds, source=source, warnings=warnings):
                self._failed(job_id, error, seconds=seconds, source=source, warnings=warnings, retryable=retryable)
            case Cancelled(seconds=seconds):
                self.end(job, decide.cancelled(job, seconds=seconds))
            case Stopped():
                self.end(job, decide.interrupted(job))

    def publish_made(self) -> bool:
        """Check and publish what workers have made; whether there was something."""
        there_was = bool(self._made)
        while self._made:
            job_id, made = self._made.popleft()
            self._completed(self.ledger.jobs.live[job_id], made.result, made.seconds)
        return there_was

    def _completed(self, job: Job, result: Result, seconds: float) -> None:
        if job.cancel_requested:
            self.end(job, decide.cancelled(job, seconds=seconds))
            return
        if job.attempt is None:
            raise AssertionError(f"{job.job_id} was completed without an attempt")
        attempt = job.attempt.folder
        try:
            check_result(self.fs, self.outbox.attempt(attempt), result, max_bytes=self.settings.limits.max_output_bytes)
            self.outbox.make_durable(attempt)
        except JobError as error:
            self._failed(job.job_id, error.info(), seconds=seconds, source=result.source)
            return
        except OSError as error:
            self._failed(job.job_id, _disk_trouble(error).info(), seconds=seconds, source=result.source)
            return
        publishing = Publishing(
            job=job.job_id,
            attempt=attempt,
            source=result.source,
            outputs=result.outputs,
            manifest=result.manifest,
            warnings=result.warnings,
            timings=result.timings,
            processing_seconds=round(seconds, 3),
        )
        try:
            self.ledger.record(publishing)
        except UnreplayableError as error:
            self._failed(job.job_id, _unrecordable(error).info(), seconds=seconds)
            return
        self.publish(self.ledger.jobs.live[job.job_id])

    def publish(self, job: Job) -> None:
        """Let a checked result appear and end the job; also the way a half-done publication is rolled forward."""
        publishing = job.attempt.publishing if job.attempt else None
        if publishing is None:
            raise AssertionError(f"{job.job_id} has nothing to publish")
        try:
            self.outbox.publish(job.job_id, publishing.attempt)
        except NotDurableError as error:
            self._trouble("publish", f"the result of {job.job_id} cannot be made durable: {error.strerror}")
            return
        except OSError as error:
            if error.errno in _NO_ROOM:
                # It is made, and checked: all it lacks is a name.
                self._trouble("publish", f"the result of {job.job_id} cannot be shown: {error.strerror}")
                return
            self._failed(job.job_id, _disk_trouble(error).info(), seconds=publishing.processing_seconds)
            return
        self.end(
            job,
            Ended(
                job=job.job_id,
                state="completed",
                source=publishing.source,
                warnings=job.accepted.warnings + publishing.warnings,
                processing_seconds=publishing.processing_seconds,
            ),
        )

    def _failed(
        self,
        job_id: str,
        error: ErrorInfo,
        *,
        seconds: float | None,
        source: Source | None = None,
        warnings: tuple[str, ...] = (),
        retryable: bool | None = None,
    ) -> None:
        job = self.ledger.jobs.live[job_id]
        if not self.outbox.surely_has(job_id):
            # That says nothing about the job: it runs again when the folder is back, and is cancelled if it was thrown away.
            logger.info("{} has lost its folder under its worker: {}, {}", job_id, error.code, error.message)
            self.end(job, decide.out_of_sight(job, now=self.wall_clock()))
            return
        if job.attempt and not self.outbox.may_have_folder(job.attempt.folder):
            error, retryable = WorkerCrashed("What the worker had made was removed from .work in the outbox.").info(), True
        if self.lacks_room(error.code, job.attempt.folder if job.attempt else None):
            self.end(job, decide.out_of_room(job, error))
            return
        now = self.wall_clock()
        record = self.settling.after_failure(job, error, now=now)
        if record:
            self.incomplete(job)
        else:
            record = decide.after_failure(
                job, error, now=now, seconds=seconds, source=source, warnings=warnings, retryable=retryable
            )
        self.end(job, record)

    def end(self, job: Job, record: AnyRecord) -> None:
        """Record the end of an attempt or of a job, say so, then tidy up."""
        try:
            self.ledger.record(record)
        except UnreplayableError as error:
            # Without a word of the worker's nothing is left in it that could not be read back.
            seconds = record.processing_seconds if isinstance(record, Ended) else None
            self.ledger.record(
                Ended(job=job.job_id, state="failed", error=_unrecordable(error).info(), processing_seconds=seconds)
            )
        if job.attempt and job.attempt.publishing:
            self._troubles.pop("publish", None)  # it appeared, or nobody waits for it any more
        after = self.ledger.jobs.find(job.job_id)
        if after and after.ended:
            self.settling.forget(job)
            self.forecast.learn(after)
            self.failures += after.state == "failed"
            why = f": {after.ended.error.code}, {after.ended.error.message}" if after.ended.error else ""
            logger.info("{} {}{}", job.job_id, after.state, why)
        elif after:
            logger.info(
                "{} will be tried again: {}", job.job_id, after.last_error.message if after.last_error else "it was stopped"
            )
        try:
            self.changed(job.job_id)
        except OSError as error:
            # A view: it is written as soon as it can be, at the latest by the next start.
            logger.warning("cannot write the status of {} yet: {}", job.job_id, error)
        if job.attempt:
            self._discard(job.attempt.folder)

    def _discard(self, attempt: str) -> None:
        try:
            self.outbox.discard_attempt(attempt)
        except OSError as error:
            # It is swept at the next start; nobody sees it in .work/.
            logger.warning("cannot remove the attempt {}: {}", attempt, error)

    # -- stopping ---------------------------------------------------------------------------------------------------------

    def cancel(self, job: Job) -> None:
        """Stop a job for which `cancel_requested` is recorded."""
        if job.state == "processing":
            self._supervisor.cancel(job.job_id)
        elif job.claimed:
            self.end(job, decide.cancelled(job))


def _unrecordable(error: UnreplayableError) -> JobError:
    return WorkerCrashed(f"What the worker said of this job cannot be recorded: {error}.")


def _disk_trouble(error: OSError) -> JobError:
    if error.errno in _NO_ROOM:
        return DiskFull("the disk of the outbox is full; the result could not be written")
    return Internal(f"the result could not be written: {error.strerror}")
