"""Removes whole segments that are too old, the oldest first, with their indexes. The last segment always stays.

Every segment begins with a snapshot of the live jobs, so no live job depends on an older one. The age of a segment comes from
the journal's own count of time (`elapsed_time`), because the clock may be wrong at this start.
"""

import re
from datetime import timedelta
from itertools import pairwise

from daemon import clock
from daemon.fs import FileSystem
from daemon.journal.search.closed_segments import first_record
from daemon.journal.segment_files import segment_numbers, segment_path

#: The files that go with a segment: torn tails that were copied from it, and its index.
_BELONGING = re.compile(rb"torn-(\d{8})-\d+|(\d{8})\.index")


def prune(fs: FileSystem, folder: bytes, keep: timedelta) -> int:
    """Remove the segments whose records are all older than `keep`, and the files that go with them.

    Returns:
        How many segments were removed.

    Raises:
        OSError: a segment could not be removed; older ones are already removed.
    """
    old = old_segments(fs, folder, keep)
    if not old:
        return 0
    for entry in fs.scan(folder):
        if (belonging := _BELONGING.fullmatch(entry.name)) and int(belonging[1] or belonging[2]) <= old[-1]:
            fs.unlink(folder + b"/" + entry.name)
    for number in old:
        fs.unlink(segment_path(folder, number))
    fs.sync_dir(folder)
    return len(old)


def old_segments(fs: FileSystem, folder: bytes, keep: timedelta) -> list[int]:
    """The numbers of the segments whose records are all older than `keep`, oldest first. Never contains the last segment.

    Raises:
        OSError: a segment cannot be read.
    """
    numbers = segment_numbers(fs, folder)
    now = _began(fs, segment_path(folder, numbers[-1])) if numbers else None
    if now is None:
        return []
    old: list[int] = []
    for number, following in pairwise(numbers):
        # Nothing is written to a segment after the next one has begun.
        began = _began(fs, segment_path(folder, following))
        if began is None or began >= now - keep.total_seconds():
            break
        old.append(number)
    return old


def _began(fs: FileSystem, path: bytes) -> float | None:
    """When a segment began, by the journal's own count of seconds; None if its first line is not valid."""
    found = first_record(fs, path)
    if found is None:
        return None
    first, start = found
    return clock.seconds(first.ts) if start.reckoned is None else start.reckoned
