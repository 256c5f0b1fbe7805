"""An attempt that has a seat on this machine, its files, and what is reported about it."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.cluster.files import Incoming
from daemon.cluster.messages import LOG_PIECE, Asked, AttemptReport, EndOfAttempt, Order, Progressed, Report
from daemon.fs import FileSystem


@dataclass(eq=False)
class Seated:
    """An attempt on this machine.

    Attributes:
        attempt: its name.
        home, daemon: whose it is (`Asked`).
        order: what to do; None until the daemon has said so.
        incoming: the file that is arriving.
        over: set when its processes are gone, so that its slot is free.
        progress, progress_number: its last progress, and how many there were.
        end: how it ended; None while it runs, or while its result is on its way to the share.
        dropped: whether nobody names it any more.
    """

    attempt: str
    home: str
    daemon: str
    order: Order | None = None
    shared: bool = False
    incoming: Incoming | None = None
    begun: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    progress: Progressed | None = None
    progress_number: int = 0
    end: EndOfAttempt | None = None
    dropped: bool = False

    def accept(self, order: Order) -> None:
        """The daemon has said what to do."""
        self.order = order

    def use_share(self, seen: bool) -> None:
        """Whether this machine sees the daemon's outbox on a share."""
        self.shared = seen

    def receive(self, file: Incoming | None) -> None:
        """A file begins to arrive; None: it has arrived."""
        self.incoming = file

    def begin(self) -> None:
        """Its worker starts."""
        self.begun = True

    def advance(self, progress: Progressed) -> None:
        """Its worker has reported progress."""
        self.progress, self.progress_number = progress, self.progress_number + 1

    def finish(self, end: EndOfAttempt) -> None:
        """It has ended; the first end counts."""
        self.end = self.end or end
        self.over.set()

    def drop(self) -> None:
        """Nobody names it any more."""
        self.dropped = True


class Folders:
    """Where attempts read and write on this machine.

    Args:
        fs: the disk.
        root: a folder of this process alone, on a local disk.
    """

    def __init__(self, fs: FileSystem, root: bytes) -> None:
        self._fs, self._root = fs, root
        for folder in (b"attempts", b"sources", b"logs"):
            os.makedirs(os.path.join(root, folder), mode=0o700, exist_ok=True)

    def attempt(self, attempt: str) -> bytes:
        """What the attempt writes."""
        return os.path.join(self._root, b"attempts", attempt.encode())

    def source(self, attempt: str) -> bytes:
        """The files of its job."""
        return os.path.join(self._root, b"sources", attempt.encode())

    def log(self, attempt: str) -> bytes:
        """The file with what its worker prints."""
        return os.path.join(self._root, b"logs", attempt.encode())

    def make(self, attempt: str) -> None:
        """Make the attempt's folders. Raises OSError."""
        for folder in (self.attempt(attempt), self.source(attempt)):
            os.mkdir(folder, 0o700)

    def remove(self, attempt: str) -> None:
        """Remove all that the attempt has left."""
        for folder in (self.attempt(attempt), self.source(attempt)):
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log(attempt))

    def free_bytes(self) -> int:
        """The bytes that are free on this disk. Raises OSError."""
        return self._fs.free_bytes(self._root)

    def printed(self, attempt: str, offset: int) -> str:
        """The next piece of its log, one character for each byte (Latin-1)."""
        try:
            with open(self.log(attempt), "rb") as log:
                log.seek(offset)
                return log.read(LOG_PIECE).decode("latin-1")
        except FileNotFoundError:
            return ""


def report(seated: Mapping[str, Seated], question: Asked, folders: Folders) -> Report:
    """What is new for the daemon that asks."""
    mine = [one for one in seated.values() if one.home == question.home and not one.dropped]
    seats = tuple(one.attempt for one in mine if one.order is None and one.attempt not in question.attempts)
    told = []
    for attempt, known in question.attempts.items():
        one = seated.get(attempt)
        if one is None or one.dropped:
            told.append(AttemptReport(attempt=attempt, gone=True))
            continue
        log = folders.printed(attempt, known.log)
        moved = one.progress_number > known.progress
        # The log comes before the end, so that it is complete when the job has ended.
        end = one.end if one.end is not None and not known.ended and len(log) < LOG_PIECE else None
        if log or moved or end:
            told.append(
                AttemptReport(
                    attempt=attempt,
                    progress=one.progress if moved else None,
                    progress_number=one.progress_number,
                    log=log,
                    end=end,
                )
            )
    return Report(seats=seats, attempts=tuple(told))
