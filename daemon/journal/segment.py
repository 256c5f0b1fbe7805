"""Reading one segment: which lines hold, where a torn tail begins, and what is damage.

The pages of one write that was never synced may reach the disk in any order, or not at all, or as zeros. So an invalid line
is the trace of a power loss, a *torn tail*, if nothing behind it was written later than the write it belongs to. As a record's
`group` is the sequence number of the first record of its write, that is: every intact record behind the hole has one and the
same group, and this group began no later than the first missing record. Anything else means that synced records were changed
on the disk: *damage*, which nobody may guess away.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from daemon.journal.line import BEGINNING, Entry, UnknownRecordError, decode, is_intact


@dataclass(frozen=True, slots=True)
class Torn:
    """What a power loss left of the last write: it begins at `offset` bytes, line `line` (1-based)."""

    offset: int
    line: int
    data: bytes


class DamageError(Exception):
    """A segment that does not say what was written into it.

    Args:
        line: number of the first bad line, 1-based.
        offset: its place in the file, in bytes.
        reason: what is wrong with it.
    """

    def __init__(self, line: int, offset: int, reason: str) -> None:
        super().__init__(f"line {line} (byte {offset}): {reason}")
        self.line = line
        self.offset = offset
        self.reason = reason


def _lines(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """(offset, line without newline, whether a newline closed it)."""
    offset = 0
    while offset < len(data):
        end = data.find(b"\n", offset)
        if end < 0:
            yield offset, data[offset:], False
            return
        yield offset, data[offset:end], True
        offset = end + 1


def _buried(line: bytes) -> bytes:
    """The intact record at the end of a line that is not: the newline before it is what was lost. Empty if there is none."""
    start = line.find(BEGINNING, 1)
    while start > 0:
        if is_intact(line[start:]):
            return line[start:]
        start = line.find(BEGINNING, start + 1)
    return b""


def read_segment(data: bytes) -> tuple[list[Entry], Torn | None]:
    """The records of a segment up to its torn tail, if it has one.

    Raises:
        DamageError: a record that had been synced is not intact, is missing, or comes from a newer version.
    """
    entries: list[Entry] = []
    torn: Torn | None = None
    behind: set[int] = set()
    for number, (offset, line, closed) in enumerate(_lines(data), start=1):
        if not (closed and is_intact(line)):
            if not entries:
                raise DamageError(number, offset, "a segment is put in place whole, but its first record is not intact")
            torn = torn or Torn(offset, number, data[offset:])
            line = _buried(line) if closed else b""
            if not line:
                continue
        try:
            entry = decode(line)
        except UnknownRecordError as error:
            raise DamageError(number, offset, str(error)) from error
        if torn is not None:
            behind.add(entry.group)
            if len(behind) > 1 or entry.group > entries[-1].seq + 1:
                raise DamageError(torn.line, torn.offset, f"the record is not intact, but line {number}, written later, is")
            continue
        if entries and entry.seq != entries[-1].seq + 1:
            raise DamageError(number, offset, f"record {entries[-1].seq + 1} is missing before record {entry.seq}")
        entries.append(entry)
    return entries, torn
