"""The journal as a folder of segments: reads the last one at a start, and continues in a new one.

A process never appends to a segment that another process began. At each start, and after `RECORDS_PER_SEGMENT` records, a new
segment begins with a snapshot of the live jobs. It is made durable under a temporary name, then renamed. So a start needs only
the last segment, however long the history is.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from loguru import logger

from daemon import clock
from daemon.contract.commands import command
from daemon.contract.records import AnyRecord, Job, LiveJob
from daemon.contract.segment_records import Preceding, SegmentStart
from daemon.errors import Refusal
from daemon.fs import FileSystem, make_folders, write_atomic
from daemon.fs.compose import TEMPORARY, write_all
from daemon.jobs.fold import RECENT
from daemon.journal.chain import Fault, Link, between, misnamed, missing_at_end
from daemon.journal.elapsed_time import elapsed_seconds, sample_indices
from daemon.journal.head import Head, read_head, write_head
from daemon.journal.index import add_index
from daemon.journal.line import Entry, UnreplayableError, checked
from daemon.journal.outline import Outline
from daemon.journal.segment import DamageError, Segment, Torn
from daemon.journal.segment_files import (
    excluded_segments,
    link_of,
    load_segment,
    read_file,
    segment_numbers,
    segment_path,
)
from daemon.journal.writer import JournalError, Writer

RECORDS_PER_SEGMENT = 10_000
#: Free disk space, in bytes, without which nothing new may begin: room for the records of the running jobs, about 16,000 of 1 KB.
RESERVE_BYTES = 16 << 20
_LINES_PER_WRITE = 1000
BROKEN_HINT = (
    f"Nothing was changed. Restore what is missing from a backup. To continue without it: {command('doctor', '--repair')}; "
    "it puts the files in their places and adds the jobs that the journal does not list."
)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What `Journal.recover` found.

    Attributes:
        entries: the records of the last segment that a start needs, in order.
        segment: the highest number that a segment ever had.
        next_seq: the number for the next record.
        torn: the torn tail that was copied aside; None if there was none.
        report: a sentence about the torn tail, for the log.
        gap: a clause that says what is missing from the history before the last segment; None if nothing is known to be.
    """

    entries: list[Entry]
    segment: int
    next_seq: int
    torn: Torn | None
    report: str | None
    gap: str | None = None


class Journal:
    """The only writer of a home's journal."""

    def __init__(
        self,
        fs: FileSystem,
        folder: bytes,
        *,
        clock: Callable[[], str],
        version: str,
        boot_id: str,
        records_per_segment: int = RECORDS_PER_SEGMENT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fs = fs
        self._folder = folder
        self._clock = clock
        self._version = version
        self._boot_id = boot_id
        self._limit = records_per_segment
        self._monotonic = monotonic
        self._writer: Writer | None = None
        #: How many records the segment had when the last attempt to begin a new one failed.
        self._postponed_at = 0
        self._after: Preceding | None = None
        #: The time by the journal's own count (`elapsed_time`), and what the wall clock and the monotonic clock showed then.
        self._reckoned: tuple[float, float, float | None] | None = None
        self.segment = 0

    def recover(self) -> Recovered:
        """Read the last segment. A torn tail is copied aside and reported; a gap just before the segment is reported.

        Raises:
            Refusal: the last segment is damaged, or the end of the journal is missing.
            JournalError: it cannot be read, or its tail cannot be copied aside; trying again loses nothing.
        """
        try:
            return self._recover()
        except OSError as error:
            raise JournalError(f"cannot read the journal in {self._folder.decode(errors='replace')}: {error.strerror}") from error

    def _recover(self) -> Recovered:
        numbers = segment_numbers(self._fs, self._folder)
        head, moved = read_head(self._fs, self._folder), excluded_segments(self._fs, self._folder)
        highest = max([*numbers, *moved, head.segment if head else 0, 0])
        if not numbers:
            self._refuse(missing_at_end(None, head, moved))
            # Only now: after a refusal, an empty folder would be in the way of somebody who puts the old one back.
            make_folders(self._fs, self._folder)
            return Recovered([], highest, 1, None, None)
        number = numbers[-1]
        path = segment_path(self._folder, number)
        segment = load_segment(self._fs, path)
        link = link_of(segment, number)
        found = misnamed(link) or missing_at_end(link, head, moved) or self._fault_before(link, numbers, moved)
        if found and found.kind == "break":
            self._refuse(found)
        gap = found.text if found else None
        torn, report = segment.torn, None
        if torn:
            aside = os.path.join(self._folder, b"torn-%08d-%d" % (number, torn.offset))
            write_atomic(self._fs, aside, torn.data, durable=True)
            report = (
                f"the last write to the journal was cut off ({path.decode(errors='replace')}, line {torn.line}); "
                f"nothing depended on it; its {len(torn.data)} bytes were set aside as "
                f"{aside.decode(errors='replace')}"
            )
        self._after = Preceding(segment=number, seq=link.last)
        moments = [clock.seconds(segment.ts(segment.marks[i])) for i in sample_indices(len(segment.marks))]
        began = moments[0] if link.start.reckoned is None else link.start.reckoned
        self._reckoned = (began + elapsed_seconds(moments), moments[-1], None)
        # The numbers of the records in a torn tail are used again.
        entries = list(segment.entries(Outline(segment).needed_records(RECENT)))
        return Recovered(entries, highest, link.last + 1, torn, report, gap)

    def _fault_before(self, link: Link, numbers: list[int], aside: set[int]) -> Fault | None:
        """The fault between the last two segments; None if there is none, or if the earlier is damaged (only history suffers)."""
        if len(numbers) == 1:
            return None
        number = numbers[-2]
        try:
            before = Segment(read_file(self._fs, segment_path(self._folder, number)))
            return between(link_of(before, number), link, aside)
        except (DamageError, Refusal):
            return None

    def _refuse(self, fault: Fault | None) -> None:
        if fault:
            raise Refusal(f"the journal in {self._folder.decode(errors='replace')} is incomplete: {fault.text}", hint=BROKEN_HINT)

    def _reckon(self, ts: str) -> float:
        """The time by the journal's own count, for a segment that begins at `ts`. It is remembered for the next segment."""
        wall, ticks = clock.seconds(ts), self._monotonic()
        if self._reckoned is None:
            reckoned = wall
        else:
            before, at, since = self._reckoned
            # Since this process began its first segment, the monotonic clock has counted the time exactly.
            reckoned = before + (elapsed_seconds((at, wall)) if since is None else ticks - since)
        self._reckoned = (reckoned, wall, ticks)
        return reckoned

    def begin(self, segment: int, next_seq: int, live: Sequence[Job], more: Sequence[AnyRecord] = ()) -> None:
        """Start a new segment with a snapshot: the live jobs, and `more` records that are still needed.

        Args:
            segment: its number.
            next_seq: the number of its first record.
            live: the jobs that have not ended.
            more: further records for the snapshot.

        Raises:
            Refusal: a record of the snapshot could not be read back; the journal is unchanged.
            JournalError: the segment could not be written; the journal is unchanged.
        """
        try:
            self._begin(segment, next_seq, live, more)
        except UnreplayableError as error:
            raise Refusal(
                f"the journal in {self._folder.decode(errors='replace')} cannot continue: {error}",
                hint="Nothing was changed. This is a fault of Multiplane itself: please report it, with the log.",
            ) from error

    def _begin(self, segment: int, next_seq: int, live: Sequence[Job], more: Sequence[AnyRecord]) -> None:
        ts = self._clock()
        records: Iterable[AnyRecord] = (
            SegmentStart(
                version=self._version,
                boot_id=self._boot_id,
                live=len(live) + len(more),
                number=segment,
                after=self._after,
                reckoned=self._reckon(ts),
            ),
            *(LiveJob(job=job.job_id, value=job) for job in live),
            *more,
        )
        lines = (checked(Entry(next_seq + i, next_seq, ts, record)) for i, record in enumerate(records))
        count = 1 + len(live) + len(more)
        path = segment_path(self._folder, segment)
        temporary = os.path.join(self._folder, TEMPORARY + b"%08d.jsonl" % segment)
        try:
            self._remove_leftover(temporary)
            fd = self._fs.create(temporary)
            # Written in chunks, so that the text of tens of thousands of jobs is never in memory at once.
            try:
                while piece := b"".join(islice(lines, _LINES_PER_WRITE)):
                    write_all(self._fs, fd, piece)
            except UnreplayableError:
                self._fs.close(fd)
                self._fs.unlink(temporary)
                raise
            self._fs.sync(fd)
            self._fs.rename(temporary, path)
            self._fs.sync_dir(self._folder)
        except OSError as error:
            raise JournalError(f"cannot begin the journal segment {path.decode(errors='replace')}: {error.strerror}") from error
        if self._writer:
            self._writer.close()
        self._writer = Writer(self._fs, fd, path, next_seq + count, self._clock)
        self.segment, self._postponed_at = segment, 0
        write_head(self._fs, self._folder, Head(segment, self._writer.next_seq - 1))
        if self._after:
            add_index(self._fs, self._folder, self._after.segment, segment)

    def _remove_leftover(self, temporary: bytes) -> None:
        try:
            self._fs.unlink(temporary)
        except FileNotFoundError:
            return

    def append(self, records: Sequence[AnyRecord]) -> list[Entry]:
        """Make records durable as one group. Nobody may act on them before this returns. Returns them with their numbers.

        Raises:
            UnreplayableError, JournalError: see `Writer.append`.
        """
        if self._writer is None:
            raise JournalError("the journal was not begun")
        return self._writer.append(records)

    def check(self) -> None:
        """Check that the segment is still where the next start will look for it.

        Raises:
            JournalError: see `Writer.check`.
        """
        if self._writer is not None:
            self._writer.check()

    def is_full(self, live: int) -> bool:
        """Whether it is time for a new segment, given the number of live jobs.

        A segment gets at least as many records as the next snapshot will have, so that writing snapshots never costs more than
        writing records.
        """
        return self._writer is not None and self._writer.count - self._postponed_at >= max(self._limit, live)

    def rotate(self, live: Sequence[Job], more: Sequence[AnyRecord] = ()) -> None:
        """Continue in a new segment. If a record of its snapshot could not be read back, log that and stay in this segment.

        Raises:
            JournalError: see `begin`.
        """
        if self._writer is None:
            raise JournalError("the journal was not begun")
        self._after = Preceding(segment=self.segment, seq=self._writer.next_seq - 1)
        try:
            self._begin(self.segment + 1, self._writer.next_seq, live, more)
        except UnreplayableError as error:
            logger.error("the journal continues in segment {}, because a new one could not begin: {}", self.segment, error)
            self._postponed_at = self._writer.count

    def close(self) -> None:
        """Close the segment."""
        if self._writer:
            write_head(self._fs, self._folder, Head(self.segment, self._writer.next_seq - 1))
            self._writer.close()
            self._writer = None
