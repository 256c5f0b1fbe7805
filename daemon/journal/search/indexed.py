"""The segments of the journal with their indexes: which segment has to be read, and which is answered for by its index."""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import TypeVar

from daemon.contract.records import Job
from daemon.errors import Refusal
from daemon.fs import FileSystem, Stat
from daemon.jobs.fold import Jobs
from daemon.journal.index import SMALLEST, Part, index_of, read_index
from daemon.journal.line import Entry
from daemon.journal.outline import Outline
from daemon.journal.search.closed_segments import check_end
from daemon.journal.segment import DamagedSegment, Segment
from daemon.journal.segment_files import (
    index_path,
    load_segment,
    parse_segment,
    read_file,
    segment_path,
    with_following,
)

_Value = TypeVar("_Value")


def _none_missing(segment: Segment) -> None:
    """No segment says where the newest one ends."""


class SegmentRead:
    """The content of one segment's file. Its records are parsed only when that is needed.

    Args:
        data: the content of the file.
        path: where it was read.
        number: the number of the segment.
        check: raises Refusal if records are missing at the segment's end.
    """

    def __init__(self, data: bytes, path: bytes, number: int, check: Callable[[Segment], None]) -> None:
        self.data = data
        self.number = number
        self._path = path
        self._check = check

    @cached_property
    def segment(self) -> Segment:
        """The segment. Raises Refusal if it is damaged."""
        segment = parse_segment(self.data, self._path)
        self._check(segment)
        return segment

    @cached_property
    def outline(self) -> Outline:
        """Its outline. Raises Refusal if the segment is damaged."""
        return Outline(self.segment)

    @cached_property
    def jobs(self) -> Jobs:
        """The live jobs and the latest of those that ended, by this segment alone. Raises Refusal if the segment is damaged."""
        jobs = Jobs()
        for entry in self.segment.entries(self.outline.needed_records(jobs.keep or 0)):
            jobs.apply(entry)
        return jobs

    def ended(self, job_id: str) -> Job:
        """A job that ended in this segment. Raises Refusal if the segment is damaged or does not list the job."""
        places = self.outline.ended.get(job_id)
        if places is None:
            path = self._path.decode(errors="replace")
            raise Refusal(f"the index of {path} is wrong: it lists {job_id}", hint="Remove the index; it is written again.")
        return self.outline.job(places)

    def later(self, job_id: str) -> list[Entry]:
        """What this segment says about a job that had ended before it. Raises Refusal if the segment is damaged or newer."""
        return list(self.segment.entries(self.outline.later.get(job_id, [])))


class IndexedSegments:
    """Reads segments one at a time, or their indexes instead, and writes the indexes that are missing or out of date.

    Args:
        fs, folder, save, remember, on_damage: as for `daemon.journal.history.History`.
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
        self._save = save
        self._remember = remember
        self._on_damage = on_damage
        self._newest: SegmentRead | None = None

    def newest(self, number: int) -> SegmentRead:
        """The newest segment, parsed anew only if its file has changed. Raises FileNotFoundError."""
        path = segment_path(self._folder, number)
        data = read_file(self._fs, path)
        if self._newest is not None and (self._newest.number, self._newest.data) == (number, data):
            return self._newest
        read = SegmentRead(data, path, number, _none_missing)
        if self._remember:
            self._newest = read
        return read

    def parts(self, part: Part[_Value], *, backwards: bool = False) -> Iterator[tuple[_Value, SegmentRead]]:
        """The same part of the index of each segment, with the segment; found in the segment itself if there is no valid index.

        A damaged segment that another continues is left out if there is an `on_damage`.

        Raises:
            Refusal: a segment is damaged.
        """
        pairs = with_following(self._fs, self._folder)
        for number, following in reversed(pairs) if backwards else pairs:
            try:
                found = self._fs.lstat(segment_path(self._folder, number))
                read = self._read(number, following)
                value = self._part(part, read, found, last=following is None)
            except FileNotFoundError:
                continue  # pruned a moment ago
            except DamagedSegment as damage:
                self.leave_out(damage, following)
                continue
            yield value, read

    def listed(self, part: Part[_Value]) -> Iterator[_Value]:
        """As `parts`, newest first, without the segments. An index is taken to be that of its file by size and time of change."""
        for number, following in reversed(with_following(self._fs, self._folder)):
            try:
                found = self._fs.lstat(segment_path(self._folder, number))
                last = following is None
                index = None if last or found.size < SMALLEST else read_index(self._fs, self._folder, number)
                value = index.part(part) if index and index.is_of_file(found) else None
                if value is None:
                    value = self._part(part, self._read(number, following), found, last=last)
            except FileNotFoundError:
                continue  # pruned a moment ago
            except DamagedSegment as damage:
                self.leave_out(damage, following)
                continue
            yield value

    def leave_out(self, damage: DamagedSegment, following: int | None) -> None:
        """Tell of a damaged segment, to go on without it. Raises the damage if nobody wants that, or if it is the newest."""
        if self._on_damage is None or following is None:
            raise damage
        self._on_damage(damage)

    def check_end(self, segment: Segment, number: int, following: int | None) -> None:
        """See `closed_segments.check_end`."""
        check_end(self._fs, self._folder, segment, number, following)

    def _read(self, number: int, following: int | None) -> SegmentRead:
        """A segment's file. Raises FileNotFoundError."""
        if following is None:
            return self.newest(number)
        path = segment_path(self._folder, number)
        check = partial(self.check_end, number=number, following=following)
        return SegmentRead(read_file(self._fs, path), path, number, check)

    def _part(self, part: Part[_Value], read: SegmentRead, found: Stat, *, last: bool) -> _Value:
        """A part of a segment's index, or what it would be; `found`: the file before it was read; `last`: the newest segment."""
        if last or len(read.data) < SMALLEST:
            return part.of(read.segment)
        index = read_index(self._fs, self._folder, read.number)
        value = index.part(part) if index and index.is_of(read.data) else None
        if value is None:
            value = part.of(read.segment)
            self._save_index(read.number, read.segment, found)
        return value

    def may_mention(self, number: int, following: int, job_id: str) -> bool:
        """False if the segment's index is that of its file, and has no such job. `following`: the segment that continues it."""
        try:
            found = self._fs.lstat(path := segment_path(self._folder, number))
            if found.size < SMALLEST:
                return True
            index = read_index(self._fs, self._folder, number)
            mentioned = index.mentions(job_id) if index and index.is_of_file(found) else None
            if mentioned is None and self._save:
                segment = load_segment(self._fs, path)
                self.check_end(segment, number, following)
                self._save_index(number, segment, found)
        except (OSError, Refusal):
            return True  # the search itself finds out what is wrong
        return mentioned is not False

    def _save_index(self, number: int, segment: Segment, found: Stat) -> None:
        """Write the index of a segment. After the first failure, write no more: making an index takes time."""
        if self._save and not self._save(index_path(self._folder, number), index_of(segment, found.mtime_ns)):
            self._save = None
