"""The record that begins a segment of the journal."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Preceding:
    """What a segment continues: the number of the segment before it, and the `seq` of the last valid record in that segment."""

    segment: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentStart:
    """The first line of a segment.

    Attributes:
        version: the version of the program that wrote the segment.
        boot_id: identifies the boot of the machine.
        live: how many jobs the snapshot contains.
        number: the segment's own number, which shows whether a file has another segment's name.
        after: the segment and record that this segment continues; None in the first segment.
        reckoned: the time by the journal's own count, in seconds since 1970 (`daemon.journal.elapsed_time`).

    In segments of older versions, the last three are None.
    """

    event: Literal["segment"] = "segment"
    version: str
    boot_id: str
    live: int
    number: int | None = None
    after: Preceding | None = None
    reckoned: float | None = None
