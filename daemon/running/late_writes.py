"""Pictures in source/ that differ from what was accepted, because their writer still had them open when they were claimed.

Such a picture must settle before it is read, as it would in the inbox.
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
from daemon.jobs.resting import Rest
from daemon.outbox import Outbox

#: Size in bytes and modification time in nanoseconds.
Fingerprint = tuple[int, int]
#: Seconds that a picture written to after its claim must stay unchanged before it is read, as in the inbox.
_REST_SECONDS = 2.0
#: If this many folders do not answer, the disk is at fault: each of them may have taken long.
_MAX_ODD = 3
#: Errors that mean: there is no such picture, whatever else may be there.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
#: Errors that come at once and concern only one folder: somebody changed its permissions, and may change them back.
_DENIED = (errno.EACCES, errno.EPERM)


@dataclass
class Unsettled:
    """A picture's fingerprint, since when it is unchanged, and how often it could not be read."""

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

    def first_ready(self, queue: Iterable[Job], rest: Rest) -> tuple[Job, Fingerprint | None] | None:
        """The first job that may start, and its picture's current fingerprint; None if there is none.

        It skips jobs whose folder is missing: the folder was probably thrown away, and the check for missing folders will
        cancel the job. It also skips jobs whose folder does not answer, so that they do not hold up those behind them.

        Args:
            queue: in the order of their turns.
            rest: returns how long a job still pauses.

        Raises:
            OSError: more than one folder is at fault, or nothing is known about any job that may be ready.
        """
        odd: list[OSError] = []
        slow = 0
        for job in queue:
            if rest(job) > 0:
                continue
            try:
                if not self.must_rest(job) and not self.outbox.has_lost(job.job_id):
                    return job, self.fingerprint(job)
            except OSError as error:
                odd.append(error)
                slow += error.errno not in _DENIED
                if slow >= _MAX_ODD or not self.outbox.is_healthy():
                    break
        if odd:
            raise odd[-1]
        return None

    def fingerprint(self, job: Job) -> Fingerprint | None:
        """The current fingerprint of the picture in source/; None if it is missing.

        Raises:
            OSError: this cannot be determined.
        """
        try:
            found = self.fs.lstat(self.outbox.job(job.job_id, b"source", to_bytes(job.image.to)))
        except OSError as error:
            # If something is wrong with this one folder (a link to itself), the jobs behind it must still run.
            if error.errno in _NOT_THERE:
                return None
            raise
        return found.size, found.mtime_ns

    def must_rest(self, job: Job) -> bool:
        """Whether the picture was written to a moment ago, by a writer that still has it open.

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
        return seen is not None and self.clock() - waiting.since < _REST_SECONDS

    def has_changed(self, job: Job, seen: Fingerprint) -> bool:
        """Whether a picture that is about to be read differs from what was accepted. If so, it must settle first; logged once."""
        if seen == (job.image.size, job.image.mtime_ns) or job.job_id in self.unsettled:
            return False
        self._compare(job, (job.image.size, job.image.mtime_ns), seen)
        self.unsettled[job.job_id] = Unsettled(seen, self.clock())
        return True

    def _compare(self, job: Job, before: Fingerprint, seen: Fingerprint) -> None:
        """Only growth shows that a writer pauses for longer than expected; a picture that is merely damaged keeps its length."""
        if seen[0] > before[0]:
            self.grew(job)

    def after_failure(self, job: Job, error: ErrorInfo, *, now: float) -> AnyRecord | None:
        """The record that lets an unreadable picture settle because it may still be growing; None if that is not the reason.

        `now` in seconds since 1970.
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
        """The job has ended."""
        self.unsettled.pop(job.job_id, None)

    def _last_seen(self, job: Job) -> Fingerprint:
        """The picture's fingerprint; zeros if it is unknown."""
        with contextlib.suppress(OSError):
            return self.fingerprint(job) or (0, 0)
        return 0, 0
