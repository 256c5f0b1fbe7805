"""One record as one line: `{"v":1,"seq":7,"group":6,"ts":"…","event":"claimed","job":"…","crc":"0a1b2c3d"}`.

The line ends with the CRC-32 of all its bytes before `,"crc"`, so any damage shows, and `tail -f | jq` can read it. `group` is
the `seq` of the first record in the same write and sync.

Decoding a whole record takes 30 µs; reading the beginning of its line takes 1 µs. So a search through a long history reads the
beginnings (`mark`), perhaps one field (`field`), and decodes only the records it needs. That is safe after the CRC was checked,
because a line with the right CRC was written by this program.
"""

import json
import re
import zlib
from dataclasses import dataclass, fields
from typing import NamedTuple, get_args

from pydantic import ValidationError

from daemon.contract.records import RECORD, RECORD_VERSION, AnyRecord
from daemon.contract.words.printable import quoted
from daemon.contract.words.validation import in_words

#: How every record begins. Used to find a record whose line was joined to the one before it.
BEGINNING = b'{"v":'
_CLOSING = b',"crc":"%08x"}'
_CLOSING_LENGTH = len(_CLOSING % 0)
_ENVELOPE = re.compile(rb'\{"v":(\d+),"seq":(\d+),"group":(\d+),"ts":"([^"\\]*)",')
#: `event` and `job` are the first fields of every record. An id contains nothing that JSON would escape.
_HEAD = re.compile(rb'\{"v":(\d+),"seq":(\d+),"group":\d+,"ts":"[^"\\]*","event":"([a-z_]+)"(?:,"job":"([^"\\]*)")?')
_EVENTS = {str(fields(record)[0].default).encode(): str(fields(record)[0].default) for record in get_args(AnyRecord)}
_VERSION = re.compile(rb'\{"v":(\d{1,9})[,}]')
_JSON = json.JSONDecoder()
#: How many characters of a decoding error are shown.
_SHOWN = 200


class UnknownRecordError(Exception):
    """An intact line that this version does not understand: a newer version wrote it. The message says what is unknown."""


class UnreplayableError(Exception):
    """A record that no reader of the journal would accept. It was not written; the journal is unchanged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with its envelope. `ts` is UTC, RFC 3339."""

    seq: int
    group: int
    ts: str
    record: AnyRecord


class Mark(NamedTuple):
    """The first fields of a line, and its place in the segment: bytes `start` to `end`, without the newline.

    `job` is empty for a segment's first line.
    """

    seq: int
    event: str
    job: str
    start: int
    end: int


def encode(entry: Entry) -> bytes:
    """The line of a record, with its newline. This does not check that the line can be read back; writers use `checked`."""
    envelope = b'{"v":%d,"seq":%d,"group":%d,"ts":"%s",' % (RECORD_VERSION, entry.seq, entry.group, entry.ts.encode())
    body = envelope + RECORD.dump_json(entry.record)[1:-1]
    return seal(body) + b"\n"


def checked(entry: Entry) -> bytes:
    """The line of a record, with its newline, after checking that a start of the daemon could read it back.

    Raises:
        UnreplayableError: it could not be read back.
    """
    try:
        line = encode(entry)
        place, read = mark(line, 0, len(line) - 1), decode(line[:-1])
    except (UnknownRecordError, ValueError, RecursionError) as error:  # pydantic's and json's errors are ValueErrors
        raise UnreplayableError(
            f"a record of {quoted(entry.record.event)} could not be read back: {in_words(error)[:_SHOWN]}"
        ) from error
    if place.job != getattr(read.record, "job", ""):
        raise UnreplayableError(f"a record of {quoted(entry.record.event)} would be taken for another job's")
    return line


def seal(body: bytes) -> bytes:
    """Close a line with its CRC. `body` is a JSON object without its last brace."""
    return body + _CLOSING % zlib.crc32(body)


def unseal(line: bytes) -> bytes:
    """The JSON object of a line without its CRC."""
    return line[:-_CLOSING_LENGTH] + b"}"


def is_intact(line: bytes) -> bool:
    """Whether a line, without its newline, has the right CRC."""
    return line.endswith(_CLOSING % zlib.crc32(line[:-_CLOSING_LENGTH]))


def mark(data: bytes, start: int, end: int) -> Mark:
    """Read the first fields of the intact line at this place.

    Raises:
        UnknownRecordError: the line contains something that this version does not know.
    """
    head = _HEAD.match(data, start, end)
    if head is None:
        raise UnknownRecordError(_version_of(data[start:end]) or "an envelope that this version does not know")
    version, seq, event, job = head.groups()
    if int(version) > RECORD_VERSION:
        raise UnknownRecordError(f"record version {int(version)}")
    if (known := _EVENTS.get(event)) is None:
        raise UnknownRecordError(f"a record of the kind {quoted(event.decode())}")
    return Mark(int(seq), known, job.decode() if job else "", start, end)


def group_of(line: bytes) -> int:
    """The `group` of an intact line of a known version."""
    return int(_envelope(line)[3])


def ts_of(line: bytes) -> str:
    """The `ts` of an intact line of a known version: UTC, RFC 3339."""
    return _envelope(line)[4].decode()


def field(line: bytes, name: str) -> object:
    """The value (any JSON) of the first field with this name in an intact line; None if there is none. Decodes no other field."""
    key = b'"%s":' % name.encode()
    # Inside a string the quotes would be escaped, so this is a key.
    at = line.find(key)
    if at < 0:
        return None
    value: object = _JSON.raw_decode(line[at + len(key) :].decode())[0]
    return value


def decode(line: bytes) -> Entry:
    """The record of an intact line.

    Raises:
        UnknownRecordError: the line contains something that this version does not know.
    """
    envelope = _envelope(line)
    version, seq, group, ts = envelope.groups()
    if int(version) > RECORD_VERSION:
        raise UnknownRecordError(f"record version {int(version)}")
    try:
        # The record's own JSON, parsed in one pass.
        record = RECORD.validate_json(b"{" + unseal(line[envelope.end() :]))
    except ValidationError as error:
        raise UnknownRecordError(in_words(error)) from error
    return Entry(int(seq), int(group), ts.decode(), record)


def _envelope(line: bytes) -> re.Match[bytes]:
    """Match the envelope of a line. The match's groups 1 to 4 are version, sequence number, group and time."""
    envelope = _ENVELOPE.match(line)
    if envelope is None:
        raise UnknownRecordError(_version_of(line) or "an envelope that this version does not know")
    return envelope


def _version_of(line: bytes) -> str | None:
    """A few words about a line's version if it is newer than ours; otherwise None."""
    found = _VERSION.match(line)
    return f"record version {int(found[1])}" if found and int(found[1]) > RECORD_VERSION else None
