"""The claim's second half: moving what was accepted from the inbox into source/.

Every step can be repeated: the same function claims, goes on after an error and rolls a half-done claim forward after a crash.
The order is argued in `daemon.service.claims`.
"""

import errno
import os
from enum import Enum

from daemon.contract.names import to_bytes
from daemon.contract.records import ClaimedFile, Job
from daemon.fs import FileSystem, Stat, write_atomic
from daemon.fs.compose import TEMPORARY
from daemon.outbox import Outbox
from daemon.sidecar import render


class Moved(Enum):
    """How a claim came out."""

    WHOLE = "whole"
    TAKEN_BACK = "taken back"  # nothing of it is left in the inbox, nothing was moved


class PlantedError(Exception):
    """Something that is not ours already has the name of the job's folder."""


class Mover:
    """Moves the files of accepted jobs."""

    def __init__(self, fs: FileSystem, inbox: bytes, outbox: Outbox) -> None:
        self._fs = fs
        self._inbox = inbox
        self._outbox = outbox

    def move(self, job: Job, *, again: bool) -> Moved:
        """Bring a job's files into source/; `again` if it was tried before, perhaps by an earlier process.

        The renames are not durable before `settle`.

        Raises:
            PlantedError: the job's folder is there and this is the first try.
            OSError: it could not be finished now; try again later.
        """
        folder = self._outbox.job(job.job_id)
        source = os.path.join(folder, b"source")
        try:
            self._fs.mkdir(folder)
        except FileExistsError as error:
            if not again:
                raise PlantedError(job.job_id) from error
        try:
            self._fs.mkdir(source)
        except FileExistsError:
            if self._fs.lstat(source).kind != "directory":
                raise
        moved = [self._move_one(job, file, source) for file in job.accepted.files]
        if not any(moved):
            self._fs.rmdir(source)
            self._fs.rmdir(folder)
            return Moved.TAKEN_BACK
        if job.accepted.effective and job.spec:
            # Beside preset and batch jobs, so that source/ is a complete pair that can be dropped again.
            write_atomic(self._fs, os.path.join(source, to_bytes(job.accepted.effective)), render(job.spec), durable=True)
        return Moved.WHOLE

    def settle(self, jobs: list[Job]) -> None:
        """Wait until the moves of these jobs are durable: new names first, then the old names' absence."""
        for job in jobs:
            self._fs.sync_dir(self._outbox.job(job.job_id, b"source"))
            self._fs.sync_dir(self._outbox.job(job.job_id))
        self._fs.sync_dir(self._outbox.root)
        for folder in {job.accepted.folder for job in jobs}:
            try:
                self._fs.sync_dir(os.path.join(self._inbox, to_bytes(folder)) if folder else self._inbox)
            except FileNotFoundError:
                continue  # somebody removed the folder; then the names in it are gone as well

    def _move_one(self, job: Job, file: ClaimedFile, source: bytes) -> bool:
        """Whether the file is in source/ now."""
        start = os.path.join(self._inbox, to_bytes(job.accepted.folder), to_bytes(file.name))
        target = os.path.join(source, to_bytes(file.to))
        here, there = self._look(target), self._look(start)
        if there is None or not self._is_it(there, file):
            return here is not None
        if here is not None:
            # A crash can leave both names of one file, or a finished copy and its original.
            if here.ino == there.ino or (here.size, here.mtime_ns) == (there.size, there.mtime_ns):
                self._fs.unlink(start)
            return True
        try:
            self._fs.rename(start, target)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._carry(start, target)
        return True

    def _carry(self, start: bytes, target: bytes) -> None:
        """Move to another file system: copy, compare, rename, and only then remove the original."""
        temporary = os.path.join(os.path.dirname(target), TEMPORARY + b"claim")
        if self._look(temporary):
            self._fs.unlink(temporary)
        before = self._fs.copy(start, temporary)
        if self._fs.digest(temporary) != before:
            raise OSError(errno.EIO, "the copy differs from the original", target)
        self._fs.rename(temporary, target)
        self._fs.sync_dir(os.path.dirname(target))
        self._fs.unlink(start)

    def _look(self, path: bytes) -> Stat | None:
        try:
            return self._fs.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    @staticmethod
    def _is_it(found: Stat, file: ClaimedFile) -> bool:
        """Whether a name still holds what was accepted. The inode is not asked: on a share it changes over a remount."""
        return found.kind == "file" and (found.size, found.mtime_ns) == (file.size, file.mtime_ns)
