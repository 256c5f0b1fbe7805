"""Checks that a closed segment, one that another continues, still has all its records.

The next segment says where this one ended (`SegmentStart.after`). A torn tail behind that record is harmless: a start set a copy
aside, and nothing depended on it. But if a record before that point is not intact or not there, the disk lost it: unlike at the
end of the newest segment, this is damage.
"""

from daemon.contract.segment_records import SegmentStart
from daemon.fs import FileSystem
from daemon.journal.line import Entry, UnknownRecordError, decode, is_intact
from daemon.journal.segment import DamageError, Segment, damaged
from daemon.journal.segment_files import excluded_segments, segment_path

#: How many bytes are read to get the first line of a segment, which has about 300.
_HEAD_BYTES = 4096


def first_record(fs: FileSystem, path: bytes) -> tuple[Entry, SegmentStart] | None:
    """The first record of a segment's file; None if it is not valid. Raises OSError."""
    line = fs.read(path, _HEAD_BYTES).split(b"\n", 1)[0]
    try:
        first = decode(line) if is_intact(line) else None
    except UnknownRecordError:
        return None
    return None if first is None or not isinstance(first.record, SegmentStart) else (first, first.record)


def check_end(fs: FileSystem, folder: bytes, segment: Segment, number: int, following: int | None) -> None:
    """Check that no record is missing at the end of a segment. `following`: the number of the next segment; None: there is none.

    A segment that is marked as incomplete may be.

    Raises:
        DamagedSegment: records are missing, or are not intact.
    """
    end = None if following is None else _recorded_end(fs, folder, number, following)
    last = segment.marks[-1].seq
    if end is None or last >= end or number in excluded_segments(fs, folder):
        return
    continued = f"the journal continues after record {end} in another file"
    torn = segment.torn
    if torn:
        damage = DamageError(torn.line, torn.offset, f"the record is not intact, but {continued}")
    else:
        line = segment.data.count(b"\n") + 1
        damage = DamageError(line, len(segment.data), f"record {last + 1} is missing, but {continued}")
    raise damaged(segment_path(folder, number).decode(errors="replace"), damage)


def _recorded_end(fs: FileSystem, folder: bytes, number: int, following: int) -> int | None:
    """The number of the last record of a segment according to the following one; None if that does not say."""
    try:
        found = first_record(fs, segment_path(folder, following))
    except OSError:
        return None
    if found is None:
        return None
    first, start = found
    if start.after is not None:
        return start.after.seq if start.after.segment == number else None
    # Older versions only counted on.
    return first.seq - 1 if start.number is None and following == number + 1 else None
