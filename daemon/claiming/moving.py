"""The claim's second half: moving what was accepted from the inbox into source/.

Every step can be repeated: the same functions claim, go on after an error and roll a half-done claim forward after a crash.
The order is argued in `daemon.claiming.claims`.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from enum import Enum

from daemon.claiming.inbox_folders import InboxFolders
from daemon.contract.names import to_bytes
from daemon.contract.records import ClaimedFile, Job
from daemon.fs import FileSystem, HeldFolder, Stat, Wanted, write_atomic
from daemon.fs.compose import TEMPORARY
from daemon.outbox import Outbox
from daemon.sidecar import render

_SOURCE = b"source"
#: A copy in the making.
_HALF = TEMPORARY + b"claim"


class Moved(Enum):
    """How a claim came out."""

    WHOLE = "whole"
    TAKEN_BACK = "taken back"  # the picture is not in the inbox any more, nothing was moved


class PlantedError(Exception):
    """Something that is not ours already has the name of the job's folder."""


class Mover:
    """Moves the files of accepted jobs."""

    def __init__(
        self,
        fs: FileSystem,
        inbox: bytes,
        outbox: Outbox,
        is_local: Callable[[], bool] = lambda: True,
        most_bytes: float = float("inf"),
    ) -> None:
        """Makes a mover.

        Args:
            fs: the disk.
            inbox: its path.
            outbox: where to.
            is_local: whether the inbox is on a local disk, where an inode says which file it is.
            most_bytes: the largest file that is copied where it cannot be renamed; a copy holds up everything else.
        """
        self._fs = fs
        self._most_bytes = most_bytes
        self._outbox = outbox
        self.folders = InboxFolders(fs, inbox, is_local)

    def make_room(self, job: Job, *, again: bool) -> None:
        """Make a job's folder and its source/; `again` if it was tried before, perhaps by an earlier process.

        Raises:
            PlantedError: the name is taken: by anything if this is the first try, by something that is no folder if not.
            OSError: it could not be done now; try again later.
        """
        name = job.job_id.encode()
        with self._outbox.hold() as outbox:
            _make(outbox, name, job, may_be_there=again)
            try:
                with outbox.enter(name) as folder:
                    _make(folder, _SOURCE, job, may_be_there=True)
            except NotADirectoryError as error:
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
        with self._outbox.held_job(job.job_id, _SOURCE) as source:
            picture, *others = job.accepted.files
            taken_back = not self._move_one(job, picture, source)
            if not taken_back or any(_look(source, to_bytes(file.to)) for file in others):
                for file in others:
                    self._move_one(job, file, source)
                if job.accepted.effective and job.spec:
                    # Beside preset and batch jobs, so that source/ is a complete pair that can be dropped again.
                    write_atomic(source, to_bytes(job.accepted.effective), render(job.spec), durable=False)
                return Moved.WHOLE
        return self._give_up_room(job)

    def settle(self, jobs: Sequence[Job]) -> None:
        """Wait until the moves of these jobs are durable: new names first, then the old names' absence."""
        if jobs:
            sources = {job.job_id: self._outbox.job(job.job_id, b"source") for job in jobs}
            specs = [
                os.path.join(sources[job.job_id], to_bytes(job.accepted.effective)) for job in jobs if job.accepted.effective
            ]
            self._fs.sync_many([path for path in specs if self._is_there(path)] + list(sources.values()))
        for folder, ino in {(job.accepted.folder, job.accepted.folder_ino) for job in jobs}:
            try:
                self.folders.open(to_bytes(folder), ino).sync_dir()
            except (FileNotFoundError, NotADirectoryError):
                continue  # somebody removed the folder; then the names in it are gone as well

    def withdraw(self, job: Job) -> bool:
        """Give an accepted job up whose files are all in the inbox still: its room is removed. False if some were moved.

        Raises:
            OSError: it cannot be told, or not be removed, now.
        """
        try:
            with self._outbox.held_job(job.job_id, _SOURCE) as source:
                if any(_look(source, to_bytes(file.to)) for file in job.accepted.files):
                    return False
        except FileNotFoundError:
            return not self._outbox.has(job.job_id)
        return self._give_up_room(job) is Moved.TAKEN_BACK

    def _give_up_room(self, job: Job) -> Moved:
        """Remove the folders of a job without files; if somebody put something there, the job stays, to fail without picture."""
        try:
            with self._outbox.hold() as outbox:
                with outbox.enter(job.job_id.encode()) as folder:
                    with folder.enter(_SOURCE) as source:
                        _remove_if_there(source, _HALF)
                    folder.rmdir(_SOURCE)
                outbox.rmdir(job.job_id.encode())
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self.make_room(job, again=True)
            return Moved.WHOLE
        self._fs.sync_dir(self._outbox.root)
        return Moved.TAKEN_BACK

    def _move_one(self, job: Job, file: ClaimedFile, source: HeldFolder) -> bool:
        """Whether the file is in source/ now."""
        name, to = to_bytes(file.name), to_bytes(file.to)
        here, wanted = _look(source, to), self._wanted(file)
        try:
            folder = self.folders.open(to_bytes(job.accepted.folder), job.accepted.folder_ino)
        except (FileNotFoundError, NotADirectoryError):
            return here is not None
        there = _look(folder, name)
        if there is None or not wanted.is_it(there):
            return here is not None
        if here is not None:
            if self._is_leftover(file, folder, there, source, here):
                folder.unlink(name)
            return True
        try:
            self.bring(folder, name, source, to, wanted)
        except FileNotFoundError:
            return False
        return True

    def bring(self, folder: HeldFolder, name: bytes, source: HeldFolder, to: bytes, wanted: Wanted) -> None:
        """Move a file to a free name, also to another file system. Between two names of one file system not durable yet."""
        try:
            folder.move(name, source, to)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            if wanted.size > self._most_bytes:
                raise OSError(errno.EFBIG, "too large to be copied to the disk of the outbox", name) from error
            self._carry(folder, name, source, to, wanted)

    def _is_leftover(self, file: ClaimedFile, folder: HeldFolder, there: Stat, source: HeldFolder, here: Stat) -> bool:
        """Whether the inbox name is only what a crash left of a move that is done; else it is a new drop that looks the same.

        Within one file system a crash leaves two names of one file. Between two, or two mounts of one, it leaves the original
        beside its finished copy.
        """
        is_copied = here.ino != file.ino == there.ino
        if here.dev == there.dev and not is_copied:
            return here.ino == there.ino
        same = (here.size, here.mtime_ns) == (there.size, there.mtime_ns)
        return same and folder.digest(to_bytes(file.name)) == source.digest(to_bytes(file.to))

    def _carry(self, folder: HeldFolder, name: bytes, source: HeldFolder, to: bytes, wanted: Wanted) -> None:
        """Move to another file system: copy, compare, rename, and only then remove the original."""
        _remove_if_there(source, _HALF)
        try:
            _copy(folder, name, source, wanted)
            source.rename(_HALF, to)
        except OSError:
            # Half a copy must not hold the room that the other jobs need until it is tried again.
            with contextlib.suppress(OSError):
                _remove_if_there(source, _HALF)
            raise
        source.sync_dir()
        # What has come under the name meanwhile is somebody's new drop.
        if (there := _look(folder, name)) is not None and wanted.is_it(there):
            folder.unlink(name)

    def _is_there(self, path: bytes) -> bool:
        try:
            self._fs.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _wanted(self, file: ClaimedFile) -> Wanted:
        """The file that was accepted. Its inode is asked on local disks only: on a share it changes over a remount."""
        return Wanted(file.size, file.mtime_ns, file.ino if self.folders.local else None)


def _make(folder: HeldFolder, name: bytes, job: Job, *, may_be_there: bool) -> None:
    """Make a folder in a folder, or find it there."""
    try:
        folder.mkdir(name)
    except FileExistsError as error:
        if not may_be_there or folder.lstat(name).kind != "directory":
            raise PlantedError(job.job_id) from error


def _copy(folder: HeldFolder, name: bytes, source: HeldFolder, wanted: Wanted) -> None:
    if folder.copy(name, source, _HALF, wanted) != source.digest(_HALF):
        raise OSError(errno.EIO, "the copy differs from the original", name)


def _look(folder: HeldFolder, name: bytes) -> Stat | None:
    try:
        return folder.lstat(name)
    except FileNotFoundError:
        return None


def _remove_if_there(folder: HeldFolder, name: bytes) -> None:
    if _look(folder, name):
        folder.unlink(name)
