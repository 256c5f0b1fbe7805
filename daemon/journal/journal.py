"""The journal as a folder of segments: open it, know what was decided, and go on in a new segment.

Nothing is ever appended behind a tail that this process did not write: each start, and every `RECORDS_PER_SEGMENT` records, a
new segment begins with a snapshot of the live jobs, is made durable under a temporary name and put in place by one rename. So
start-up reads one segment, whatever the history holds.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from daemon.contract.records import AnyRecord, Job, LiveJob, SegmentStart
from daemon.fs import FileSystem, make_folders, write_atomic
from daemon.fs.compose import TEMPORARY, write_all
from daemon.jobs.fold import RECENT
from daemon.journal.line import Entry, encode
from daemon.journal.outline import Outline
from daemon.journal.segment import DamageError, Segment, Torn, damaged
from daemon.journal.writer import JournalError, Writer

RECORDS_PER_SEGMENT = 10_000
#: Room for the records of all jobs under way when the disk fills up, some 16,000 of 1 KB: with less, nothing new may begin.
RESERVE_BYTES = 16 << 20
_LINES_PER_WRITE = 1000
#: A segment holds a snapshot and some 10,000 records of about 1 KB; what is far beyond that was not written by us.
_MAX_SEGMENT_BYTES = 1 << 30
_NAME = re.compile(rb"(\d{8})\.jsonl")


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the last segment says: the records that still matter in order, and what had to be set aside."""

    entries: list[Entry]
    segment: int
    next_seq: int
    torn: Torn | None
    report: str | None


def segment_path(folder: bytes, number: int) -> bytes:
    """Where a segment lies."""
    return os.path.join(folder, b"%08d.jsonl" % number)


def segment_numbers(fs: FileSystem, folder: bytes) -> list[int]:
    """The segments that are there, oldest first."""
    try:
        names = [entry.name for entry in fs.scan(folder)]
    except FileNotFoundError:
        return []
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def read_file(fs: FileSystem, path: bytes) -> bytes:
    """The bytes of a segment's file."""
    return fs.read(path, _MAX_SEGMENT_BYTES)


def load_segment(fs: FileSystem, path: bytes) -> Segment:
    """Read one segment whole.

    Raises:
        Refusal: it is damaged; says where.
    """
    name = path.decode(errors="replace")
    try:
        segment = Segment(read_file(fs, path), name)
        _check_snapshot(segment)
    except DamageError as damage:
        raise damaged(name, damage) from damage
    return segment


def _check_snapshot(segment: Segment) -> None:
    first = next(segment.entries(), None)
    if not (first and isinstance(first.record, SegmentStart) and len(segment.marks) > first.record.live):
        raise DamageError(1, 0, "the segment does not begin with a whole snapshot")


class Journal:
    """The one writer of a home's journal."""

    def __init__(
        self,
        fs: FileSystem,
        folder: bytes,
        *,
        clock: Callable[[], str],
        version: str,
        boot_id: str,
        records_per_segment: int = RECORDS_PER_SEGMENT,
    ) -> None:
        self._fs = fs
        self._folder = folder
        self._clock = clock
        self._version = version
        self._boot_id = boot_id
        self._limit = records_per_segment
        self._writer: Writer | None = None
        self.segment = 0

    def recover(self) -> Recovered:
        """Read the last segment; a torn tail is copied aside and reported.

        Raises:
            Refusal: the segment is damaged.
            JournalError: it cannot be read, or its tail cannot be set aside; nothing is lost by trying again.
        """
        try:
            return self._recover()
        except OSError as error:
            raise JournalError(f"cannot read the journal in {self._folder.decode(errors='replace')}: {error.strerror}") from error

    def _recover(self) -> Recovered:
        make_folders(self._fs, self._folder)
        numbers = segment_numbers(self._fs, self._folder)
        if not numbers:
            return Recovered([], 0, 1, None, None)
        number = numbers[-1]
        path = segment_path(self._folder, number)
        segment = load_segment(self._fs, path)
        torn, report = segment.torn, None
        if torn:
            aside = os.path.join(self._folder, b"torn-%08d-%d" % (number, torn.offset))
            write_atomic(self._fs, aside, torn.data, durable=True)
            report = (
                f"the last write to the journal was cut off ({path.decode(errors='replace')}, line {torn.line}); "
                f"nothing had been done because of it; its {len(torn.data)} bytes were set aside as "
                f"{aside.decode(errors='replace')}"
            )
        # The numbers of a torn tail are given again: it counts for nothing, in whatever segment it stays.
        entries = list(segment.entries(Outline(segment).what_matters(RECENT)))
        return Recovered(entries, number, segment.marks[-1].seq + 1, torn, report)

    def begin(self, segment: int, next_seq: int, live: Sequence[Job], more: Sequence[AnyRecord] = ()) -> None:
        """Start a new segment with a snapshot of the live jobs, and `more` that must not be forgotten.

        Raises:
            JournalError: it could not be written; the journal is as it was.
        """
        records: Iterable[AnyRecord] = (
            SegmentStart(version=self._version, boot_id=self._boot_id, live=len(live) + len(more)),
            *(LiveJob(job=job.job_id, value=job) for job in live),
            *more,
        )
        ts = self._clock()
        lines = (encode(Entry(next_seq + i, next_seq, ts, record)) for i, record in enumerate(records))
        count = 1 + len(live) + len(more)
        path = segment_path(self._folder, segment)
        temporary = os.path.join(self._folder, TEMPORARY + b"%08d.jsonl" % segment)
        try:
            self._remove_leftover(temporary)
            fd = self._fs.create(temporary)
            # Piece by piece: the text of tens of thousands of jobs need not be in memory at once.
            while piece := b"".join(islice(lines, _LINES_PER_WRITE)):
                write_all(self._fs, fd, piece)
            self._fs.sync(fd)
            self._fs.rename(temporary, path)
            self._fs.sync_dir(self._folder)
        except OSError as error:
            raise JournalError(f"cannot begin the journal segment {path.decode(errors='replace')}: {error.strerror}") from error
        if self._writer:
            self._writer.close()
        self._writer = Writer(self._fs, fd, path, next_seq + count, self._clock)
        self.segment = segment

    def _remove_leftover(self, temporary: bytes) -> None:
        try:
            self._fs.unlink(temporary)
        except FileNotFoundError:
            return

    def append(self, records: Sequence[AnyRecord]) -> list[Entry]:
        """Make records durable as one group; only then may anybody act on them.

        Raises:
            JournalError: see `Writer.append`.
        """
        if self._writer is None:
            raise JournalError("the journal was not begun")
        return self._writer.append(records)

    def is_full(self, live: int) -> bool:
        """Whether it is time for a new segment, with so many live jobs.

        A segment has at least as many records as its snapshot will have, so that writing the snapshots never costs more than
        writing the records.
        """
        return self._writer is not None and self._writer.count >= max(self._limit, live)

    def rotate(self, live: Sequence[Job], more: Sequence[AnyRecord] = ()) -> None:
        """Go on in a new segment."""
        if self._writer is None:
            raise JournalError("the journal was not begun")
        self.begin(self.segment + 1, self._writer.next_seq, live, more)

    def close(self) -> None:
        """Let go of the segment."""
        if self._writer:
            self._writer.close()
            self._writer = None
