"""The worker's side of the conversation: bytes of its descriptor 3 → events, or a sentence about what is wrong with them."""

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

Event = Hello | Ready | Started | ProgressEvent | Heartbeat | Result | Error
#: How much of an offending line is shown.
_SHOWN = 80
#: And of what is wrong with it.
_EXPLAINED = 160


class ProtocolError(Exception):
    """A worker that does not keep to the protocol; the message is a clause that completes "the worker …"."""


class EventReader:
    """Cuts a stream of bytes into events and checks their order.

    A line is at most `MAX_LINE_BYTES`, the first event is `hello` of our version, `ready` and `started` come once and in this
    order, `started` names the job that was given, a result comes once and after `started`, and of `result` and `error` there
    is one at most.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._greeted = self._ready = self._started = False
        self._closed: str | None = None
        self._job_id: str | None = None

    def expect(self, job_id: str) -> None:
        """The `started` of the worker must name this job."""
        self._job_id = job_id

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that are complete with these bytes; ProtocolError at the first that is wrong."""
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
            raise ProtocolError(f"sent {event.type!r} before hello")
        if isinstance(event, Ready):
            if self._ready or self._started:
                raise ProtocolError("said ready again")
            self._ready = True
        if isinstance(event, Started):
            if event.job_id != self._job_id:
                raise ProtocolError(f"started job {event.job_id!r}, but was given {self._job_id!r}")
            if self._started:
                raise ProtocolError("started its job twice")
            self._started = True
        if isinstance(event, Result | Error):
            if self._closed is not None:
                raise ProtocolError(f"sent {event.type!r} after {self._closed!r}")
            if isinstance(event, Result) and not self._started:
                raise ProtocolError("sent a result for a job it had not started")
            self._closed = event.type


def _problem(error: ValidationError) -> str:
    """What is wrong first, and where. The worker's own words are in it, so it is cut and escaped too."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    return ascii(f"{where}: {first['msg']}" if where else first["msg"])[1:-1][:_EXPLAINED]
