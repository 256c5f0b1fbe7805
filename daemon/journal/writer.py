"""Appends records: one write and one sync for all records that are ready together.

After an error nobody knows what reached the disk, and a second sync may wrongly succeed. So after the first error the writer
accepts nothing more: the process must end, and its next start finds out what is on the disk.
"""

from collections.abc import Callable, Sequence

from daemon.contract.commands import command
from daemon.contract.records import AnyRecord
from daemon.fs import FileSystem
from daemon.fs.compose import write_all
from daemon.journal.line import Entry, checked

#: What to do if the disk did not accept a record.
_DISK_HINT = "Make sure that the disk of the state folder works and has free space, then start again."
_GONE_HINT = (
    f"If you moved it, put it back, then start again: nothing is lost. If it is gone: {command('doctor', '--repair')}; "
    "it takes in the jobs from the outbox."
)


class JournalError(Exception):
    """The journal could not be written; the process must stop. `hint`: what to do about it."""

    def __init__(self, message: str, *, hint: str = _DISK_HINT) -> None:
        super().__init__(message)
        self.hint = hint


class Writer:
    """Appends to a segment that this process created.

    Args:
        fs: the disk.
        fd: the segment's file, open for writing. The writer closes it.
        path: path of that file.
        next_seq: the number for the next record.
        clock: returns the time as text: UTC, RFC 3339.

    Attributes:
        next_seq: the number for the next record.
        count: how many records this writer has appended.
    """

    def __init__(self, fs: FileSystem, fd: int, path: bytes, next_seq: int, clock: Callable[[], str]) -> None:
        self._fs = fs
        self._fd = fd
        self._path = path
        self._clock = clock
        self._failure: str | None = None
        self.next_seq = next_seq
        self.count = 0

    def append(self, records: Sequence[AnyRecord]) -> list[Entry]:
        """Write the records as one group, and wait until they are on the disk. Returns them with their numbers.

        Raises:
            UnreplayableError: one of them could not be read back; none was written, and later appends may succeed.
            JournalError: the records may or may not be on the disk, or the segment is no longer in its place. Every later
                append fails as well.
        """
        if self._failure:
            raise JournalError(self._failure)
        ts, group = self._clock(), self.next_seq
        entries = [Entry(group + i, group, ts, record) for i, record in enumerate(records)]
        lines = b"".join(checked(entry) for entry in entries)
        try:
            write_all(self._fs, self._fd, lines)
            self._fs.sync(self._fd)
        except OSError as error:
            self._failure = f"cannot write the journal {self._path.decode(errors='replace')}: {error.strerror}"
            raise JournalError(self._failure) from error
        self.check()
        self.next_seq += len(entries)
        self.count += len(entries)
        return entries

    def check(self) -> None:
        """Check that the segment is where the next start will look for it.

        Raises:
            JournalError: it was removed, moved with its folder, or replaced by another file. Every later append fails.
        """
        try:
            if self._fs.is_at(self._fd, self._path):
                return
        except OSError:
            return  # it cannot be checked now, which is not a reason to stop
        self._failure = f"the journal {self._path.decode(errors='replace')} was removed or moved while the daemon was writing it"
        raise JournalError(self._failure, hint=_GONE_HINT)

    def close(self) -> None:
        """Close the segment; everything in it is already durable."""
        self._fs.close(self._fd)
