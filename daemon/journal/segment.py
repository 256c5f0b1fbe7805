"""Reads one segment: which lines are valid, where a torn tail begins, and what is damage.

The pages of an unsynced write may reach the disk in any order, or not at all, or as zeros. So an invalid line is the result of
a power loss, a *torn tail*, if everything after it belongs to the same write. A record's `group` is the sequence number of the
first record of its write. An invalid line therefore begins a torn tail if two things hold: all intact records after it
have the same `group`, and this number is not higher than the sequence number of the first missing record. Then the missing
records were part of the same write. Anything else means that synced records were changed on the disk. That is *damage*, and is
never repaired by guessing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from daemon.contract.commands import command
from daemon.errors import Refusal
from daemon.journal.line import BEGINNING, Entry, Mark, UnknownRecordError, decode, field, group_of, is_intact, mark, ts_of

#: This says that the journal is intact, so that nobody moves it away to continue with an older version, which would forget all
#: jobs.
NEWER_HINT = (
    f"Start that version, or a later one; {command('--version')} says which one this is. "
    "Nothing was changed: the journal is intact."
)


@dataclass(frozen=True, slots=True)
class Torn:
    """What a power loss left of the last write: `data`, which begins at byte `offset` of the file, in line `line` (1-based)."""

    offset: int
    line: int
    data: bytes


class DamageError(Exception):
    """A segment does not contain what was written into it.

    Args:
        line: number of the first bad line, 1-based.
        offset: its position in the file, in bytes.
        reason: what is wrong with it.
    """

    def __init__(self, line: int, offset: int, reason: str) -> None:
        super().__init__(f"line {line} (byte {offset}): {reason}")
        self.line = line
        self.offset = offset
        self.reason = reason


class DamagedSegment(Refusal):
    """The refusal of a segment that is damaged."""


class NewerError(DamageError):
    """A segment is intact, but contains something that this version does not understand: a newer version wrote it."""


class Segment:
    """One segment: its bytes, and the places of its records. Records are decoded on request.

    Args:
        data: the content of the file.
        name: the file's name, for messages.

    Attributes:
        marks: the valid records, in order.
        torn: the torn tail that follows them, if any.

    Raises:
        DamageError: a synced record is changed or missing.
        NewerError: a newer version wrote it.
    """

    def __init__(self, data: bytes, name: str = "") -> None:
        self._data = data
        self._name = name
        self.marks, self.torn = _parse(data)

    @property
    def data(self) -> bytes:
        """The content of the file."""
        return self._data

    def line(self, place: Mark) -> bytes:
        """The bytes of a record, without the newline."""
        return self._data[place.start : place.end]

    def ts(self, place: Mark) -> str:
        """When a record was written, UTC, RFC 3339."""
        return ts_of(self.line(place))

    def field(self, place: Mark, name: str) -> object:
        """The value (any JSON) of the first field with this name in a record; None if there is none. Decodes no other field."""
        return field(self.line(place), name)

    def fields(self, place: Mark) -> dict[str, Any]:
        """All fields of a line as JSON, including those of the envelope."""
        return cast("dict[str, Any]", json.loads(self.line(place).decode()))

    def entry(self, place: Mark) -> Entry:
        """Decode a record.

        Raises:
            Refusal: a newer version wrote it.
        """
        try:
            return decode(self.line(place))
        except UnknownRecordError as error:
            number = self._data.count(b"\n", 0, place.start) + 1
            raise damaged(self._name, NewerError(number, place.start, str(error))) from error

    def entries(self, places: Sequence[Mark] | None = None) -> Iterator[Entry]:
        """Decode the records at these places, or all records.

        Raises:
            Refusal: a newer version wrote one of them.
        """
        return (self.entry(place) for place in (self.marks if places is None else places))


def damaged(name: str, damage: DamageError) -> Refusal:
    """The refusal that tells a person about damage in a segment's file, or about records of a newer version in it."""
    if isinstance(damage, NewerError):
        return Refusal(
            f"the journal was written by a newer Multiplane ({damage.reason}): {name}, line {damage.line}",
            hint=NEWER_HINT,
        )
    return DamagedSegment(
        f"the journal is damaged: {name}, {damage}",
        hint=f"Nothing was changed. Restore this file from a backup, or see {command('doctor')} for how to continue without it.",
    )


def lines(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yields for each line: its offset, its end (without the newline), and whether it has a newline."""
    offset = 0
    while offset < len(data):
        end = data.find(b"\n", offset)
        if end < 0:
            yield offset, len(data), False
            return
        yield offset, end, True
        offset = end + 1


def _joined_record(data: bytes, offset: int, end: int) -> int | None:
    """Where an intact record begins within an invalid line, because the newline before it was lost; None if there is none."""
    start = data.find(BEGINNING, offset + 1, end)
    while start > 0:
        if is_intact(data[start:end]):
            return start
        start = data.find(BEGINNING, start + 1, end)
    return None


def _parse(data: bytes) -> tuple[list[Mark], Torn | None]:
    """Find the records and the torn tail, judged by CRCs, groups and sequence numbers. Raises as `Segment` does."""
    marks: list[Mark] = []
    torn: Torn | None = None
    groups: set[int] = set()
    for number, (offset, end, closed) in enumerate(lines(data), start=1):
        start = offset
        if not (closed and is_intact(data[offset:end])):
            if not marks:
                raise DamageError(number, offset, "a segment is put in place complete, but its first record is not intact")
            torn = torn or Torn(offset, number, data[offset:])
            joined = _joined_record(data, offset, end) if closed else None
            if joined is None:
                continue
            start = joined
        try:
            found = mark(data, start, end)
        except UnknownRecordError as error:
            raise NewerError(number, offset, str(error)) from error
        if torn is not None:
            groups.add(group := group_of(data[start:end]))
            if len(groups) > 1 or group > marks[-1].seq + 1:
                raise DamageError(torn.line, torn.offset, f"the record is not intact, but line {number}, written later, is")
            continue
        if marks and found.seq != marks[-1].seq + 1:
            raise DamageError(number, offset, f"record {marks[-1].seq + 1} is missing before record {found.seq}")
        marks.append(found)
    return marks, torn
