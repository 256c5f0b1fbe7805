"""Putting a home in order at start: every job that was under way goes on, or ends, whatever interrupted it.

Each step only looks at the journal and the disk, and does what is still missing; so a crash in here is recovered the same way.
"""

import time
from dataclasses import dataclass

from loguru import logger

from daemon.contract.records import Job, Process
from daemon.fs import FileSystem, read_capped
from daemon.jobs import decide
from daemon.outbox import Outbox, status_of
from daemon.service.claims import Claims
from daemon.service.ledger import Ledger
from daemon.service.runs import Runs
from daemon.supervisor import WorkerPid, reap

_MAX_STATUS_BYTES = 1 << 20


@dataclass
class Recovery:
    """One start of the daemon."""

    fs: FileSystem
    ledger: Ledger
    outbox: Outbox
    claims: Claims
    runs: Runs
    boot_id: str

    def perform(self) -> None:
        """Bring the home in order.

        Raises:
            JournalError: the process must stop.
            OSError: the outbox cannot be read.
        """
        live = list(self.ledger.jobs.live.values())
        self._end_leftover_workers(live)
        self.claims.finish([job for job in live if not job.claimed], again=True)
        for job in live:
            self._resume(self.ledger.jobs.live.get(job.job_id))
        self.runs.settle_accounts()
        self.outbox.sweep(keep=())
        self._rewrite_views()

    def _end_leftover_workers(self, live: list[Job]) -> None:
        """Kill workers of the life before whose guardian failed them, so that no two work on one job."""
        left = [job.attempt.process for job in live if job.attempt and job.attempt.process]
        for killed in reap(_pid(process) for process in left):
            logger.warning("ended a worker that an earlier daemon had left behind (process {})", killed)

    def _resume(self, job: Job | None) -> None:
        if job is None or job.attempt is None:
            return
        if job.attempt.publishing and (self.outbox.has_result(job.job_id) or self.outbox.has_attempt(job.attempt.folder)):
            self.runs.publish(job)
            return
        process = job.attempt.process
        same_boot = process is None or process.boot_id == self.boot_id
        record = decide.after_restart(job, same_boot=same_boot, now=time.time())
        if record:
            self.runs.end(job, record)

    def _rewrite_views(self) -> None:
        """Write the status of every job whose status.json does not say what the journal says."""
        jobs = self.ledger.jobs
        for job in (*jobs.live.values(), *jobs.ended.values()):
            if not self.outbox.has(job.job_id) or not job.claimed:
                continue
            status = status_of(job)
            try:
                found = read_capped(self.fs, self.outbox.job(job.job_id, b"status.json"), _MAX_STATUS_BYTES)
            except OSError:
                found = None
            if found is None or b'"state": "%s"' % job.state.encode() not in found:
                self.outbox.write_status(status, durable=job.ended is not None)


def _pid(process: Process) -> WorkerPid:
    return WorkerPid(
        pid=process.pid,
        created=process.created,
        boot_id=process.boot_id,
        group=process.group,
        guardian_created=process.guardian_created,
    )
