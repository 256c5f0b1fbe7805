"""Records failed attempts, according to whose fault the failure was.

`daemon.jobs.fault` alone decides whether the job or the machine is at fault. If it is the machine, no attempt counts and the
queue pauses.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from loguru import logger

from daemon.contract.records import AnyRecord, Job
from daemon.errors import WorkerCrashed
from daemon.health.system_health import UNDECIDED, SystemHealth
from daemon.jobs import decide
from daemon.jobs.fault import Cause, Failure
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.running.late_writes import LateWrites
from daemon.running.returning import Returns
from daemon.supervisor import Failed


@dataclass
class FailureHandler:
    """Handles failures, including those that are still undecided.

    `end` records the outcome for a job. `system_health` judges. `asks` says whether a canary may still be sent.
    """

    ledger: Ledger
    outbox: Outbox
    returns: Returns
    settling: LateWrites
    end: Callable[[Job, AnyRecord], None]
    system_health: SystemHealth
    asks: Callable[[], bool]
    wall_clock: Callable[[], float]
    #: Failures that a canary has not decided yet; in the journal their jobs are still processing.
    _suspects: dict[str, tuple[Failure, Failed]] = field(default_factory=dict)
    #: How often a job failed because of the machine.
    _excused: dict[str, int] = field(default_factory=dict)

    def failed(self, job_id: str, failed: Failed, *, disk: str | None = None) -> None:
        """An attempt failed. `disk`: the error that the disk gave the daemon itself."""
        job, error = self.ledger.jobs.live[job_id], failed.error
        if not self.outbox.surely_has(job_id):
            # This says nothing about the job: it runs again when the folder is back, and is cancelled if it was thrown away.
            logger.info("{} has lost its folder under its worker: {}, {}", job_id, error.code, error.message)
            self.end(job, decide.folder_disappeared(job, now=self.wall_clock()))
            return
        if job.attempt and not self.outbox.may_have_folder(job.attempt.folder):
            error = WorkerCrashed("The worker's files were removed from .work in the outbox.").info()
            failed = replace(failed, error=error, retryable=True)
        failure = Failure(
            error.code,
            job.attempt.folder if job.attempt else None,
            ready=failed.ready,
            starved=failed.starved,
            wanting=failed.wanting,
            disk=disk,
            excused=self._excused.get(job_id, 0),
        )
        verdict = self.system_health.judge(failure, ask=self.asks())
        if verdict == UNDECIDED:
            self._suspects[job_id] = failure, failed
        else:
            self._settle(job, failed, verdict)

    def judge(self) -> None:
        """Record the failures that a canary has decided by now."""
        for job_id, (failure, failed) in list(self._suspects.items()):
            verdict = self.system_health.answer(failure)
            if verdict != UNDECIDED:
                del self._suspects[job_id]
                self._settle(self.ledger.jobs.live[job_id], failed, verdict)

    def release(self) -> None:
        """At a stop of the daemon: the undecided failures do not count as attempts."""
        for job_id in self._suspects:
            self.end(self.ledger.jobs.live[job_id], decide.interrupted(self.ledger.jobs.live[job_id]))
        self._suspects.clear()

    def _settle(self, job: Job, failed: Failed, cause: Cause | None) -> None:
        """Record a failure according to whose fault it was."""
        if cause is None:
            self.charge(job, failed)
            return
        self._excused[job.job_id] = self._excused.get(job.job_id, 0) + 1
        logger.info("{} is not to blame: {}", job.job_id, cause.problem)
        self.end(job, decide.not_its_fault(job, failed.error))

    def charge(self, job: Job, failed: Failed) -> None:
        """The job itself is at fault, as far as anybody can tell."""
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

    def doubt_disk(self) -> None:
        """A result could not be published: check whether the disk can be written."""
        self.system_health.doubt_disk()

    def forget(self, job_id: str) -> None:
        """Forget a job that has ended."""
        self._excused.pop(job_id, None)
