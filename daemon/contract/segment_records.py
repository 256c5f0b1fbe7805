"""The record that begins a segment of the journal."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Preceding:
    """What a segment continues: the number of the segment before it, and the last valid record in that segment."""

    segment: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentStart:
    """The first line of a segment: which program wrote it, and how many jobs its snapshot holds.

    Attributes:
        number: the segment's own number, which shows whether a file is in another segment's place.
        after: the segment and record it continues; none in the first segment.
        reckoned: the time by the journal's own count, in seconds since 1970 (`daemon.journal.elapsed_time`).

    Segments of older versions have none of these three.
    """

    event: Literal["segment"] = "segment"
    version: str
    boot_id: str
    live: int
    number: int | None = None
    after: Preceding | None = None
    reckoned: float | None = None
