"""The files in the journal's folder: their names, and reading a whole segment."""

import os
import re
from typing import Literal

from daemon.contract.segment_records import SegmentStart
from daemon.fs import FileSystem
from daemon.journal.chain import Link
from daemon.journal.segment import DamageError, Segment, damaged

#: A segment holds a snapshot and about 10,000 records of 1 KB. Anything much larger was not written by this program.
_MAX_SEGMENT_BYTES = 1 << 30
_NAME = re.compile(rb"(\d{8})\.jsonl")
_ASIDE = re.compile(rb"(?:damaged|lost)-(\d{8})\.jsonl")


def segment_path(folder: bytes, number: int) -> bytes:
    """The path of a segment."""
    return os.path.join(folder, b"%08d.jsonl" % number)


def index_path(folder: bytes, number: int) -> bytes:
    """The path of a segment's index (see `index`)."""
    return os.path.join(folder, b"%08d.index" % number)


def segment_numbers(fs: FileSystem, folder: bytes) -> list[int]:
    """The numbers of the existing segments, oldest first."""
    return sorted(int(match[1]) for name in _names(fs, folder) if (match := _NAME.fullmatch(name)))


def with_following(fs: FileSystem, folder: bytes) -> list[tuple[int, int | None]]:
    """The number of each existing segment, oldest first, and of the segment after it; None for the newest."""
    numbers = segment_numbers(fs, folder)
    return list(zip(numbers, (*numbers[1:], None), strict=False))


def aside_path(folder: bytes, number: int, what: Literal["damaged", "lost"]) -> bytes:
    """The path for a damaged segment that is moved aside, or of the file that marks a segment as lost."""
    return os.path.join(folder, b"%s-%08d.jsonl" % (what.encode(), number))


def excluded_segments(fs: FileSystem, folder: bytes) -> set[int]:
    """The numbers of the segments that are known to be damaged or lost, so that the journal continues without them."""
    return {int(match[1]) for name in _names(fs, folder) if (match := _ASIDE.fullmatch(name))}


def _names(fs: FileSystem, folder: bytes) -> list[bytes]:
    """The names in the journal's folder; none if the folder is missing."""
    try:
        return [entry.name for entry in fs.scan(folder)]
    except FileNotFoundError:
        return []


def read_file(fs: FileSystem, path: bytes) -> bytes:
    """The bytes of a segment's file. Raises OSError."""
    return fs.read(path, _MAX_SEGMENT_BYTES)


def load_segment(fs: FileSystem, path: bytes) -> Segment:
    """Read one whole segment.

    Raises:
        Refusal: it is damaged; the message says where.
        OSError: the file cannot be read.
    """
    return parse_segment(read_file(fs, path), path)


def parse_segment(data: bytes, path: bytes) -> Segment:
    """Understand the content of one whole segment. `path`: where it was read.

    Raises:
        Refusal: it is damaged; the message says where.
    """
    name = path.decode(errors="replace")
    try:
        segment = Segment(data, name)
        _check_snapshot(segment)
    except DamageError as damage:
        raise damaged(name, damage) from damage
    return segment


def link_of(segment: Segment, number: int) -> Link:
    """What `chain` needs to know about a segment.

    Raises:
        DamageError: the segment does not begin with a snapshot.
    """
    start = segment.entry(segment.marks[0]).record
    if not isinstance(start, SegmentStart):
        raise DamageError(1, 0, "the segment does not begin with a snapshot")
    return Link(number, start, segment.marks[0].seq, segment.marks[-1].seq)


def _check_snapshot(segment: Segment) -> None:
    first = next(segment.entries(), None)
    if not (first and isinstance(first.record, SegmentStart) and len(segment.marks) > first.record.live):
        raise DamageError(1, 0, "the segment does not begin with a complete snapshot")
