"""Recovery at a start: every interrupted job continues or ends.

Each step compares the journal with the disk and does only what is still missing. So if recovery itself is interrupted by a
crash, the next start simply repeats it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from loguru import logger
from pydantic import ValidationError

from daemon.claiming.claims import Claims
from daemon.contract.records import Job
from daemon.contract.status import State, Status
from daemon.contract.words.printable import counted
from daemon.fs import FileSystem
from daemon.jobs import decide
from daemon.journal import History, prune
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox, status_of
from daemon.running.runner import JobRunner
from daemon.supervisor import reap

_MAX_STATUS_BYTES = 1 << 20
#: Status files are written in the order in which jobs end. If this many in a row are correct, older ones are correct as well.
_RIGHT_IN_A_ROW = 200
#: Each end of a job is made durable before the next one, so a crash can only have interrupted the last few.
_LATELY = 4


@dataclass
class Recovery:
    """The recovery of one home at a start of the daemon."""

    fs: FileSystem
    ledger: Ledger
    outbox: Outbox
    claims: Claims
    runs: JobRunner
    boot_id: str
    wall_clock: Callable[[], float] = time.time

    def perform(self) -> None:
        """Bring journal and disk into agreement.

        Raises:
            JournalError: the process must stop.
            OSError: the outbox cannot be read; call this again when it can.
        """
        live = list(self.ledger.jobs.live.values())
        self._end_leftover_workers(live)
        self.claims.finish(list(self.ledger.jobs.unclaimed.values()), again=True)
        for job in live:
            try:
                self._resume(self.ledger.jobs.live.get(job.job_id))
            except OSError as error:
                if not self.outbox.is_healthy():
                    raise
                # Only this folder cannot be read. Its job continues when it can.
                logger.warning("the folder of {} does not answer: {}", job.job_id, error.strerror)
        self.runs.end_without_worker()
        self._tidy()

    def _tidy(self) -> None:
        """Remove leftovers, correct status files, and prune the journal. If that fails, the next start does it."""
        try:
            self.outbox.sweep(keep=[job.attempt.folder for job in self.ledger.jobs.live.values() if job.attempt])
            self._rewrite_views()
            self._forget()
        except OSError as error:
            logger.warning("cannot tidy up after the last start: {}", error)

    def _end_leftover_workers(self, live: list[Job]) -> None:
        """Kill workers of an earlier daemon that their guardians did not kill, so that no two workers work on one job."""
        left = [job.attempt.process for job in live if job.attempt and job.attempt.process]
        for killed in reap(left):
            logger.warning("ended a worker that an earlier daemon had left behind (process {})", killed.pid)

    def _resume(self, job: Job | None) -> None:
        if job is None or job.attempt is None:
            return
        if job.attempt.publishing and (self.outbox.has_result(job.job_id) or self.outbox.has_attempt(job.attempt.folder)):
            self.runs.results.publish(job)
            return
        if job.attempt.machine is not None:
            # It ran elsewhere, so it had no part in the end of the daemon. That machine ends it when it misses this daemon.
            self.runs.end(job, decide.interrupted(job))
            return
        process = job.attempt.process
        same_boot = process is None or process.boot_id == self.boot_id
        record = decide.after_restart(job, same_boot=same_boot, now=self.wall_clock())
        if record:
            self.runs.end(job, record)

    def _rewrite_views(self) -> None:
        """Rewrite status.json of each job whose status differs from the journal.

        Ended jobs are checked newest first, across all segments, until `_RIGHT_IN_A_ROW` in a row are correct. Those whose status
        changed last, after their end (they were delivered, for example), are written anyway.
        """
        for job in self.ledger.jobs.live.values():
            if job.claimed and not self._says(job.job_id, job.state, None):
                self._write(job)
        seen = set(self.ledger.jobs.live)
        right = 0
        history = History(self.fs, self.runs.settings.paths.journal_bytes)
        for job_id in dict.fromkeys(self.ledger.jobs.lately_changed):
            changed = history.job(job_id)
            if changed is not None and changed.ended and self.outbox.has(job_id):
                self._write(changed)
        for job_id, ended_at in history.endings():
            if job_id in seen:
                continue
            seen.add(job_id)
            right += 1
            if right <= _LATELY and self.outbox.has(job_id):
                # The content is correct, but the crash may have come before the name was on the disk.
                self.fs.sync_dir(self.outbox.job(job_id))
            if not self._says(job_id, None, ended_at):
                right = 0
                ended = history.job(job_id)
                if ended and ended.ended:
                    self._write(ended)
            if right >= _RIGHT_IN_A_ROW:
                return

    def _says(self, job_id: str, state: State | None, completed_at: str | None) -> bool:
        """Whether a job's status.json is valid, and shows this state or this end time.

        Also True if the job has no folder: then it needs no status.
        """
        if not self.outbox.has(job_id):
            return True
        try:
            said = Status.model_validate_json(self.fs.read(self.outbox.job(job_id, b"status.json"), _MAX_STATUS_BYTES))
        except (OSError, ValidationError):
            return False
        return said.state == state or (completed_at is not None and said.completed_at == completed_at)

    def _write(self, job: Job) -> None:
        try:
            self.outbox.write_status(status_of(job), durable=job.ended is not None)
        except OSError as error:
            logger.warning("cannot write the status of {}: {}", job.job_id, error)

    def _forget(self) -> None:
        """Remove the segments of the journal that are older than the settings say."""
        paths, keep = self.runs.settings.paths, timedelta(days=self.runs.settings.history.keep_days)
        gone = prune(self.fs, paths.journal_bytes, keep)
        if gone:
            logger.info("removed {} of the journal, older than {}", counted(gone, "segment"), counted(keep.days, "day"))
