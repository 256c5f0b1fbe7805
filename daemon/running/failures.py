"""Records failed attempts.

`daemon.jobs.fault` decides whether the job or the machine is at fault. If it is the machine, the attempt does not count, and the
queue pauses.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from loguru import logger

from daemon.contract.records import AnyRecord, Job
from daemon.errors import WorkerCrashed
from daemon.health.system_health import UNDECIDED, SystemHealth
from daemon.jobs import decide
from daemon.jobs.fault import MAX_EXCUSES, Cause, Failure, no_start
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.running.late_writes import LateWrites
from daemon.running.returning import Returns
from daemon.supervisor import Failed

#: The longest pause in seconds before a job runs again whose machine failed. The first pause is a second, and each doubles.
_LONGEST_PAUSE = 60.0


@dataclass
class FailureHandler:
    """Handles failed attempts, including those whose cause is still undecided.

    `end` writes a record that ends an attempt or a job. `system_health` finds the cause. `may_send_canary` returns False while
    the daemon stops, and if jobs run on other machines.
    """

    ledger: Ledger
    outbox: Outbox
    returns: Returns
    settling: LateWrites
    end: Callable[[Job, AnyRecord], None]
    system_health: SystemHealth
    may_send_canary: Callable[[], bool]
    wall_clock: Callable[[], float]
    #: Failures whose cause depends on a canary that is still running. In the journal, their jobs are still processing.
    _suspects: dict[str, tuple[Failure, Failed]] = field(default_factory=dict)
    #: How often each job failed because of the machine.
    _excused: dict[str, int] = field(default_factory=dict)

    def failed(self, job_id: str, failed: Failed, *, disk: str | None = None) -> None:
        """Handle a failed attempt. `disk`: the disk's error while the daemon worked on the result; None if there was none."""
        job, error = self.ledger.jobs.live[job_id], failed.error
        if not self.outbox.surely_has(job_id):
            # The failure says nothing about the job. It runs again when its folder is back; if a person removed the folder, it
            # will be cancelled.
            logger.info("{} waits, because its folder disappeared while it ran ({}): {}", job_id, error.code, error.message)
            self.end(job, decide.folder_disappeared(job, now=self.wall_clock()))
            return
        if failed.elsewhere is not None:
            self._another_machine_failed(job, failed)
            return
        if job.attempt and not self.outbox.may_have_folder(job.attempt.folder):
            error = WorkerCrashed("The worker's files were removed from .work in the outbox.").info()
            failed = replace(failed, error=error, retryable=True)
        failure = Failure(
            error.code,
            job.attempt.folder if job.attempt else None,
            ready=failed.ready,
            held_when_killed=failed.held_when_killed,
            held_when_refused=failed.held_when_refused,
            disk=disk,
            excused=self._excused.get(job_id, 0),
        )
        verdict = self.system_health.judge(failure, ask=self.may_send_canary())
        if verdict == UNDECIDED:
            self._suspects[job_id] = failure, failed
        else:
            self._settle(job, failed, verdict)

    def _another_machine_failed(self, job: Job, failed: Failed) -> None:
        """Record a failure for which another machine is to blame.

        The queue goes on, because the next attempt may run on a machine that works.
        """
        self._excuse(job, failed)

    def _excuse(self, job: Job, failed: Failed) -> None:
        """Record an attempt that does not count, unless that happened too often. The job pauses, so that others go first."""
        excused = self._excused.get(job.job_id, 0)
        if excused >= MAX_EXCUSES:
            self.charge(job, failed)
            return
        self._excused[job.job_id] = excused + 1
        logger.info("{} will run again, and this attempt does not count: {}", job.job_id, failed.error.message)
        self.end(job, decide.excused_attempt(job, failed.error, retry_at=self.wall_clock() + min(2.0**excused, _LONGEST_PAUSE)))

    def not_started(self, job_id: str, why: str, *, here: bool) -> None:
        """Record that an attempt could not be started: nothing of it runs, and it does not count. `why`: the system's error.

        If jobs run on this machine (`here`), no job has a part in that: the queue pauses until a worker starts again. Otherwise
        the job's own files may be the cause: it pauses, so that others go first, and is charged if it happens too often.
        """
        job = self.ledger.jobs.live[job_id]
        if not here:
            self.doubt_disk()
            self._excuse(job, Failed(WorkerCrashed(f"The job cannot be sent to a machine: {why}.").info(), True, 0.0))
            return
        cause = no_start(why)
        self.system_health.pause_for(cause)
        self.end(job, decide.excused_attempt(job, WorkerCrashed(cause.problem).info()))

    def judge(self) -> None:
        """Record the failures whose cause is known now that a canary has answered."""
        for job_id, (failure, failed) in list(self._suspects.items()):
            verdict = self.system_health.answer(failure)
            if verdict != UNDECIDED:
                del self._suspects[job_id]
                self._settle(self.ledger.jobs.live[job_id], failed, verdict)

    def release(self) -> None:
        """Record the undecided failures as attempts that do not count, because the daemon stops."""
        for job_id in self._suspects:
            self.end(self.ledger.jobs.live[job_id], decide.interrupted(self.ledger.jobs.live[job_id]))
        self._suspects.clear()

    def _settle(self, job: Job, failed: Failed, cause: Cause | None) -> None:
        """Record a failure whose cause is decided. `cause`: None if the job is at fault."""
        if cause is None:
            self.charge(job, failed)
            return
        self._excused[job.job_id] = self._excused.get(job.job_id, 0) + 1
        logger.info("{} will run again, and this attempt does not count: {}", job.job_id, cause.problem)
        self.end(job, decide.excused_attempt(job, failed.error))

    def charge(self, job: Job, failed: Failed) -> None:
        """Record a failure that is the job's own. An incomplete picture settles or returns to the inbox instead."""
        now = self.wall_clock()
        record = self.returns.proposal(job, failed.error, now=now) or self.settling.after_failure(job, failed.error, now=now)
        if record is None:
            error = self.returns.explain(job, failed.error, now=now)
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
        """Pause the queue if the disk cannot be written at all. Call this when a result could not be published."""
        self.system_health.doubt_disk()

    def forget(self, job_id: str) -> None:
        """Forget a job that has ended."""
        self._excused.pop(job_id, None)
