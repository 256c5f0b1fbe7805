"""Handles pictures that are still written to after their claim, because their writer had them open.

Such a picture must settle in source/ before it is read, as it would in the inbox.
"""

import contextlib
import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from daemon.contract.names import to_bytes
from daemon.contract.records import AnyRecord, Job
from daemon.contract.status import ErrorInfo
from daemon.fs import FileSystem
from daemon.jobs import decide
from daemon.jobs.retry_pause import PauseLeft
from daemon.outbox import Outbox

#: Size in bytes and modification time in nanoseconds.
Fingerprint = tuple[int, int]
#: Seconds that a picture written to after its claim must stay unchanged before it is read, as in the inbox.
_SETTLE_SECONDS = 2.0
#: If this many folders cannot be read, the disk is at fault, and trying more would take too long.
_MAX_SLOW = 3
#: Errors that mean that there is no such picture.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
#: Errors that are reported at once and concern only one folder: somebody changed its permissions, and may change them back.
_DENIED = (errno.EACCES, errno.EPERM)


@dataclass
class Unsettled:
    """A picture that must settle: its last fingerprint, since when it is unchanged (monotonic), and how often a worker failed."""

    fingerprint: Fingerprint
    since: float
    tries: int = 0


@dataclass
class LateWrites:
    """Accepted jobs whose pictures are still being written.

    `clock` returns monotonic seconds. `grew` is called with a job each time its picture is found to have grown.
    """

    fs: FileSystem
    outbox: Outbox
    clock: Callable[[], float]
    grew: Callable[[Job], None]
    unsettled: dict[str, Unsettled] = field(default_factory=dict)

    def ready(self, queue: Iterable[Job], paused_for: PauseLeft, most: int) -> list[tuple[Job, Fingerprint | None]]:
        """The first jobs that may start, each with its picture's current fingerprint (None if the picture is missing).

        A job whose folder is missing is skipped: the check for missing folders will cancel it.
        A job whose folder cannot be read is skipped as well, so that it does not hold up the jobs after it.

        Args:
            queue: the jobs in the order in which they run.
            paused_for: returns the seconds that a job must still pause.
            most: not more jobs than this.

        Raises:
            OSError: no job was found, and at least one folder could not be read.
        """
        found: list[tuple[Job, Fingerprint | None]] = []
        errors: list[OSError] = []
        slow = 0
        for job in queue:
            if paused_for(job) > 0:
                continue
            try:
                if not self.must_settle(job) and not self.outbox.has_lost(job.job_id):
                    found.append((job, self.fingerprint(job)))
                    if len(found) == most:
                        break
            except OSError as error:
                errors.append(error)
                slow += error.errno not in _DENIED
                if slow >= _MAX_SLOW or not self.outbox.is_healthy():
                    break
        if errors and not found:
            raise errors[-1]
        return found

    def fingerprint(self, job: Job) -> Fingerprint | None:
        """The current fingerprint of the picture in source/; None if it is missing.

        Raises:
            OSError: this cannot be determined.
        """
        try:
            found = self.fs.lstat(self.outbox.job(job.job_id, b"source", to_bytes(job.image.to)))
        except OSError as error:
            # If something is wrong with this one folder (a link to itself), other jobs must still run.
            if error.errno in _NOT_THERE:
                return None
            raise
        return found.size, found.mtime_ns

    def must_settle(self, job: Job) -> bool:
        """Whether the picture was written to a moment ago, so that it must settle before it is read.

        Raises:
            OSError: this cannot be determined.
        """
        waiting = self.unsettled.get(job.job_id)
        if waiting is None or job.state != "pending":
            return False
        seen = self.fingerprint(job)
        if seen is not None and seen != waiting.fingerprint:
            self._compare(job, waiting.fingerprint, seen)
            waiting.fingerprint, waiting.since = seen, self.clock()
        return seen is not None and self.clock() - waiting.since < _SETTLE_SECONDS

    def has_changed(self, job: Job, seen: Fingerprint) -> bool:
        """Whether a picture that is about to be read differs from what was accepted. If so, note once that it must settle."""
        if seen == (job.image.size, job.image.mtime_ns) or job.job_id in self.unsettled:
            return False
        self._compare(job, (job.image.size, job.image.mtime_ns), seen)
        self.unsettled[job.job_id] = Unsettled(seen, self.clock())
        return True

    def _compare(self, job: Job, before: Fingerprint, seen: Fingerprint) -> None:
        """Call `grew` if the picture grew: only growth shows that its writer pauses for longer than expected."""
        if seen[0] > before[0]:
            self.grew(job)

    def after_failure(self, job: Job, error: ErrorInfo, *, now: float) -> AnyRecord | None:
        """The record for an unreadable picture that may still be growing, so that it settles; None if it is not growing.

        `now` is in seconds since 1970.
        """
        last = self._last_seen(job)
        before = self.unsettled.get(job.job_id)
        tries = before.tries if before else 0
        record = decide.still_settling(job, error, changed_at=last[1] / 1e9, now=now, tries=tries)
        if record:
            self._compare(job, before.fingerprint if before else (job.image.size, job.image.mtime_ns), last)
            self.unsettled[job.job_id] = Unsettled(last, self.clock(), tries + 1)
        return record

    def forget(self, job: Job) -> None:
        """Forget a job that has ended or left source/."""
        self.unsettled.pop(job.job_id, None)

    def _last_seen(self, job: Job) -> Fingerprint:
        """The picture's fingerprint; zeros if it is unknown."""
        with contextlib.suppress(OSError):
            return self.fingerprint(job) or (0, 0)
        return 0, 0
