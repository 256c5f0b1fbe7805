"""Searches all segments of the journal. Holds one segment in memory at a time, and changes nothing but their indexes.

Every segment begins with a snapshot of the jobs that had not ended. So each can be understood without the ones before it, and
the oldest may be missing (`pruning`). If a segment has an index that fits its content (`index`), only the records of the jobs
that are shown are parsed; otherwise, the first fields of every record (`outline`).
"""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

from daemon.contract.names import composed
from daemon.contract.records import Accepted, Job
from daemon.contract.status import State
from daemon.errors import Refusal
from daemon.fs import FileSystem
from daemon.jobs.fold import Jobs
from daemon.journal.index import ENDINGS, OUTCOMES, EndedEntry
from daemon.journal.line import Entry, UnknownRecordError, decode, is_intact, mark, ts_of
from daemon.journal.outline import Ending
from daemon.journal.search.indexed import IndexedSegments, SegmentRead
from daemon.journal.segment import NEWER_HINT, DamagedSegment, Segment, lines
from daemon.journal.segment_files import (
    load_segment,
    parse_segment,
    read_file,
    segment_numbers,
    segment_path,
    with_following,
)

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that ended. Its records are not decoded yet.

    Attributes:
        job_id: its id.
        state: the state in which it ended.
        ended_at: when it ended, UTC, RFC 3339.
        batch: the id of its batch; None if it has none.
        job: a function that decodes its records and returns the job.
    """

    job_id: str
    state: State
    ended_at: str
    batch: str | None
    job: Callable[[], Job]


class History:
    """Everything that was recorded and not yet pruned.

    Args:
        fs: the disk.
        folder: the journal's folder.
        save: writes the index of a segment that lacks one: it is given the path and the content, and returns whether they were
            written. None: no index is written.
        remember: keep the newest segment in memory until its file changes. For verbs, which ask for it several times.
        on_damage: is given the refusal of each damaged segment each time the segment is left out. None: the refusal is raised.
            That of the newest segment, which has the live jobs, always is.
    """

    def __init__(
        self,
        fs: FileSystem,
        folder: bytes,
        save: Callable[[bytes, bytes], bool] | None = None,
        *,
        remember: bool = False,
        on_damage: Callable[[Refusal], None] | None = None,
    ) -> None:
        self._fs = fs
        self._folder = folder
        self._on_damage = on_damage
        self._indexed = IndexedSegments(fs, folder, save, remember=remember, on_damage=on_damage)

    def leaving_out(self, on_damage: Callable[[Refusal], None]) -> "History":
        """The same history without its damaged segments, for whoever only looks. Writes no index."""
        return History(self._fs, self._folder, on_damage=on_damage)

    def entries(self) -> Iterator[Entry]:
        """Every record in order, snapshots included.

        Raises:
            Refusal: a segment is damaged.
        """
        for segment in self.segments():
            yield from segment.entries()

    def segments(self) -> Iterator[Segment]:
        """The segments in order; one is read at a time.

        Raises:
            Refusal: a segment is damaged.
        """
        for number, following in with_following(self._fs, self._folder):
            try:
                segment = load_segment(self._fs, segment_path(self._folder, number))
                self._indexed.check_end(segment, number, following)
            except FileNotFoundError:
                continue  # pruned a moment ago
            except DamagedSegment as damage:
                self._indexed.leave_out(damage, following)
                continue
            yield segment

    def now(self) -> Jobs:
        """The jobs according to the last segment: all live ones, and the latest of those that ended since it began.

        The caller must not change them.

        Raises:
            Refusal: the segment is damaged.
        """
        for number in reversed(segment_numbers(self._fs, self._folder)):
            try:
                return self._indexed.newest(number).jobs
            except FileNotFoundError:
                continue  # pruned a moment ago
        return Jobs()

    def records_of(self, job_id: str) -> list[Entry]:
        """The records of one job in order. Only lines that contain its id are read.

        Raises:
            Refusal: a newer version wrote a record.
        """
        needle = b'"job":"' + job_id.encode() + b'"'
        found: list[Entry] = []
        for number, following in with_following(self._fs, self._folder):
            if following is None or self._indexed.may_mention(number, following, job_id):
                found += [self._decode(number, line) for line in self._lines(number, needle)]
                self._tell_damage(number, following, needle)
        return found

    def mentioning(self, needle: bytes) -> set[str]:
        """The ids of the jobs with a record that contains these bytes. Nothing else is decoded, so this is fast."""
        numbers = segment_numbers(self._fs, self._folder)
        return {mark(line, 0, len(line)).job for number in numbers for line in self._lines(number, needle)}

    def job(self, job_id: str) -> Job | None:
        """The last known state of a job, live or ended; None if it is unknown."""
        return job_of(job_id, self.records_of(job_id))

    def batch(self, name: str) -> list[Job]:
        """The jobs of the batch with this id, or of all batches with this name, or whose folder had it; in order of arrival."""
        wanted = composed(name)

        def belongs(batch: str | None, folder: str, batch_name: str | None) -> bool:
            names = (batch, folder, batch_name or folder.rpartition("/")[2])
            return batch is not None and any(each is not None and composed(each) == wanted for each in names)

        def is_part(accepted: Accepted) -> bool:
            return belongs(accepted.batch, accepted.folder, accepted.batch_name)

        # First those that live: whichever of them ends meanwhile is found among the ended ones.
        live = {job.job_id: job for job in self.now().live.values() if is_part(job.accepted)}
        found: dict[str, Job] = {}
        for outcomes, read in self._indexed.parts(OUTCOMES):
            for job_id in outcomes.others:
                found.pop(job_id, None)
            for job_id in outcomes.later:
                if job_id in found:
                    found[job_id] = _continued(found[job_id], read.later(job_id))
            for ended in outcomes.ended:
                if belongs(ended.batch, ended.folder, ended.batch_name):
                    found[ended.job] = read.ended(ended.job)
        return sorted((live | found).values(), key=lambda job: job.sequence)

    def endings(self) -> Iterator[tuple[str, str]]:
        """The id of each ended job and when it ended, newest first. Segments are read only as the caller needs them."""
        for number in reversed(segment_numbers(self._fs, self._folder)):
            for line in reversed(self._lines(number, b'"event":"ended"')):
                found = mark(line, 0, len(line))
                if found.event == "ended":
                    yield found.job, ts_of(line)

    def past(self, *, among: Container[int] | None = None) -> Iterator[EndedJob]:
        """The jobs that ended and were not removed, newest first. They are not decoded yet.

        `among`: only jobs that ended in the segments with these numbers; None: in any.

        Raises:
            Refusal: a segment is damaged.
        """
        newer: set[str] = set()
        #: What newer segments say about jobs that ended in older ones.
        later: dict[str, list[Entry]] = {}
        for outcomes, read in self._indexed.parts(OUTCOMES, backwards=True):
            wanted = among is None or read.number in among
            for ended in reversed(outcomes.ended) if wanted else ():
                if ended.job not in newer:
                    job = partial(_ended_job, read, ended.job, later.pop(ended.job, []))
                    yield EndedJob(ended.job, ended.state, ended.at, ended.batch, job)
            for job_id in outcomes.later:
                if job_id not in newer:
                    later[job_id] = read.later(job_id) + later.get(job_id, [])
            # The newest segment that mentions a job counts, even if it says that the job runs again or was removed.
            newer.update(outcomes.others)
            newer.update(ended.job for ended in outcomes.ended)

    def ended_entries(self) -> Iterator[EndedEntry]:
        """The jobs of `past` in its order, for whoever needs no records: a segment is only read if its index is not up to date.

        Raises:
            Refusal: a segment is damaged.
        """
        newer: set[str] = set()
        for outcomes in self._indexed.listed(OUTCOMES):
            yield from (ended for ended in reversed(outcomes.ended) if ended.job not in newer)
            newer.update(outcomes.others)
            newer.update(ended.job for ended in outcomes.ended)

    def statistics(self) -> Iterator[tuple[str, list[Ending]]]:
        """When each segment began (UTC, RFC 3339), and every end of a job in it, in order; the newest segment first.

        Raises:
            Refusal: a segment is damaged.
        """
        for endings, read in self._indexed.parts(ENDINGS, backwards=True):
            yield ts_of(read.data[: read.data.index(b"\n")]), endings

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

    def _tell_damage(self, number: int, following: int | None, needle: bytes) -> None:
        """Tell whoever wants to know it if a segment with these bytes is damaged."""
        if self._on_damage is None or following is None:
            return
        path = segment_path(self._folder, number)
        try:
            if needle in (data := read_file(self._fs, path)):
                self._indexed.check_end(parse_segment(data, path), number, following)
        except FileNotFoundError:
            return
        except DamagedSegment as damage:
            self._on_damage(damage)

    def _decode(self, number: int, line: bytes) -> Entry:
        try:
            return decode(line)
        except UnknownRecordError as error:
            path = segment_path(self._folder, number).decode(errors="replace")
            raise Refusal(f"the journal was written by a newer Multiplane ({error}): {path}", hint=NEWER_HINT) from error


def _ended_job(read: SegmentRead, job_id: str, later: Sequence[Entry]) -> Job:
    return _continued(read.ended(job_id), later)


def _continued(job: Job, later: Iterable[Entry]) -> Job:
    """The ended job after these further records about it."""
    jobs = Jobs(keep=None)
    jobs.ended[job.job_id] = job
    for entry in later:
        jobs.apply(entry)
    return jobs.ended[job.job_id]


def job_of(job_id: str, records: Iterable[Entry]) -> Job | None:
    """The state of a job after these records, live or ended; None if there is none."""
    jobs = Jobs()
    for entry in records:
        jobs.apply(entry)
    return jobs.find(job_id)
