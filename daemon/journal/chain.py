"""Checks that the segments of the journal follow one another.

Each segment names the segment that it continues. Segments of older versions do not; their record numbers are compared instead.

There are two kinds of fault. A *gap*: part of the history is missing, but the last segment describes every live job, and work
goes on. A *break*: the last segment is missing or incomplete, and continuing without it would forget jobs or repeat them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from daemon.contract.segment_records import SegmentStart
from daemon.journal.head import Head


@dataclass(frozen=True, slots=True)
class Link:
    """What `chain` needs of a segment.

    Attributes:
        number: the number in the name of its file.
        start: its first record.
        first, last: the numbers (`seq`) of its first and last record.
    """

    number: int
    start: SegmentStart
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in the order of the segments. `text` is a sentence without its full stop.

    `lost`: the segments that are missing or incomplete; once they are marked as lost, work goes on without them.
    """

    kind: Literal["gap", "break"]
    text: str
    lost: tuple[int, ...] = ()


def misnamed(link: Link) -> Fault | None:
    """The fault if a file has the name of another segment; None if its name is right, or if an older version wrote it."""
    if link.start.number in (None, link.number):
        return None
    return Fault("break", f"{_name(link.number)} contains segment {link.start.number} of the journal")


def between(before: Link, link: Link, known: Collection[int] = ()) -> Fault | None:
    """The fault between two segments with no other file between them; None if there is none.

    `known`: the segments already known to be damaged or lost.
    """
    return _unless_known(_between(before, link, known), known)


def _between(before: Link, link: Link, known: Collection[int]) -> Fault | None:
    after = link.start.after
    old = after is None and link.start.number is None
    if old and link.first <= before.last:
        return Fault("break", f"{_name(link.number)} begins before {_name(before.number)} ends: each is in the other's place")
    if not old and (after is None or after.segment < before.number):
        text = f"{_name(link.number)} was begun without {_name(before.number)}, and contains nothing of it"
        return Fault("gap", text, (before.number,))
    if after is None or after.segment > before.number:
        missing = tuple(number for number in range(before.number + 1, link.number) if number not in known)
        if missing:
            are = "are" if len(missing) > 1 else "is"
            return Fault(
                "gap", f"{_names(missing)} {are} missing between {_name(before.number)} and {_name(link.number)}", missing
            )
        if after is not None:
            return None
    expected = after.seq if after else link.first - 1
    if before.last < expected:
        text = f"the end of {_name(before.number)} is missing or not intact, {_records(before.last + 1, expected)}"
        return Fault("gap", text, (before.number,))
    if before.last > expected:
        text = f"{_name(link.number)} does not continue the last records of {_name(before.number)}"
        return Fault("gap", text, (before.number,))
    return None


def missing_at_end(last: Link | None, head: Head | None, known: Collection[int] = ()) -> Fault | None:
    """The fault if records are missing at the end of the journal; None if none are. `known`: as in `between`."""
    if head is None or (last and last.number > head.segment):
        return None
    fault = None
    if last is None or last.number < head.segment:
        first = last.number + 1 if last else head.segment
        missing = tuple(number for number in range(first, head.segment + 1) if number not in known)
        if missing:
            are = "are" if len(missing) > 1 else "is"
            fault = Fault("break", f"the end of the journal is missing: {_names(missing)} {are} not there", missing)
    elif last.last < head.seq:
        text = f"the end of {_name(last.number)} is missing or not intact, {_records(last.last + 1, head.seq)}"
        fault = Fault("break", text, (last.number,))
    return _unless_known(fault, known)


def _unless_known(fault: Fault | None, known: Collection[int]) -> Fault | None:
    return None if fault and fault.lost and all(number in known for number in fault.lost) else fault


def _names(numbers: tuple[int, ...]) -> str:
    return _name(numbers[0]) if len(numbers) == 1 else f"{_name(numbers[0])} to {_name(numbers[-1])}"


def _records(first: int, last: int) -> str:
    return f"record {first}" if first == last else f"records {first} to {last}"


def _name(number: int) -> str:
    return f"{number:08}.jsonl"
