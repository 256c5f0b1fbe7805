"""Decodes the worker's messages: turns the bytes from its descriptor 3 into events, and checks their order."""

from collections.abc import Iterator

from pydantic import ValidationError

from daemon.contract.messages import (
    EVENT,
    MAX_LINE_BYTES,
    PROTOCOL_VERSION,
    Error,
    Heartbeat,
    Hello,
    ProgressEvent,
    Ready,
    Result,
    Started,
)
from daemon.contract.words.printable import quoted
from daemon.contract.words.validation import in_words

Event = Hello | Ready | Started | ProgressEvent | Heartbeat | Result | Error
#: At most this many characters of an invalid line are shown.
_SHOWN = 80
#: At most this many characters of the explanation are shown.
_EXPLAINED = 160


class ProtocolError(Exception):
    """A worker broke the protocol; the message is a clause that completes "the worker …"."""


class EventReader:
    """Splits a stream of bytes into events, and checks their order.

    A line has at most `MAX_LINE_BYTES`. The first event is `hello` with our version. `ready` and `started` come once each and
    in this order, and `started` names the job that was given. There is at most one `result` (after `started`) or one `error`.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._greeted = self._ready = self._started = False
        self._closed: str | None = None
        self._job_id: str | None = None

    def expect(self, job_id: str) -> None:
        """Set the job that the worker's `started` must name."""
        self._job_id = job_id

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that these bytes complete. Raises ProtocolError at the first invalid one."""
        self._rest += data
        while (end := self._rest.find(b"\n")) >= 0:
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            yield self._event(line)
        if len(self._rest) > MAX_LINE_BYTES:
            raise ProtocolError(f"sent an event of more than {MAX_LINE_BYTES} bytes")

    def _event(self, line: bytes) -> Event:
        if len(line) > MAX_LINE_BYTES:
            raise ProtocolError(f"sent an event of more than {MAX_LINE_BYTES} bytes")
        try:
            event = EVENT.validate_json(line)
        except ValidationError as error:
            shown = ascii(line[:_SHOWN].decode("utf-8", "replace"))
            raise ProtocolError(f"sent an event that cannot be read: {shown} ({_problem(error)})") from error
        self._check(event)
        return event

    def _check(self, event: Event) -> None:
        if isinstance(event, Hello):
            if event.protocol != PROTOCOL_VERSION:
                raise ProtocolError(f"speaks version {event.protocol} of the protocol, not {PROTOCOL_VERSION}")
            if self._greeted:
                raise ProtocolError("said hello twice")
            self._greeted = True
            return
        if not self._greeted:
            raise ProtocolError(f"sent {quoted(event.type)} before hello")
        if isinstance(event, Ready):
            if self._ready:
                raise ProtocolError("said ready again")
            self._ready = True
        if isinstance(event, Started):
            if event.job_id != self._job_id:
                raise ProtocolError(f"started job {event.job_id}, but was given {self._job_id}")
            if self._started:
                raise ProtocolError("started its job twice")
            if not self._ready:
                raise ProtocolError("started its job before it was ready")
            self._started = True
        if isinstance(event, Result | Error):
            if self._closed is not None:
                raise ProtocolError(f"sent {quoted(event.type)} after {quoted(self._closed)}")
            if isinstance(event, Result) and not self._started:
                raise ProtocolError("sent a result for a job it had not started")
            self._closed = event.type


def _problem(error: ValidationError) -> str:
    """The first thing that is wrong, and where. It may contain text from the worker, so it is shortened and escaped."""
    return ascii(in_words(error))[1:-1][:_EXPLAINED]
