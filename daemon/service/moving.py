"""The claim's second half: moving what was accepted from the inbox into source/.

Every step can be repeated: the same functions claim, go on after an error and roll a half-done claim forward after a crash.
The order is argued in `daemon.service.claims`.
"""

import contextlib
import errno
import os
from collections.abc import Sequence
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
    TAKEN_BACK = "taken back"  # the picture is not in the inbox any more, nothing was moved


class PlantedError(Exception):
    """Something that is not ours already has the name of the job's folder."""


class Mover:
    """Moves the files of accepted jobs."""

    def __init__(self, fs: FileSystem, inbox: bytes, outbox: Outbox, most_bytes: float = float("inf")) -> None:
        """`most_bytes`: the largest file that is copied where it cannot be renamed; a copy holds up everything else."""
        self._fs = fs
        self._inbox = inbox
        self._most_bytes = most_bytes
        self._outbox = outbox

    def make_room(self, job: Job, *, again: bool) -> None:
        """Make a job's folder and its source/; `again` if it was tried before, perhaps by an earlier process.

        Raises:
            PlantedError: the name is taken: by anything if this is the first try, by something that is no folder if not.
            OSError: it could not be done now; try again later.
        """
        folder = self._outbox.job(job.job_id)
        for path in (folder, os.path.join(folder, b"source")):
            try:
                self._fs.mkdir(path)
            except FileExistsError as error:
                if (path == folder and not again) or self._fs.lstat(path).kind != "directory":
                    raise PlantedError(job.job_id) from error

    def anchor(self, jobs: Sequence[Job]) -> None:
        """Wait until the rooms are durable. Before this nothing may be moved in: a folder that is lost takes all in it along."""
        if jobs:
            self._fs.sync_many([*(self._outbox.job(job.job_id) for job in jobs), self._outbox.root])

    def move(self, job: Job) -> Moved:
        """Bring a job's files into its source/. The renames are not durable before `settle`.

        Raises:
            OSError: it could not be finished now; try again later.
        """
        source = self._outbox.job(job.job_id, b"source")
        picture, *others = job.accepted.files
        taken_back = not self._move_one(job, picture, source)
        if taken_back and not any(self._look(os.path.join(source, to_bytes(file.to))) for file in others):
            return self._give_up_room(job, source)
        for file in others:
            self._move_one(job, file, source)
        if job.accepted.effective and job.spec:
            # Beside preset and batch jobs, so that source/ is a complete pair that can be dropped again.
            write_atomic(self._fs, os.path.join(source, to_bytes(job.accepted.effective)), render(job.spec), durable=False)
        return Moved.WHOLE

    def settle(self, jobs: Sequence[Job]) -> None:
        """Wait until the moves of these jobs are durable: new names first, then the old names' absence."""
        if jobs:
            sources = {job.job_id: self._outbox.job(job.job_id, b"source") for job in jobs}
            specs = [
                os.path.join(sources[job.job_id], to_bytes(job.accepted.effective)) for job in jobs if job.accepted.effective
            ]
            self._fs.sync_many([path for path in specs if self._look(path)] + list(sources.values()))
        for folder in {job.accepted.folder for job in jobs}:
            try:
                self._fs.sync_dir(os.path.join(self._inbox, to_bytes(folder)) if folder else self._inbox)
            except FileNotFoundError:
                continue  # somebody removed the folder; then the names in it are gone as well

    def _give_up_room(self, job: Job, source: bytes) -> Moved:
        """Remove the folders of a job without files; if somebody put something there, the job stays, to fail without picture."""
        try:
            self._remove_if_there(os.path.join(source, TEMPORARY + b"claim"))
            self._fs.rmdir(source)
            self._fs.rmdir(self._outbox.job(job.job_id))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self.make_room(job, again=True)
            return Moved.WHOLE
        self._fs.sync_dir(self._outbox.root)
        return Moved.TAKEN_BACK

    def _move_one(self, job: Job, file: ClaimedFile, source: bytes) -> bool:
        """Whether the file is in source/ now."""
        start = os.path.join(self._inbox, to_bytes(job.accepted.folder), to_bytes(file.name))
        target = os.path.join(source, to_bytes(file.to))
        here, there = self._look(target), self._look(start)
        if there is None or not self._is_it(there, file):
            return here is not None
        if here is not None:
            if self._is_leftover(file, start, there, target, here):
                self._fs.unlink(start)
            return True
        try:
            self.bring(start, target)
        except FileNotFoundError:
            return False
        return True

    def bring(self, start: bytes, target: bytes) -> None:
        """Move a file to a free name, also to another file system. Between two names of one file system not durable yet."""
        try:
            self._fs.rename(start, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            if self._fs.lstat(start).size > self._most_bytes:
                raise OSError(errno.EFBIG, "too large to be copied to the disk of the outbox", start) from error
            self._carry(start, target)

    def _is_leftover(self, file: ClaimedFile, start: bytes, there: Stat, target: bytes, here: Stat) -> bool:
        """Whether the inbox name is only what a crash left of a move that is done; else it is a new drop that looks the same.

        Within one file system a crash leaves two names of one file. Between two, or two mounts of one, it leaves the original
        beside its finished copy.
        """
        is_copied = here.ino != file.ino == there.ino
        if here.dev == there.dev and not is_copied:
            return here.ino == there.ino
        return (here.size, here.mtime_ns) == (there.size, there.mtime_ns) and self._fs.digest(start) == self._fs.digest(target)

    def _carry(self, start: bytes, target: bytes) -> None:
        """Move to another file system: copy, compare, rename, and only then remove the original."""
        temporary = os.path.join(os.path.dirname(target), TEMPORARY + b"claim")
        self._remove_if_there(temporary)
        try:
            self._copy(start, temporary)
            self._fs.rename(temporary, target)
        except OSError:
            # Half a copy must not hold the room that the other jobs need until it is tried again.
            with contextlib.suppress(OSError):
                self._remove_if_there(temporary)
            raise
        self._fs.sync_dir(os.path.dirname(target))
        self._fs.unlink(start)

    def _copy(self, start: bytes, temporary: bytes) -> None:
        if self._fs.copy(start, temporary) != self._fs.digest(temporary):
            raise OSError(errno.EIO, "the copy differs from the original", temporary)

    def _remove_if_there(self, path: bytes) -> None:
        if self._look(path):
            self._fs.unlink(path)

    def _look(self, path: bytes) -> Stat | None:
        try:
            return self._fs.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    @staticmethod
    def _is_it(found: Stat, file: ClaimedFile) -> bool:
        """Whether a name still holds what was accepted. The inode is not asked: on a share it changes over a remount."""
        return found.kind == "file" and (found.size, found.mtime_ns) == (file.size, file.mtime_ns)
