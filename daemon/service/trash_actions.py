"""Cancels or removes a job when its folder is moved out of the outbox, for example to the Trash. "Put Back" changes nothing.

A folder counts as missing only if two checks in a row do not find it, and the outbox is healthy and the same folder both times.
If the outbox is unmounted, renamed or replaced by an empty mount point, its marker is missing, so its jobs are left alone.
"""

from collections.abc import Callable

from loguru import logger

from daemon.contract.records import CancelRequested, Removed
from daemon.fs import FileSystem
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.running.runner import JobRunner
from daemon.views.view_writer import ViewWriter

#: The most folders in one check, so that a check stays short. If there are more, each check looks at other ones.
_PER_LOOK = 2000
_MAX_STATUS_BYTES = 1 << 20
#: If more folders than this cannot be read, the disk is at fault, and the check is given up: each of them may have taken long.
_MAX_ODD = 3


class TrashActions:
    """Checks whether the folders of the jobs are there, and acts if they are not."""

    def __init__(self, fs: FileSystem, ledger: Ledger, outbox: Outbox, runs: JobRunner, views: ViewWriter) -> None:
        self._fs = fs
        self._ledger = ledger
        self._outbox = outbox
        self._runs = runs
        self._views = views
        self._root: tuple[int, int] | None = None
        self._missing: set[str] = set()
        self._bare: set[str] = set()
        self._next = self._odd = 0

    def look(self) -> None:
        """Check once. Cancel or remove the jobs whose folder was missing in the last check as well.

        Raises:
            JournalError: the process must stop.
        """
        try:
            self._odd = 0
            before, known = self._identity(), self._root
            recent, older = self._recent(), self._older()
            bare = {job_id for job_id in recent if self._lacks(self._outbox.has_status, job_id)}
            missing = {job_id for job_id in bare | older if self._lacks(self._has, job_id)}
            self._views.look()
            root = self._identity()
        except OSError as error:
            # Nothing is known about the folders in an outbox that cannot be read.
            logger.debug("cannot look for the folders of the jobs: {}", error)
            before = root = known = None
            missing = bare = set()
        self._root = root
        if root is None or root != before:
            self._missing = self._bare = set()
            return
        twice = self._missing & missing if root == known else set()
        self._missing = missing - twice
        for job_id in sorted(twice):
            self._gone(job_id)
        self._announce_returned()
        # Restore a status file only if two checks miss it: no file may appear in a folder that somebody is removing file by file.
        self._restore_views((bare & self._bare) - missing if root == known else set())
        self._bare = bare

    def _identity(self) -> tuple[int, int] | None:
        """The device and inode of the outbox folder; None if the outbox is not healthy."""
        if not self._outbox.is_healthy():
            return None
        found = self._fs.lstat(self._outbox.root)
        return found.dev, found.ino

    def _has(self, job_id: str) -> bool:
        """Whether a job has its folder. For an ended job, a link counts: somebody may have moved the folder to another disk."""
        return self._outbox.has_folder(job_id) if job_id in self._ledger.jobs.live else self._outbox.has(job_id)

    def _lacks(self, has: Callable[[str], bool], job_id: str) -> bool:
        """Whether `has` certainly finds nothing for a job. False if the job's folder cannot be read.

        Raises:
            OSError: too many folders cannot be read, or the outbox is not healthy.
        """
        try:
            return not has(job_id)
        except OSError:
            self._odd += 1
            if self._odd > _MAX_ODD or not self._outbox.is_healthy():
                raise
            return False

    def _recent(self) -> set[str]:
        """The ids of the jobs that are live or ended lately.

        If there are many, this returns only some, and those that lacked their folder or status.json in the last check.
        """
        jobs = self._ledger.jobs
        ids = [job.job_id for job in jobs.live.values() if job.claimed and not job.cancel_requested]
        ids += [job.job_id for job in self._views.shown() if not job.discarded]
        if len(ids) <= _PER_LOOK:
            return set(ids)
        self._next %= len(ids)
        turn = ids[self._next : self._next + _PER_LOOK]
        self._next += _PER_LOOK
        return {*turn, *(self._missing | self._bare).intersection(ids)}

    def _older(self) -> set[str]:
        """The ids of some jobs that ended longer ago, and of all those whose folder was missing in the last check."""
        jobs = self._ledger.jobs
        recent = jobs.live.keys() | jobs.ended.keys() | jobs.removed
        return {job_id for job_id in (*self._views.next_chunk_of_ids(), *self._missing) if job_id not in recent}

    def _restore_views(self, several: set[str]) -> None:
        """Write the status files of these jobs again: somebody removed them from the job folders."""
        recent = {job.job_id: job for job in self._views.shown()} | self._ledger.jobs.live
        for job_id in several & recent.keys():
            if self._views.will_write(job_id):
                continue
            try:
                self._views.rewrite(recent[job_id])
            except OSError as error:
                # The disk is full, or the folder has a problem: the next check tries again.
                logger.debug("the status of {} cannot be written again: {}", job_id, error)

    def _gone(self, job_id: str) -> None:
        job = self._ledger.jobs.live.get(job_id)
        if job is None:
            self._ledger.record(Removed(job=job_id))
            logger.info("{} was removed, because its folder was moved out of the outbox", job_id)
        else:
            self._ledger.record(CancelRequested(job=job_id, discarded=True))
            logger.info("{} was cancelled, because its folder was moved out of the outbox", job_id)
            self._runs.cancel(self._ledger.jobs.live[job_id])

    def _announce_returned(self) -> None:
        """Correct the status in folders that were put back after their jobs had been cancelled."""
        for job in self._ledger.jobs.ended.values():
            if not job.discarded:
                continue
            try:
                path = self._outbox.job(job.job_id, b"status.json")
                if b'"state": "cancelled"' not in self._fs.read(path, _MAX_STATUS_BYTES):
                    self._views.rewrite(job)
            except OSError:
                continue  # it is still missing
