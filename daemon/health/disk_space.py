"""Disk space: a full disk pauses the queue with a reason that can be read, and work goes on by itself when there is room.

`shortage` decides; `DiskSpace` looks. What is under way goes on: a job that fails because the disk is full waits for room and
has lost no attempt, unless its own result is what filled the disk; then it is tried again as after any other failure, so that a
picture too large for this disk comes to an end.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger

from daemon.fs import FileSystem, write_new
from daemon.journal.journal import RESERVE_BYTES
from daemon.outbox import Outbox
from daemon.settings import Settings

#: What is held back in the outbox and given up when its disk is full to the last byte: daemon.json with 200 waiting pictures,
#: the page and some status files, which have to say that it is full.
HELD_BACK_BYTES = 1 << 20
HELD_BACK = b".multiplane-room"
#: How often a disk is asked, seconds; a person who made room does not want to wait.
_LOOK_SECONDS = 2.0
#: How many files (inodes) must be free: a result has some thirty, and job, status and page are made beside it. A disk can be
#: full of small files while most of its bytes are free.
MIN_FREE_FILES = 300


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder's disk: how many bytes are free, and how many must be; how many more files it holds, none if it counts none."""

    what: str
    free: int
    wanted: int
    files: int | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What a folder holds: bytes of the files in it and below, and how many files and folders there are."""

    bytes: int = 0
    files: int = 0


def shortage(disks: Sequence[Disk]) -> str | None:
    """Why nothing is accepted or started now, one sentence; none if every disk has room."""
    for disk in disks:
        if disk.free < disk.wanted:
            return f"the disk of the {disk.what} is full: {disk.free >> 20:,} MiB are free, {disk.wanted >> 20:,} MiB are needed"
        if disk.files is not None and disk.files < MIN_FREE_FILES:
            return (
                f"the disk of the {disk.what} is full: it can hold {disk.files:,} more files (inodes), "
                f"{MIN_FREE_FILES:,} are needed"
            )
    return None


class DiskSpace:
    """Whether there is room, asked every few seconds.

    Attributes:
        problem: why the queue pauses, one sentence; none if there is room.
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
        """Ask the disks if it is time. `now`: monotonic seconds."""
        if now < self._asked + _LOOK_SECONDS:
            return
        self._asked = now
        before, self.problem = self.problem, shortage(self._disks())
        self.hint = "Free some space on it; work then resumes automatically. Nothing is lost." if self.problem else None
        if (self.problem is None) != (before is None):
            # How much is free changes all the time, and is told in daemon.json.
            logger.warning("{}", f"paused: {self.problem}" if self.problem else "the disks have space again; work resumes")
        self._hold_back()

    def next_look(self, now: float) -> float:
        """When `look` is due by time alone, monotonic seconds; while there is room, the loop's other business is often enough."""
        return max(now, self._asked + _LOOK_SECONDS) if self.problem else float("inf")

    def lacks(self, attempt: str | None) -> bool:
        """Whether there is no room, and would be none without what this attempt wrote: then that is not of its making.

        Args:
            attempt: the attempt's folder in .work/; none if it is gone.
        """
        self._asked = float("-inf")
        own = self.used_by(attempt)
        try:
            free, files = self._fs.free_bytes(self._outbox.root), self._fs.free_files(self._outbox.root)
        except OSError:
            return False
        return free + own.bytes < self._wanted or (files is not None and files + own.files < MIN_FREE_FILES)

    def fills(self, attempt: str | None) -> bool:
        """Whether an attempt wrote so much that without it there would be room, also where the disk does not say what is free."""
        own = self.used_by(attempt)
        return own.bytes >= self._wanted or own.files >= MIN_FREE_FILES

    def used_by(self, attempt: str | None) -> Used:
        """What an attempt wrote; nothing if it is gone."""
        return self._in(self._outbox.attempt(attempt)) if attempt else Used()

    def _disks(self) -> list[Disk]:
        """What can be asked of; a folder that cannot is not full but away, which is judged elsewhere."""
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
        """What is in a folder and below; what cannot be looked at counts for nothing."""
        size = files = 0
        with contextlib.suppress(OSError):
            for below in self._fs.tree(folder):
                files += 1
                # What a file takes, not what it claims to be: a sparse one of a terabyte fills no disk.
                size += min(below.used, below.charge) if below.kind == "file" else 0
        return Used(size, files)

    def _hold_back(self) -> None:
        """Keep some bytes for the views while there is room, and give them up when there is none."""
        with contextlib.suppress(OSError):
            if self.problem is None:
                self._keep()
            elif self._fs.free_bytes(self._outbox.root) < HELD_BACK_BYTES or self._fs.free_files(self._outbox.root) == 0:
                self._fs.unlink(self._held_back)

    def _keep(self) -> None:
        if not self._outbox.is_healthy():
            return  # what is at its place is not the outbox
        try:
            self._fs.lstat(self._held_back)
        except FileNotFoundError:
            # Random, so that no disk packs them into less.
            write_new(self._fs, self._held_back, os.urandom(HELD_BACK_BYTES), durable=False)
