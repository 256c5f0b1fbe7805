"""Forgetting: whole segments that are older than anybody wants to look back. The oldest go first, the last one always stays.

Every segment begins with a snapshot of what is live, so nothing that still matters is only in an old one. The journal's own
reckoning tells how old a segment is, not the clock of this start, which may be wrong.
"""

import re
from datetime import timedelta
from itertools import pairwise

from daemon import clock
from daemon.contract.records import SegmentStart
from daemon.fs import FileSystem
from daemon.journal.journal import segment_numbers, segment_path
from daemon.journal.line import UnknownRecordError, decode, is_intact

#: The first line of a segment is about 300 bytes.
_HEAD_BYTES = 4096
_TORN = re.compile(rb"torn-(\d{8})-\d+")


def prune(fs: FileSystem, folder: bytes, keep: timedelta) -> int:
    """Remove the segments whose records are all older than so much, and what was set aside of them.

    Returns:
        How many segments were removed.

    Raises:
        OSError: one could not be removed; those before it are gone.
    """
    numbers = segment_numbers(fs, folder)
    now = _began(fs, segment_path(folder, numbers[-1])) if numbers else None
    if now is None:
        return 0
    old: list[int] = []
    for number, following in pairwise(numbers):
        # Nothing is written to a segment after the next one has begun.
        began = _began(fs, segment_path(folder, following))
        if began is None or began >= now - keep.total_seconds():
            break
        old.append(number)
    if not old:
        return 0
    for entry in fs.scan(folder):
        if (torn := _TORN.fullmatch(entry.name)) and int(torn[1]) <= old[-1]:
            fs.unlink(folder + b"/" + entry.name)
    for number in old:
        fs.unlink(segment_path(folder, number))
    fs.sync_dir(folder)
    return len(old)


def _began(fs: FileSystem, path: bytes) -> float | None:
    """When a segment began, by the journal's reckoning; none if it cannot be read, which is not for pruning to judge."""
    line = fs.read(path, _HEAD_BYTES).split(b"\n", 1)[0]
    try:
        first = decode(line) if is_intact(line) else None
    except UnknownRecordError:
        return None
    if first is None or not isinstance(first.record, SegmentStart):
        return None
    return clock.seconds(first.ts) if first.record.reckoned is None else first.record.reckoned
