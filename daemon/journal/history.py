"""Searches all segments of the journal. Holds one segment in memory at a time, and never changes anything.

Every segment begins with a snapshot of the jobs that had not ended. So each can be understood without the ones before it, and
the oldest may be missing (`pruning`). Only the first fields of most records are read (`outline`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import cast

from daemon.contract.records import Job
from daemon.contract.status import State
from daemon.errors import Refusal
from daemon.fs import FileSystem
from daemon.jobs.fold import Jobs
from daemon.journal.line import Entry, Mark, UnknownRecordError, decode, field, is_intact, mark, ts_of
from daemon.journal.outline import Outline
from daemon.journal.segment import NEWER_HINT, Segment, lines
from daemon.journal.segment_files import load_segment, read_file, segment_numbers, segment_path


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that ended. Its records are not decoded yet.

    Attributes:
        job_id: its id.
        begun: the line of its first record in the segment.
        end: the line of its `ended` record.
        job: a function that decodes its records and returns the job.
    """

    job_id: str
    begun: bytes
    end: bytes
    job: Callable[[], Job]

    @property
    def state(self) -> State:
        """The state in which the job ended."""
        return cast("State", field(self.end, "state"))

    @property
    def batch(self) -> str | None:
        """The id of its batch; None if it has none."""
        return cast("str | None", field(self.begun, "batch"))


class History:
    """Everything that was recorded and not yet pruned."""

    def __init__(self, fs: FileSystem, folder: bytes) -> None:
        self._fs = fs
        self._folder = folder

    def entries(self) -> Iterator[Entry]:
        """Every record in order, snapshots included.

        Raises:
            Refusal: a segment is damaged.
        """
        for segment in self.segments():
            yield from segment.entries()

    def segments(self, *, backwards: bool = False) -> Iterator[Segment]:
        """The segments in order, or in reverse order; one is read at a time.

        Raises:
            Refusal: a segment is damaged.
        """
        numbers = segment_numbers(self._fs, self._folder)
        for number in reversed(numbers) if backwards else numbers:
            try:
                yield load_segment(self._fs, segment_path(self._folder, number))
            except FileNotFoundError:
                continue  # pruned a moment ago

    def now(self) -> Jobs:
        """The jobs according to the last segment: all live ones, and the latest of those that ended since it began.

        Raises:
            Refusal: the segment is damaged.
        """
        jobs = Jobs()
        for segment in islice(self.segments(backwards=True), 1):
            for entry in segment.entries(Outline(segment).needed_records(jobs.keep or 0)):
                jobs.apply(entry)
        return jobs

    def records_of(self, job_id: str) -> list[Entry]:
        """The records of one job in order. Only lines that contain its id are read.

        Raises:
            Refusal: a newer version wrote a record.
        """
        needle = b'"job":"' + job_id.encode() + b'"'
        found: list[Entry] = []
        for number in segment_numbers(self._fs, self._folder):
            found += [self._decode(number, line) for line in self._lines(number, needle)]
        return found

    def job(self, job_id: str) -> Job | None:
        """The last known state of a job, live or ended; None if it is unknown."""
        jobs = Jobs()
        for entry in self.records_of(job_id):
            jobs.apply(entry)
        return jobs.find(job_id)

    def batch(self, name: str) -> list[Job]:
        """The jobs of the batch with this id, or of all batches whose folder had this name; in order of arrival."""
        found: dict[str, Job] = {}
        live: dict[str, Job] = {}
        for segment in self.segments():
            outline = Outline(segment)
            for job_id in (*outline.removed, *outline.live):
                found.pop(job_id, None)
            found |= _of_batch(outline, outline.ended, name)
            live = _of_batch(outline, outline.live, name)
        return sorted((found | live).values(), key=lambda job: job.sequence)

    def endings(self) -> Iterator[tuple[str, str]]:
        """The id of each ended job and when it ended, newest first. Segments are read only as the caller needs them."""
        for number in reversed(segment_numbers(self._fs, self._folder)):
            for line in reversed(self._lines(number, b'"event":"ended"')):
                found = mark(line, 0, len(line))
                if found.event == "ended":
                    yield found.job, ts_of(line)

    def past(self) -> Iterator[EndedJob]:
        """The jobs that ended and were not removed, newest first. They are not decoded yet.

        Raises:
            Refusal: a segment is damaged.
        """
        newer: set[str] = set()
        for segment in self.segments(backwards=True):
            outline = Outline(segment)
            for job_id, places in reversed(outline.ended.items()):
                if job_id not in newer:
                    yield _past(outline, job_id, places)
            # The newest segment that mentions a job counts, even if it says that the job runs again or was removed.
            newer |= outline.removed | outline.ended.keys() | outline.live.keys()

    def backwards(self) -> Iterator[Job]:
        """The jobs that ended and were not removed, newest first.

        Raises:
            Refusal: a segment is damaged, or a newer version wrote it.
        """
        return (past.job() for past in self.past())

    def ended(self, most: int) -> list[Job]:
        """At most `most` jobs that ended, newest first; see `backwards`."""
        return list(islice(self.backwards(), most))

    def _lines(self, number: int, needle: bytes) -> list[bytes]:
        """The lines of a segment that contain these bytes, up to a torn tail or damage. Later lines are not trusted."""
        try:
            data = read_file(self._fs, segment_path(self._folder, number))
        except FileNotFoundError:
            return []
        if needle not in data:
            return []
        found: list[bytes] = []
        for start, end, _closed in lines(data):
            line = data[start:end]
            if not is_intact(line):
                break
            if needle in line:
                found.append(line)
        return found

    def _decode(self, number: int, line: bytes) -> Entry:
        try:
            return decode(line)
        except UnknownRecordError as error:
            path = segment_path(self._folder, number).decode(errors="replace")
            raise Refusal(f"the journal was written by a newer Multiplane ({error}): {path}", hint=NEWER_HINT) from error


def _past(outline: Outline, job_id: str, places: list[Mark]) -> EndedJob:
    last = next(place for place in reversed(places) if place.event == "ended")
    return EndedJob(job_id, outline.segment.line(places[0]), outline.segment.line(last), lambda: outline.job(places))


def _of_batch(outline: Outline, several: dict[str, list[Mark]], name: str) -> dict[str, Job]:
    """The jobs in `several` that belong to the batch, by id. Jobs without a batch are not decoded."""
    found = {}
    for job_id, places in several.items():
        if b'"batch":null' in outline.segment.line(places[0]):
            continue
        job = outline.job(places)
        if job.accepted.batch is not None and name in (job.accepted.batch, job.accepted.folder):
            found[job_id] = job
    return found
