"""The rest of a job's folder that somebody dropped into a folder with a preset: it follows its picture into the new job's folder.

The picture and its sidecar were claimed like any others. What is left (the earlier result, status and log) moves with one rename
to `earlier/` in the new job's folder, so that nothing that was moved out of the outbox is lost, and nothing is left in the inbox.
If a crash comes before the rename, the next start finds the folder, and does it then.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice

from loguru import logger

from daemon.claiming.inbox_folders import InboxFolders
from daemon.contract.names import to_text
from daemon.contract.records import Job
from daemon.fs import FileSystem, HeldFolder
from daemon.intake.names import folder_above
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox

EARLIER = b"earlier"
#: Seconds for which nothing in the folder may change: somebody may still be copying it.
_QUIET_SECONDS = 4.0
#: The most files that are compared to see whether anything changes. A result has a few dozen.
_MAX_COMPARED = 5_000

_Content = tuple[tuple[bytes, bytes, int], ...]


class EarlierResults:
    """Moves what is left of job folders in one inbox. `clock` returns monotonic seconds."""

    def __init__(
        self, fs: FileSystem, inbox: bytes, ledger: Ledger, outbox: Outbox, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fs = fs
        self._inbox = inbox
        self._ledger = ledger
        self._outbox = outbox
        self._clock = clock
        #: What was in a folder when it was last looked at, and since when.
        self._seen: dict[bytes, tuple[_Content, float]] = {}

    def follow(self, source: bytes) -> tuple[bool, str | None]:
        """Move the folder that contains `source`, a path from the inbox, to the job that got its picture.

        Returns whether to try again soon, and, if a person must act, a clause that says why.
        """
        folder = folder_above(source)
        job = self._job_from(source)
        if folder is None or job is None:
            return False, "its picture was taken, but the job is no longer known: remove the folder"
        try:
            if not job.claimed or not self._is_quiet(folder):
                return True, None
            self._move(folder, job)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return False, f"its picture was taken for {job.job_id}; the rest stays, because the outbox is on another disk"
            return True, f"its picture was taken for {job.job_id}; the rest cannot be moved there: {error.strerror}"
        self._seen.pop(folder, None)
        logger.info("{} followed its picture to {}", to_text(folder), job.job_id)
        return True, None

    def _job_from(self, source: bytes) -> Job | None:
        """The job that got the picture last taken from this folder; None if it ended long ago."""
        jobs, place = self._ledger.jobs, to_text(source)
        several = (job for job in chain(jobs.live.values(), jobs.ended.values()) if job.accepted.folder == place)
        return max(several, key=lambda job: job.sequence, default=None)

    def _is_quiet(self, folder: bytes) -> bool:
        tree = self._fs.tree(os.path.join(self._inbox, folder))
        content = tuple((b"/".join(one.trail), one.name, one.size) for one in islice(tree, _MAX_COMPARED))
        now = self._clock()
        before, since = self._seen.get(folder, ((), now))
        if content != before:
            since = now
        self._seen[folder] = content, since
        return now - since >= _QUIET_SECONDS

    def _move(self, folder: bytes, job: Job) -> None:
        with self._held(folder_above(folder) or b"") as above, self._outbox.held_job(job.job_id) as ours:
            taken = {entry.name for entry in ours.scan()}
            names = (EARLIER, *(b"%s-%d" % (EARLIER, number) for number in range(2, len(taken) + 3)))
            above.move(folder.rpartition(b"/")[2], ours, next(name for name in names if name not in taken))
            ours.sync_dir()
            above.sync_dir()

    @contextlib.contextmanager
    def _held(self, folder: bytes) -> Iterator[HeldFolder]:
        folders = InboxFolders(self._fs, self._inbox)
        try:
            yield folders.open(folder)
        finally:
            folders.release()
