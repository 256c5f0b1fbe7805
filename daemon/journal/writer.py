"""Appends records: one write and one sync for all that are ready together.

After an error nobody knows what reached the disk, and a second sync may wrongly succeed. So after the first error the writer
refuses to continue: the process must end and recover from the disk at its next start.
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
    """Appends to a segment that this process created."""

    def __init__(self, fs: FileSystem, fd: int, path: bytes, next_seq: int, clock: Callable[[], str]) -> None:
        self._fs = fs
        self._fd = fd
        self._path = path
        self._clock = clock
        self._poison: str | None = None
        self.next_seq = next_seq
        self.count = 0

    def append(self, records: Sequence[AnyRecord]) -> list[Entry]:
        """Write the records as one group, and wait until they are on the disk.

        Raises:
            UnreplayableError: one of them could not be read back; none was written, and later appends may succeed.
            JournalError: they may or may not be on the disk, or the segment is no longer in its place; this process
                can append nothing more.
        """
        if self._poison:
            raise JournalError(self._poison)
        ts, group = self._clock(), self.next_seq
        entries = [Entry(group + i, group, ts, record) for i, record in enumerate(records)]
        lines = b"".join(checked(entry) for entry in entries)
        try:
            write_all(self._fs, self._fd, lines)
            self._fs.sync(self._fd)
        except OSError as error:
            self._poison = f"cannot write the journal {self._path.decode(errors='replace')}: {error.strerror}"
            raise JournalError(self._poison) from error
        self.check()
        self.next_seq += len(entries)
        self.count += len(entries)
        return entries

    def check(self) -> None:
        """Check that the segment is where the next start will look for it.

        Raises:
            JournalError: it was removed, moved with its folder, or replaced by another file; this process can append nothing
                more.
        """
        try:
            if self._fs.is_at(self._fd, self._path):
                return
        except OSError:
            return  # the system does not say, which is not a reason to stop
        self._poison = f"the journal {self._path.decode(errors='replace')} was removed or moved while the daemon was writing it"
        raise JournalError(self._poison, hint=_GONE_HINT)

    def close(self) -> None:
        """Close the segment; everything in it is already durable."""
        self._fs.close(self._fd)
