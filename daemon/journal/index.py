"""The index of a segment: a file beside it with what searches need, so that they need not parse every record.

`00000001.index` belongs to `00000001.jsonl`. A segment gets an index when another one continues it, and only if it is large. The
file has four lines of JSON, each with a CRC like those of the journal: the segment's size, time of change and CRC; the ids of
the jobs in it; how its jobs ended; and what the statistics need.

An index only saves time, and may be removed at any moment. If it is missing, damaged, or not that of the segment's content, it is
ignored, and whoever has to parse the segment writes it again. What is shown of a single job is read from its records. As in the
journal, the CRCs detect damage, not forgery: whoever can forge an index can forge the journal.
"""

import contextlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from daemon.contract.status import State
from daemon.errors import Refusal
from daemon.fs import FileSystem, Stat, write_atomic
from daemon.journal.line import Mark, is_intact, seal, unseal
from daemon.journal.outline import Ending, Outline, endings_of
from daemon.journal.search.closed_segments import check_end
from daemon.journal.segment import Segment
from daemon.journal.segment_files import index_path, load_segment, segment_path

_Value = TypeVar("_Value")

#: In bytes. A smaller segment is parsed in less than a millisecond.
SMALLEST = 1 << 16
#: In bytes. An index has about 250 for each job, and a segment usually 1,000 jobs.
_MAX_BYTES = 1 << 26
#: How each line begins; the rest is its value and its CRC.
_OPENING = b'{"value":'


class EndedEntry(NamedTuple):
    """A job that ended and was not removed.

    Attributes:
        at: when it ended (RFC 3339).
        batch, folder, batch_name: as in its `accepted` record.
    """

    job: str
    state: State
    at: str
    batch: str | None
    folder: str
    batch_name: str | None

    @property
    def name_of_batch(self) -> str | None:
        """The name of its batch for people; None if it has none."""
        return None if self.batch is None else self.batch_name or self.folder.rpartition("/")[2]


class Outcomes(NamedTuple):
    """What became of the jobs of a segment.

    `ended`: those that ended and were not removed, in the order of their ends. `others`: the ids of those that were removed or
    have not ended; what older segments say about them no longer holds. `later`: the ids of those that had ended before the
    segment began, and about which it says more.
    """

    ended: list[EndedEntry]
    others: list[str]
    later: list[str]


@dataclass(frozen=True, slots=True)
class Header:
    """The segment that an index belongs to: its size in bytes, its time of change, and the CRC-32 of its content.

    `format` increases when the meaning of a line changes; an index of another format is ignored.
    """

    format: Literal[4]
    size: int
    mtime_ns: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Part(Generic[_Value]):
    """A part of the index: its line in the file (from 0), how it is written there, and how it is found in a segment."""

    line: int
    adapter: TypeAdapter[_Value]
    of: Callable[[Segment], _Value]


def _outcomes(segment: Segment) -> Outcomes:
    outline = Outline(segment)
    ended = [_entry(segment, job, places) for job, places in outline.ended.items()]
    return Outcomes(ended, [*outline.removed, *outline.live], list(outline.later))


def _entry(segment: Segment, job: str, places: list[Mark]) -> EndedEntry:
    end = next(place for place in reversed(places) if place.event == "ended")
    source = next(place for place in reversed(places) if place.event in ("accepted", "retaken", "live", "requeued"))
    record = segment.fields(source)
    if source.event != "accepted":
        record = record["value"] if source.event == "retaken" else record["value"]["accepted"]
    state, name = cast("State", segment.field(end, "state")), record.get("batch_name")
    return EndedEntry(job, state, segment.ts(end), record["batch"], record["folder"], name)


def _jobs(segment: Segment) -> list[str]:
    return list(dict.fromkeys(mark.job for mark in segment.marks if mark.job))


def _endings(segment: Segment) -> list[Ending]:
    return list(endings_of(segment))


#: A short history has no index, so its verbs need none of these schemas.
_LATER = ConfigDict(defer_build=True)
JOBS = Part(1, TypeAdapter(list[str], config=_LATER), _jobs)
OUTCOMES = Part(2, TypeAdapter(Outcomes, config=_LATER), _outcomes)
ENDINGS = Part(3, TypeAdapter(list[Ending], config=_LATER), _endings)
_PARTS: tuple[Part[Any], ...] = (JOBS, OUTCOMES, ENDINGS)
_HEADER = TypeAdapter(Header)


class Index:
    """The content of an index's file. Nothing of it is trusted before its CRC was checked. `data`: the bytes of the file."""

    def __init__(self, data: bytes) -> None:
        self._lines = data.split(b"\n")
        self._header = self._read(0, _HEADER) if len(self._lines) == len(_PARTS) + 2 else None

    def is_of_file(self, found: Stat) -> bool:
        """Whether the segment's file has the size and the time of change that it had when it was indexed."""
        header = self._header
        return header is not None and (header.size, header.mtime_ns) == (found.size, found.mtime_ns)

    def is_of(self, data: bytes) -> bool:
        """Whether this is the index of a segment with this content."""
        header = self._header
        return header is not None and (header.size, header.checksum) == (len(data), zlib.crc32(data))

    def mentions(self, job: str) -> bool | None:
        """Whether the segment has a record of the job; None if the index is damaged. The answer may also be true by chance."""
        if self._header is None or not is_intact(line := self._lines[JOBS.line]):
            return None
        return JOBS.adapter.dump_json([job])[1:-1] in line

    def part(self, part: Part[_Value]) -> _Value | None:
        """A part of the index; None if it is damaged."""
        return self._read(part.line, part.adapter) if self._header else None

    def _read(self, number: int, adapter: TypeAdapter[_Value]) -> _Value | None:
        line = self._lines[number]
        if not (line.startswith(_OPENING) and is_intact(line)):
            return None
        try:
            return adapter.validate_json(unseal(line)[len(_OPENING) : -1])
        except ValidationError:
            return None


def index_of(segment: Segment, mtime_ns: int) -> bytes:
    """The content of a segment's index. `mtime_ns`: when the segment's file was changed last."""
    header = Header(4, len(segment.data), mtime_ns, zlib.crc32(segment.data))
    values = (_HEADER.dump_json(header), *(part.adapter.dump_json(part.of(segment)) for part in _PARTS))
    return b"".join(seal(_OPENING + value) + b"\n" for value in values)


def read_index(fs: FileSystem, folder: bytes, number: int) -> Index | None:
    """The index of a segment, whether or not it is out of date; None if there is none or it cannot be read."""
    try:
        return Index(fs.read(index_path(folder, number), _MAX_BYTES))
    except OSError:
        return None


def add_index(fs: FileSystem, folder: bytes, number: int, following: int) -> None:
    """Write the index of a closed segment. Does nothing if that fails, if the segment needs none, or if it is damaged.

    `following`: the number of the segment that continues it.
    """
    path = segment_path(folder, number)
    with contextlib.suppress(OSError, Refusal):
        found = fs.lstat(path)
        if found.size >= SMALLEST:
            segment = load_segment(fs, path)
            check_end(fs, folder, segment, number, following)
            data = index_of(segment, found.mtime_ns)
            write_atomic(fs, index_path(folder, number), data, durable=False)
