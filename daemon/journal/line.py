"""One record as one line: `{"v":1,"seq":7,"group":6,"ts":"…","event":"claimed","job":"…","crc":"0a1b2c3d"}`.

The line is closed by the CRC-32 of all its bytes before `,"crc"`, so that `tail -f | jq` reads it and any damage shows.
`group` is the `seq` of the first record that shared the write and the sync.
"""

import json
import re
import zlib
from dataclasses import dataclass

from pydantic import ValidationError

from daemon.contract.records import RECORD, RECORD_VERSION, AnyRecord

#: How every record begins, also one whose line was joined to the one before it.
BEGINNING = b'{"v":'
_CLOSING = b',"crc":"%08x"}\n'
_CLOSING_LENGTH = len(_CLOSING % 0)
_ENVELOPE = re.compile(rb'\{"v":(?P<v>\d+),"seq":(?P<seq>\d+),"group":(?P<group>\d+),"ts":"(?P<ts>[^"\\]*)",')


class UnknownRecordError(Exception):
    """An intact line that this version does not understand; a newer version wrote it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with its envelope. `ts` is UTC, RFC 3339."""

    seq: int
    group: int
    ts: str
    record: AnyRecord


def encode(entry: Entry) -> bytes:
    """The line of a record, newline included."""
    envelope = json.dumps({"v": RECORD_VERSION, "seq": entry.seq, "group": entry.group, "ts": entry.ts}, separators=(",", ":"))
    body = envelope[:-1].encode() + b"," + RECORD.dump_json(entry.record)[1:-1]
    return body + _CLOSING % zlib.crc32(body)


def is_intact(line: bytes) -> bool:
    """Whether a line without its newline carries its own CRC."""
    body = line[: 1 - _CLOSING_LENGTH]
    return len(line) >= _CLOSING_LENGTH and line + b"\n" == body + _CLOSING % zlib.crc32(body)


def decode(line: bytes) -> Entry:
    """The record of an intact line.

    Raises:
        UnknownRecordError: the line is intact but says something this version does not know.
    """
    envelope = _ENVELOPE.match(line)
    if envelope is None:
        raise UnknownRecordError("it has no envelope that this version knows")
    if int(envelope["v"]) > RECORD_VERSION:
        raise UnknownRecordError("it was written by a newer version of Multiplane")
    try:
        # The record's own JSON, read in one go: a start reads some 10,000 of them.
        record = RECORD.validate_json(b"{" + line[envelope.end() : 1 - _CLOSING_LENGTH] + b"}")
    except ValidationError as error:
        raise UnknownRecordError(str(error).splitlines()[0]) from error
    return Entry(int(envelope["seq"]), int(envelope["group"]), envelope["ts"].decode(), record)
