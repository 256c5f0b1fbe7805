"""The second half of a claim: moves accepted files from the inbox to source/.

Every step can be repeated. So the same functions make a claim, continue it after an error, and complete it after a crash.
`daemon.claiming.claims` explains the order.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from enum import Enum

from daemon.claiming.inbox_folders import InboxFolders
from daemon.claiming.source_files import SOURCE
from daemon.contract.names import to_bytes
from daemon.contract.records import ClaimedFile, Job
from daemon.fs import FileSystem, HeldFolder, Stat, Wanted, write_atomic
from daemon.fs.compose import TEMPORARY
from daemon.outbox import Outbox
from daemon.sidecar import render

#: The prefix of an unfinished copy.
UNFINISHED = TEMPORARY + b"claim"


class Moved(Enum):
    """The outcome of moving the files of a job."""

    WHOLE = "whole"  # everything that was still in the inbox is in source/ now
    TAKEN_BACK = "taken back"  # the picture is no longer in the inbox; nothing was moved


class NameTakenError(Exception):
    """The name of the job's folder is taken by something that Multiplane did not make."""


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
        """Create a mover.

        Args:
            fs: the disk.
            inbox: path of the inbox.
            outbox: where the files go.
            is_local: returns whether the inbox is on a local disk, where an inode identifies a file.
            most_bytes: size of the largest file that may be copied to another disk; a copy holds up everything else.
        """
        self._fs = fs
        self._most_bytes = most_bytes
        self._outbox = outbox
        self.folders = InboxFolders(fs, inbox, is_local)

    def make_job_folder(self, job: Job, *, again: bool) -> None:
        """Make a job's folder and its source/. `again`: this was tried before, perhaps by an earlier process.

        Raises:
            NameTakenError: on the first try, something has the name; later, something other than a folder has it.
            OSError: it failed for now; try again later.
        """
        name = job.job_id.encode()
        with self._outbox.hold() as outbox:
            _make(outbox, name, job, may_be_there=again)
            try:
                with outbox.enter(name) as folder:
                    _make(folder, SOURCE, job, may_be_there=True)
            except NotADirectoryError as error:
                raise NameTakenError(job.job_id) from error

    def sync_job_folders(self, jobs: Sequence[Job]) -> None:
        """Make the job folders durable. Call this before `move`: a power loss that undid a folder would lose the files in it."""
        if jobs:
            self._fs.sync_many([*(self._outbox.job(job.job_id) for job in jobs), self._outbox.root])

    def move(self, job: Job) -> Moved:
        """Move a job's files into its source/. The renames are not durable before `make_durable`.

        Raises:
            OSError: the move could not be completed now; try again later.
        """
        with self._outbox.held_job(job.job_id, SOURCE) as source:
            picture, *others = job.accepted.files
            taken_back = not self._move_one(job, picture, source)
            if not taken_back or any(_lstat(source, to_bytes(file.to)) for file in others):
                for file in others:
                    self._move_one(job, file, source)
                _write_spec(job, source)
                return Moved.WHOLE
        return self._remove_job_folder(job)

    def write_spec(self, job: Job) -> None:
        """Write a job's effective spec into its source/, if it has one. It is not durable before `make_durable`."""
        with self._outbox.held_job(job.job_id, SOURCE) as source:
            _write_spec(job, source)

    def make_durable(self, jobs: Sequence[Job]) -> None:
        """Make the moves of these jobs durable: first the new names in source/, then the removal of the old ones."""
        if jobs:
            sources = {job.job_id: self._outbox.job(job.job_id, b"source") for job in jobs}
            specs = [
                os.path.join(sources[job.job_id], to_bytes(job.accepted.effective)) for job in jobs if job.accepted.effective
            ]
            self._fs.sync_many([path for path in specs if self._is_there(path)] + list(sources.values()))
        from_inbox = [job.accepted for job in jobs if job.accepted.redo_of is None]
        for folder, ino in {(accepted.folder, accepted.folder_ino) for accepted in from_inbox}:
            try:
                self.folders.open(to_bytes(folder), ino).sync_dir()
            except (FileNotFoundError, NotADirectoryError):
                continue  # somebody removed the inbox folder, so the old names are gone as well

    def withdraw(self, job: Job) -> bool:
        """Give up an accepted job whose files are all still in the inbox, and remove its folders.

        Returns False, and changes nothing, if some of its files were moved.

        Raises:
            OSError: the folders cannot be read or removed now; try again later.
        """
        try:
            with self._outbox.held_job(job.job_id, SOURCE) as source:
                if any(_lstat(source, to_bytes(file.to)) for file in job.accepted.files):
                    return False
        except FileNotFoundError:
            return not self._outbox.has(job.job_id)
        return self._remove_job_folder(job) is Moved.TAKEN_BACK

    def _remove_job_folder(self, job: Job) -> Moved:
        """Remove the folders of a job if none of its files was moved. Returns `TAKEN_BACK`.

        If somebody put something into the folders, they stay, and this returns `WHOLE`. The job also stays, and will fail
        because it has no picture.
        """
        try:
            with self._outbox.hold() as outbox:
                with outbox.enter(job.job_id.encode()) as folder:
                    with folder.enter(SOURCE) as source:
                        _remove_if_there(source, UNFINISHED)
                    folder.rmdir(SOURCE)
                outbox.rmdir(job.job_id.encode())
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self.make_job_folder(job, again=True)
            return Moved.WHOLE
        self._fs.sync_dir(self._outbox.root)
        return Moved.TAKEN_BACK

    def _move_one(self, job: Job, file: ClaimedFile, source: HeldFolder) -> bool:
        """Move one file, and return whether it is in source/ now."""
        name, to = to_bytes(file.name), to_bytes(file.to)
        here, wanted = _lstat(source, to), self._wanted(file)
        try:
            folder = self.folders.open(to_bytes(job.accepted.folder), job.accepted.folder_ino)
        except (FileNotFoundError, NotADirectoryError):
            return here is not None
        there = _lstat(folder, name)
        if there is None or not wanted.matches(there):
            return here is not None
        if here is not None:
            if self._is_leftover(file, folder, there, source, here):
                folder.unlink(name)
            return True
        try:
            self.move_file(folder, name, source, to, wanted)
        except FileNotFoundError:
            return False
        return True

    def move_file(self, folder: HeldFolder, name: bytes, source: HeldFolder, to: bytes, wanted: Wanted) -> None:
        """Move a file to a free name, if necessary to another file system.

        Within one file system, the move is not durable yet.
        """
        try:
            folder.move(name, source, to)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            if wanted.size > self._most_bytes:
                raise OSError(errno.EFBIG, "too large to be copied to the disk of the outbox", name) from error
            self._rename_or_copy(folder, name, source, to, wanted)

    def _is_leftover(self, file: ClaimedFile, folder: HeldFolder, there: Stat, source: HeldFolder, here: Stat) -> bool:
        """Whether the file in the inbox is left over from a move before a crash. If not, it is a new drop that looks the same.

        Within one file system, a crash leaves two names of one file. Between two file systems, or two mounts of one, it leaves
        the original and its finished copy.
        """
        is_copied = here.ino != file.ino == there.ino
        if here.dev == there.dev and not is_copied:
            return here.ino == there.ino
        same = (here.size, here.mtime_ns) == (there.size, there.mtime_ns)
        return same and folder.digest(to_bytes(file.name)) == source.digest(to_bytes(file.to))

    def _rename_or_copy(self, folder: HeldFolder, name: bytes, source: HeldFolder, to: bytes, wanted: Wanted) -> None:
        """Move a file to another file system: copy, compare, rename, and only then remove the original."""
        _remove_if_there(source, UNFINISHED)
        try:
            _copy(folder, name, source, wanted)
            source.rename(UNFINISHED, to)
        except OSError:
            # An unfinished copy must not take up the space that other jobs need until the next try.
            with contextlib.suppress(OSError):
                _remove_if_there(source, UNFINISHED)
            raise
        source.sync_dir()
        # Another file that appeared under this name meanwhile is a new drop, and stays.
        if (there := _lstat(folder, name)) is not None and wanted.matches(there):
            folder.unlink(name)

    def _is_there(self, path: bytes) -> bool:
        try:
            self._fs.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _wanted(self, file: ClaimedFile) -> Wanted:
        """The accepted file's identity. The inode is compared only on local disks: on a share it may change with each mount."""
        return Wanted(file.size, file.mtime_ns, file.ino if self.folders.local else None)


def _write_spec(job: Job, source: HeldFolder) -> None:
    """Write the effective spec next to the picture, so that source/ is a complete pair that can be dropped again."""
    if job.accepted.effective and job.spec:
        write_atomic(source, to_bytes(job.accepted.effective), render(job.spec), durable=False)


def _make(folder: HeldFolder, name: bytes, job: Job, *, may_be_there: bool) -> None:
    """Make a subfolder. Raises NameTakenError if the name is taken. If `may_be_there`, a folder of this name is accepted."""
    try:
        folder.mkdir(name)
    except FileExistsError as error:
        if not may_be_there or folder.lstat(name).kind != "directory":
            raise NameTakenError(job.job_id) from error


def _copy(folder: HeldFolder, name: bytes, source: HeldFolder, wanted: Wanted) -> None:
    if folder.copy(name, source, UNFINISHED, wanted) != source.digest(UNFINISHED):
        raise OSError(errno.EIO, "the copy differs from the original", name)


def _lstat(folder: HeldFolder, name: bytes) -> Stat | None:
    try:
        return folder.lstat(name)
    except FileNotFoundError:
        return None


def _remove_if_there(folder: HeldFolder, name: bytes) -> None:
    if _lstat(folder, name):
        folder.unlink(name)
