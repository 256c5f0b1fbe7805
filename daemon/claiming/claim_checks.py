"""Checks a pair just before it is claimed: whether each file is still what intake saw, is complete, and can be moved."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from daemon.claiming.inbox_folders import InboxFolders
from daemon.contract.names import to_text
from daemon.errors import ImageTooLarge
from daemon.fs import HeldFolder
from daemon.intake.model import Entry, Ready
from daemon.intake.picture_end import END_BYTES, end_is_missing
from daemon.intake.settle import END_MISSING
from daemon.jobs import decide
from daemon.outbox import Outbox
from daemon.platform.files import permission_hint

#: Errors that only a person can fix.
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True, slots=True)
class NotClaimed:
    """A pair that could not be claimed now.

    Attributes:
        reason: in plain words, for the waiting list.
        grew: whether the picture grew, so that it had not been complete.
        for_a_person: whether somebody must do something, because waiting alone will not help.
        unfinished: the picture or depth picture whose end is missing; None if no end is missing.
        seconds: how long the missing rest may still take to arrive; 0 if nothing is missing.
    """

    pair: Ready
    reason: str
    grew: bool = False
    for_a_person: bool = False
    unfinished: Entry | None = None
    seconds: float = 0.0


class ClaimChecks:
    """The checks of pairs in one inbox.

    Args:
        folders: the folders of the inbox.
        outbox: where the files will go.
        most_bytes: the largest file that is copied to another disk.
        clock: returns the current time with its time zone.
        monotonic: returns monotonic seconds.
    """

    def __init__(
        self,
        folders: InboxFolders,
        outbox: Outbox,
        most_bytes: int,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._folders = folders
        self._outbox = outbox
        self._most_bytes = most_bytes
        self._clock = clock
        self._monotonic = monotonic

    def reason_to_wait(self, pair: Ready) -> NotClaimed | None:
        """Why a pair cannot be claimed now; None if it can."""
        for entry in pair.entries:
            try:
                folder = self._folders.open(pair.folder)
                found = folder.lstat(entry.name)
            except (FileNotFoundError, NotADirectoryError):
                return NotClaimed(pair, f"{to_text(entry.name)} was taken back")
            except OSError as error:
                return NotClaimed(pair, f"{to_text(entry.name)} cannot be read now: {error.strerror}")
            if found.kind != "file" or (found.dev, found.ino, found.size, found.mtime_ns) != entry.fingerprint:
                grew = found.ino == entry.ino and found.size > entry.size
                return NotClaimed(pair, f"{to_text(entry.name)} changed while it was being taken", grew)
            if folder.written_elsewhere(entry.name):
                return NotClaimed(pair, f"{to_text(entry.name)} is still open in another program")
            if entry.size > self._most_bytes and found.dev != self._outbox.device():
                # To claim it, the daemon would copy all of it, perhaps for hours, and hold up all other jobs.
                said = ImageTooLarge.in_bytes(to_text(entry.name), entry.size, self._most_bytes).message.removesuffix(".")
                why = f"{said}; it is not copied to the disk of the outbox: make it smaller, or take it away"
                return NotClaimed(pair, why, for_a_person=True)
            if (obstacle := folder.removal_obstacle(entry.name)) is not None:
                return NotClaimed(pair, f"{to_text(entry.name)} cannot be taken: {obstacle}", for_a_person=True)
            if entry in (pair.image, pair.depth):
                try:
                    written = pair.image_written if entry is pair.image else pair.depth_written
                    seconds = self._rest_may_come(folder, entry, written)
                except OSError as error:
                    # A worker could not read it either, so the job would fail because of an error that may be temporary.
                    denied = error.errno in DENIED
                    why = f"{to_text(entry.name)} cannot be read now: {error.strerror}"
                    return NotClaimed(pair, f"{why}: {permission_hint()}" if denied else why, for_a_person=denied)
                if seconds:
                    return NotClaimed(pair, END_MISSING, unfinished=entry, seconds=seconds)
        return None

    def _rest_may_come(self, folder: HeldFolder, entry: Entry, written: float | None) -> float:
        """For how many seconds the rest of a picture may still arrive; 0 if its end is there, or if it is too old.

        `written` is when intake last saw the picture being written, in monotonic seconds. If it is None, the picture's date is
        compared with the clock instead. That is less reliable: the clock of a share may differ from ours, and ours may be
        changed.

        Raises:
            OSError: the picture cannot be read.
        """
        now = self._clock().timestamp()
        until = decide.rest_until(entry.mtime_ns, since=now, now=now)
        by_date = 0.0 if until is None else until - now
        seconds = by_date if written is None else written + decide.REST_SECONDS - self._monotonic()
        head, tail = folder.ends(entry.name, END_BYTES if seconds > 0 else 1, self._folders.wanted(entry))
        return seconds if seconds > 0 and entry.size > 0 and end_is_missing(head, tail, entry.size) else 0.0
