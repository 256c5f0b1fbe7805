"""Room on the disks: a full one pauses the queue with a reason that can be read, and work goes on by itself when there is room.

`shortage` decides; `Room` looks. What is under way goes on: a job that fails because the disk is full waits for room and has lost
no attempt, unless its own result is what filled the disk; then it is tried again as after any other failure, so that a picture
too large for this disk comes to an end.
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
#: Errors of a job that a full disk explains: what a worker says that could not write, and one that could not even say so.
_EXPLAINED = ("disk_full", "worker_crashed")


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder's disk: how many bytes are free, and how many must be."""

    what: str
    free: int
    wanted: int


def shortage(disks: Sequence[Disk]) -> str | None:
    """Why nothing is accepted or started now, one sentence; none if every disk has room."""
    for disk in disks:
        if disk.free < disk.wanted:
            return f"the disk of the {disk.what} is full: {disk.free >> 20:,} MiB are free, {disk.wanted >> 20:,} MiB are needed"
    return None


class Room:
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
        self.hint = "Make room on it; work goes on by itself. Nothing is lost." if self.problem else None
        if (self.problem is None) != (before is None):
            logger.warning("{}", f"paused: {self.problem}" if self.problem else "there is room on the disks again; work goes on")
        self._hold_back()

    def next_look(self, now: float) -> float:
        """When `look` is due by time alone, monotonic seconds; while there is room, the loop's other business is often enough."""
        return max(now, self._asked + _LOOK_SECONDS) if self.problem else float("inf")

    def explains(self, code: str, attempt: str | None) -> bool:
        """Whether an attempt failed for want of room that is not of its own making: there is none, even without what it wrote.

        Args:
            code: the error's.
            attempt: the attempt's folder in .work/; none if it is gone.
        """
        if code not in _EXPLAINED:
            return False
        self._asked = float("-inf")
        own = self._bytes_in(self._outbox.attempt(attempt)) if attempt else 0
        try:
            return self._fs.free_bytes(self._outbox.root) + own < self._wanted
        except OSError:
            return False

    def _disks(self) -> list[Disk]:
        """What can be asked of; a folder that cannot is not full but away, which is judged elsewhere."""
        found = []
        for what, path, wanted in (
            ("outbox", self._outbox.root, self._wanted),
            ("state folder", self._state, min(self._wanted, RESERVE_BYTES)),
        ):
            with contextlib.suppress(OSError):
                found.append(Disk(what, self._fs.free_bytes(path), wanted))
        return found

    def _bytes_in(self, folder: bytes) -> int:
        """The bytes of the files in a folder and below; what cannot be looked at counts for nothing."""
        total = 0
        with contextlib.suppress(OSError):
            for below in self._fs.tree(folder):
                # What a file takes, not what it claims to be: a sparse one of a terabyte fills no disk.
                total += min(below.used, below.charge) if below.kind == "file" else 0
        return total

    def _hold_back(self) -> None:
        """Keep some bytes for the views while there is room, and give them up when there is none."""
        with contextlib.suppress(OSError):
            if self.problem is None:
                self._keep()
            elif self._fs.free_bytes(self._outbox.root) < HELD_BACK_BYTES:
                self._fs.unlink(self._held_back)

    def _keep(self) -> None:
        if not self._outbox.is_healthy():
            return  # what is at its place is not the outbox
        try:
            self._fs.lstat(self._held_back)
        except FileNotFoundError:
            # Random, so that no disk packs them into less.
            write_new(self._fs, self._held_back, os.urandom(HELD_BACK_BYTES), durable=False)
