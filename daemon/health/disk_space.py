"""Checks disk space: a full disk pauses the queue with a clear reason, and work resumes automatically when there is space.

`shortage` decides; `DiskSpace` measures. Running jobs continue. If a job fails because the disk is full, the attempt does not
count, and the job waits for space. If its own result filled the disk, the attempt counts, so that a job that is too large for
this disk ends at last.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger

from daemon.contract.words.printable import counted
from daemon.fs import FileSystem, write_new
from daemon.journal.journal import RESERVE_BYTES
from daemon.outbox import Outbox
from daemon.settings import Settings

#: The size of a file in the outbox that is removed when its disk is completely full. That makes room for daemon.json with 200
#: waiting pictures, the page and some status files, so that they can say that the disk is full.
HELD_BACK_BYTES = 1 << 20
HELD_BACK = b".multiplane-room"
#: Seconds between two checks of the disks: a person who has made space does not want to wait.
_LOOK_SECONDS = 2.0
_MB = 1_000_000
#: How many files (inodes) must be free. A result has about thirty, and job, status and page need some more. Small files can
#: fill a disk while most of its bytes are free.
MIN_FREE_FILES = 300


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of a folder.

    Attributes:
        what: the name of the folder, for messages.
        free: how many bytes can still be written.
        wanted: how many bytes must be free.
        files: how many more files the disk can hold; None if it does not say.
    """

    what: str
    free: int
    wanted: int
    files: int | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What a folder contains, including its subfolders: bytes, and the number of files and folders."""

    bytes: int = 0
    files: int = 0


def shortage(disks: Sequence[Disk]) -> str | None:
    """A sentence that says why nothing is accepted or started now; None if every disk has space."""
    for disk in disks:
        if disk.free < disk.wanted:
            free, wanted = disk.free // _MB, -(-disk.wanted // _MB)
            return f"the disk of the {disk.what} is full: {free:,} MB are free, {wanted:,} MB are needed"
        if disk.files is not None and disk.files < MIN_FREE_FILES:
            return (
                f"the disk of the {disk.what} is full: it can hold {counted(disk.files, 'more file')} (inodes), "
                f"{MIN_FREE_FILES:,} are needed"
            )
    return None


class DiskSpace:
    """Whether there is disk space, checked every few seconds.

    Attributes:
        problem: a sentence that says why the queue pauses; None if there is space.
        hint: what to do about it.
    """

    def __init__(self, fs: FileSystem, settings: Settings, outbox: Outbox) -> None:
        self._fs = fs
        self._outbox = outbox
        self._wanted = int(settings.queue.min_free_bytes)
        self._state = settings.paths.state_bytes
        self._held_back = os.path.join(outbox.root, HELD_BACK)
        self._asked = float("-inf")
        self.problem: str | None = None
        self.hint: str | None = None

    def look(self, now: float) -> None:
        """Check the disks if it is time. `now`: monotonic seconds."""
        if now < self._asked + _LOOK_SECONDS:
            return
        self._asked = now
        before, self.problem = self.problem, shortage(self._disks())
        self.hint = "Free some space on it; work then resumes automatically. Nothing is lost." if self.problem else None
        if (self.problem is None) != (before is None):
            # The free space changes all the time; daemon.json reports it.
            logger.warning("{}", f"paused: {self.problem}" if self.problem else "the disks have space again; work resumes")
        self._hold_back()

    def next_look(self, now: float) -> float:
        """When to call `look` at the latest, in monotonic seconds.

        Only a full disk needs checks at certain times; otherwise the loop calls `look` often enough anyway.
        """
        return max(now, self._asked + _LOOK_SECONDS) if self.problem else float("inf")

    def lacks(self, attempt: str | None) -> bool:
        """Whether the disk would be full even without this attempt's files, so that the attempt is not at fault.

        Args:
            attempt: name of the attempt's folder in .work/; None if it is gone.
        """
        self._asked = float("-inf")
        own = self.used_by(attempt)
        try:
            free, files = self._fs.free_bytes(self._outbox.root), self._fs.free_files(self._outbox.root)
        except OSError:
            return False
        return free + own.bytes < self._wanted or (files is not None and files + own.files < MIN_FREE_FILES)

    def fills(self, attempt: str | None) -> bool:
        """Whether the attempt's own files take up all the required space. Needs no report of free space from the disk."""
        own = self.used_by(attempt)
        return own.bytes >= self._wanted or own.files >= MIN_FREE_FILES

    def used_by(self, attempt: str | None) -> Used:
        """What an attempt wrote; nothing if its folder is gone."""
        return self._in(self._outbox.attempt(attempt)) if attempt else Used()

    def _disks(self) -> list[Disk]:
        """The disks that can be measured. If a disk cannot, its folder is away; `FolderHealth` handles that."""
        found = []
        for what, path, wanted in (
            ("outbox", self._outbox.root, self._wanted),
            ("state folder", self._state, min(self._wanted, RESERVE_BYTES)),
        ):
            with contextlib.suppress(OSError):
                files = self._fs.free_files(path) if path == self._outbox.root else None
                found.append(Disk(what, self._fs.free_bytes(path), wanted, files))
        return found

    def _in(self, folder: bytes) -> Used:
        """What a folder contains, including its subfolders. Anything that cannot be read is not counted."""
        size = files = 0
        with contextlib.suppress(OSError):
            for below in self._fs.tree(folder):
                files += 1
                # Count the space a file takes up, not its length: a sparse file of a terabyte fills no disk.
                size += min(below.used, below.charge) if below.kind == "file" else 0
        return Used(size, files)

    def _hold_back(self) -> None:
        """Keep the reserve file while there is space, and remove it when there is none."""
        with contextlib.suppress(OSError):
            if self.problem is None:
                self._keep()
            elif self._fs.free_bytes(self._outbox.root) < HELD_BACK_BYTES or self._fs.free_files(self._outbox.root) == 0:
                self._fs.unlink(self._held_back)

    def _keep(self) -> None:
        if not self._outbox.is_healthy():
            return  # the folder in its place is not the outbox
        try:
            self._fs.lstat(self._held_back)
        except FileNotFoundError:
            # Random bytes, so that no disk can compress them.
            write_new(self._fs, self._held_back, os.urandom(HELD_BACK_BYTES), durable=False)
