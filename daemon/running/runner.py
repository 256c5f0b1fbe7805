"""Bringing jobs to their end: start the next one, publish what a worker made, or say why not.

The order at the end of a job, and why:

1. The worker's files are checked against its word and made durable. Nothing is visible yet.
2. `publishing`: all that status.json will say of the result. From here a crash is rolled forward.
3. One rename to `result/`, synced. The result is there, whole. If it is there and the sync fails, the job stays at this step
   and the sync is tried again: what `ended` says must be true for good. (Unlike a file's bytes, a folder's names are not
   dropped after a failed sync: a file system that cannot write its own records goes read-only.)
4. `ended`. The job is over.
5. `status.json`, durable: whoever reads `completed` finds the files. Then the attempt's folder goes.

Whose fault a failure is, this job's or the world's, is decided in one place, `daemon.jobs.fault`. Where it is the world's, no
attempt counts and the queue rests; a result that is checked waits at its step until it can be shown.

The next job begins before all this, as soon as the worker is gone: the two have no file in common, what is said here of a job
speaks of that job's records alone, and the disk's work falls into the time in which the next worker computes. A crash in between
finds two jobs `started`: the one that was made is made again, as after any crash before 2.
"""

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from loguru import logger

from daemon.contract.messages import Result, Warm
from daemon.contract.records import AnyRecord, Ended, Job, Process, Publishing, Returned, Started
from daemon.contract.status import Progress
from daemon.errors import DiskFull, Internal, JobError, SourceMissing, WorkerCrashed
from daemon.fs import FileSystem
from daemon.health.world import UNDECIDED, World
from daemon.jobs import decide
from daemon.jobs.fault import Cause, Failure, no_start
from daemon.journal import UnreplayableError
from daemon.journal.ledger import Ledger
from daemon.outbox import NotDurableError, Outbox, check_result
from daemon.running.commands import command
from daemon.running.forecast import Forecast
from daemon.running.late_writes import Fingerprint, LateWrites
from daemon.running.pauses import Pauses
from daemon.running.returning import Returns
from daemon.settings import Settings
from daemon.supervisor import Cancelled, Completed, Failed, Outcome, Stopped, Supervisor

#: Each end is a few syncs; more at once would keep the loop from everything else for too long.
_ENDED_AT_ONCE = 50
#: Where a job's id stands otherwise; no id has a blank in it.
_START = "the start"
_RETURN = "the way back"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
#: What a person is told while a result that is made cannot be shown.
KEPT_HINT = "It is finished and kept, and is shown by itself as soon as that is possible."


@dataclass
class JobRunner:
    """The jobs that run, and the one that is next."""

    fs: FileSystem
    settings: Settings
    ledger: Ledger
    outbox: Outbox
    progress: dict[str, Progress] = field(default_factory=dict)
    stopping: bool = False
    failures: int = 0
    #: Whether work can go on at all, and whose fault a failure is; without it every failure is the job's.
    world: World | None = None
    wall_clock: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.settling = LateWrites(self.fs, self.outbox, self.clock)
        self.pauses = Pauses(self.ledger.jobs, lambda: self.clock(), lambda: self.wall_clock())
        self.returns = Returns(self.fs, self.settings.paths.inbox_bytes, self.outbox, self.ledger, self.settling)
        #: Done by their workers, and still to be checked and published; in the journal they are processing.
        self._made: deque[tuple[str, Completed]] = deque()
        #: What keeps jobs from their start or from the inbox (`_START`, `_RETURN`); and the results that cannot be shown, by job.
        self._troubles: dict[str, str] = {}
        #: Failures of which a canary has not told yet whose fault they are; in the journal these jobs are processing.
        self._suspects: dict[str, tuple[Failure, Failed]] = {}
        #: How often a job failed by the fault of the world.
        self._excused: dict[str, int] = {}

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
        self.forecast = Forecast(self.progress, self.clock, past)

    # -- starting ---------------------------------------------------------------------------------------------------------

    def settle_accounts(self) -> None:
        """End some of the jobs that need no worker: refused or cancelled ones, and those whose result is only to be published."""
        for job in list(islice(self.ledger.jobs.owed.values(), _ENDED_AT_ONCE)):
            if job.attempt and job.attempt.publishing:
                self.publish(job)
            elif job.place != "source":
                self._return(job)
            elif job.cancel_requested:
                self.end(job, decide.cancelled(job))
            elif job.refusal:
                self.end(job, decide.refused(job, job.refusal))

    def _return(self, job: Job) -> None:
        """Go on with a job whose files are on their way back to the inbox, or from there."""
        try:
            record = self.returns.go_on(job)
        except OSError as error:
            self._trouble(_RETURN, f"the files of {job.job_id} cannot be moved: {error.strerror}")
            return
        self._troubles.pop(_RETURN, None)
        self.end(job, record)
        if isinstance(record, Returned):
            self.returns.told(self.ledger.jobs.live[job.job_id])

    def look_for_returned(self) -> None:
        """End the jobs whose picture somebody took out of the inbox while it waited for its rest."""
        for job in self.returns.missing():
            self.end(job, decide.taken_back(job))

    def start_next(self) -> None:
        """Start as many jobs as may run at once."""
        while not self.stopping and self._at_work() < self.settings.queue.max_concurrent_jobs:
            try:
                ready = self.settling.first_ready(self.ledger.jobs.queue, self.pauses.left)
                if ready is None:
                    self._troubles.pop(_START, None)
                if ready is None or not self._start(*ready):
                    return
            except OSError as error:
                self._trouble(_START, f"no job can be started: {error.strerror}")
                return

    def _at_work(self) -> int:
        """How many jobs keep a worker or are about to be judged; a finished result that waits to be shown keeps nobody back."""
        unfinished = [job for job in self.ledger.jobs.processing.values() if not (job.attempt and job.attempt.publishing)]
        return len(unfinished) - len(self._made)

    def is_busy(self) -> bool:
        """Whether a job is being worked on or to be judged."""
        return self._at_work() > 0 or bool(self._made)

    @property
    def kept(self) -> str | None:
        """Why a finished result is not shown yet, a clause; none if all are."""
        return next((problem for at, problem in self._troubles.items() if at not in (_START, _RETURN)), None)

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
        if self.world is not None and not self.world.may_start():
            return False
        warm = self._asked_of(job)
        attempt = self._take_spare(warm) or self.outbox.new_attempt()
        self._troubles.pop(_START, None)
        self.ledger.record(Started(job=job.job_id, attempt=attempt))
        try:
            pid = self._supervisor.start(
                command(job, self.outbox, self.settings, attempt=attempt, seen=seen, warm=warm),
                log=self.outbox.job(job.job_id, b"job.log"),
                timeout_seconds=job.spec.timeout_seconds if job.spec else self.settings.worker.max_timeout_seconds,
            )
        except OSError as error:
            # Nothing of the job had a part in it.
            cause = no_start(error.strerror or str(error))
            if self.world is not None:
                self.world.blame(cause)
            self.end(self.ledger.jobs.live[job.job_id], decide.not_its_fault(job, WorkerCrashed(cause.problem).info()))
            return False
        process = Process(
            pid=pid.pid, created=pid.created, boot_id=pid.boot_id, group=pid.group, guardian_created=pid.guardian_created
        )
        self.ledger.record(Started(job=job.job_id, attempt=attempt, process=process))
        self.forecast.begin(self.ledger.jobs.live[job.job_id])
        logger.info("{} started (attempt {})", job.job_id, self.ledger.jobs.live[job.job_id].attempts)
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
            case Failed():
                self._failed(job_id, outcome)
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
            self._failed(job.job_id, Failed(error.info(), error.retryable, seconds, result.source))
            return
        except OSError as error:
            # After a failed sync nobody knows what of the result is on the disk: it is made anew.
            trouble = _disk_trouble(error)
            failed = Failed(trouble.info(), trouble.retryable, seconds, result.source)
            self._failed(job.job_id, failed, disk=None if error.errno in _NO_ROOM else error.strerror or str(error))
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
            trouble = _unrecordable(error)
            self._failed(job.job_id, Failed(trouble.info(), trouble.retryable, seconds))
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
            self._trouble(job.job_id, f"the result of {job.job_id} cannot be made durable: {error.strerror}")
            return
        except OSError as error:
            self._not_shown(job, publishing, error)
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

    def _not_shown(self, job: Job, publishing: Publishing, error: OSError) -> None:
        """It is made, and checked: all it lacks is a name. Whatever keeps it from that, it is kept, and tried again."""
        if job.cancel_requested:
            self.end(job, decide.cancelled(job, seconds=publishing.processing_seconds))
            return
        if self._is_gone(job.job_id, publishing.attempt):
            gone = WorkerCrashed("What the worker had made was removed from .work in the outbox.")
            self._charge(job, Failed(gone.info(), True, publishing.processing_seconds or 0.0))
            return
        self._trouble(job.job_id, f"the result of {job.job_id} cannot be shown: {error.strerror}")
        if self.world is not None:
            self.world.doubt_disk()

    def _is_gone(self, job_id: str, attempt: str) -> bool:
        """Whether a finished result is certainly not there any more, while its job is."""
        try:
            return self.outbox.surely_has(job_id) and not self.outbox.has_attempt(attempt)
        except OSError:
            return False

    def _failed(self, job_id: str, failed: Failed, *, disk: str | None = None) -> None:
        """An attempt failed. `disk`: what the disk answered to the daemon itself."""
        job, error = self.ledger.jobs.live[job_id], failed.error
        if not self.outbox.surely_has(job_id):
            # That says nothing about the job: it runs again when the folder is back, and is cancelled if it was thrown away.
            logger.info("{} has lost its folder under its worker: {}, {}", job_id, error.code, error.message)
            self.end(job, decide.out_of_sight(job, now=self.wall_clock()))
            return
        if job.attempt and not self.outbox.may_have_folder(job.attempt.folder):
            error = WorkerCrashed("What the worker had made was removed from .work in the outbox.").info()
            failed = replace(failed, error=error, retryable=True)
        failure = Failure(
            error.code,
            job.attempt.folder if job.attempt else None,
            ready=failed.ready,
            starved=failed.starved,
            disk=disk,
            excused=self._excused.get(job_id, 0),
        )
        verdict = self.world.judge(failure, ask=not self.stopping) if self.world is not None else None
        if verdict == UNDECIDED:
            self._suspects[job_id] = failure, failed
        else:
            self._settle(job, failed, verdict)

    def judge_suspects(self) -> None:
        """Settle the failures of which a canary has told by now whose fault they are."""
        for job_id, (failure, failed) in list(self._suspects.items()):
            verdict = self.world.answer(failure) if self.world is not None else None
            if verdict != UNDECIDED:
                del self._suspects[job_id]
                self._settle(self.ledger.jobs.live[job_id], failed, verdict)

    def release_suspects(self) -> None:
        """The daemon stops before it is known whose fault they are: then it was no attempt."""
        for job_id in self._suspects:
            self.end(self.ledger.jobs.live[job_id], decide.interrupted(self.ledger.jobs.live[job_id]))
        self._suspects.clear()

    def _settle(self, job: Job, failed: Failed, cause: Cause | None) -> None:
        """Record a failure by whose fault it is."""
        if cause is None:
            self._charge(job, failed)
            return
        self._excused[job.job_id] = self._excused.get(job.job_id, 0) + 1
        logger.info("{} is not to blame: {}", job.job_id, cause.problem)
        self.end(job, decide.not_its_fault(job, failed.error))

    def _charge(self, job: Job, failed: Failed) -> None:
        """The job's own fault, as far as anybody can tell."""
        now = self.wall_clock()
        record = self.returns.proposal(job, failed.error, now=now) or self.settling.after_failure(job, failed.error, now=now)
        if record is None:
            error = self.returns.explained(job, failed.error, now=now)
            record = decide.after_failure(
                job,
                error,
                now=now,
                seconds=failed.seconds,
                source=failed.source,
                warnings=failed.warnings,
                retryable=failed.retryable,
            )
        self.end(job, record)

    def end(self, job: Job, record: AnyRecord) -> None:
        """Record the end of an attempt or of a job, then tidy up."""
        try:
            self.ledger.record(record)
        except UnreplayableError as error:
            # Without a word of the worker's nothing is left in it that could not be read back.
            seconds = record.processing_seconds if isinstance(record, Ended) else None
            self.ledger.record(
                Ended(job=job.job_id, state="failed", error=_unrecordable(error).info(), processing_seconds=seconds)
            )
        if job.attempt and job.attempt.publishing:
            self._troubles.pop(job.job_id, None)  # it appeared, or nobody waits for it any more
        after = self.ledger.jobs.find(job.job_id)
        if after and after.ended:
            self.settling.forget(job)
            self._excused.pop(job.job_id, None)
            self.forecast.learn(after)
            self.failures += after.state == "failed"
            why = f": {after.ended.error.code}, {after.ended.error.message}" if after.ended.error else ""
            logger.info("{} {}{}", job.job_id, after.state, why)
        elif after and after.place != "source":
            logger.info("{} waits in the inbox for the rest of its picture", job.job_id)
        elif after:
            self.pauses.begin(after)
            if job.state == "processing":
                why = after.last_error.message if after.last_error else "it was stopped"
                logger.info("{} will be tried again: {}", job.job_id, why)
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
        elif job.claimed and job.place == "source":
            self.end(job, decide.cancelled(job))


def _unrecordable(error: UnreplayableError) -> JobError:
    return WorkerCrashed(f"What the worker said of this job cannot be recorded: {error}.")


def _disk_trouble(error: OSError) -> JobError:
    if error.errno in _NO_ROOM:
        return DiskFull("the disk of the outbox is full; the result could not be written")
    return Internal(f"the result could not be written: {error.strerror}")
