"""The communication with one worker: commands to its stdin, its events and output, and its guardian's lifeline.

The selector's keys hold callbacks. After each callback the owner is woken, so that it takes a step.
"""

import os
import selectors
from collections.abc import Callable

from daemon.contract.messages import Command
from daemon.supervisor.events import Event, EventReader, ProtocolError
from daemon.supervisor.joblog import JobLog
from daemon.supervisor.process import WorkerProcess, chunks


class Conversation:
    """One worker's descriptors in the loop.

    Args:
        worker: its processes, just started.
        log: where its output goes.
        selector: the loop's. The descriptors are registered here, and removed by `close` at the latest.
        hear: called with each event.
        hung_up: called when the worker closed its event channel.
        unguarded: called when its guardian is gone.
        served: called after any descriptor was served.

    Attributes:
        violation: how the worker broke the protocol, a clause that completes "the worker …"; later events are ignored.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        log: JobLog,
        selector: selectors.BaseSelector,
        *,
        hear: Callable[[Event], None],
        hung_up: Callable[[], None],
        unguarded: Callable[[], None],
        served: Callable[[], None],
    ) -> None:
        self._worker, self._log, self._selector = worker, log, selector
        self._on_event, self._hung_up, self._unguarded, self._served = hear, hung_up, unguarded, served
        self.violation: str | None = None
        self._reader = EventReader()
        self._outgoing = bytearray()
        self._registered: set[int] = set()
        self._register(worker.events, self._read_events)
        self._register(worker.output, self._read_output)
        self._register(worker.lifeline.fileno(), self._read_lifeline)

    def expect(self, job_id: str) -> None:
        """The worker's `started` must name this job."""
        self._reader.expect(job_id)

    def say(self, command: Command) -> None:
        """Send a command. What the pipe cannot hold yet is sent later."""
        self._outgoing += command.model_dump_json().encode() + b"\n"
        self._write_commands(0)

    def read(self) -> None:
        """Read what has been sent so far."""
        self._read_events(0)
        self._read_output(0)

    def write(self) -> None:
        """Send what did not fit into the pipe before."""
        self._write_commands(0)

    def close(self) -> None:
        """Close all descriptors."""
        for fd in tuple(self._registered):
            self._unregister(fd)

    def _register(self, fd: int, callback: Callable[[int], None], mask: int = selectors.EVENT_READ) -> None:
        def serve(ready: int) -> None:
            # One pass of the loop may contain several keys of an attempt that the first of them ended.
            if fd in self._registered:
                callback(ready)
                self._served()

        self._selector.register(fd, mask, serve)
        self._registered.add(fd)

    def _unregister(self, fd: int) -> None:
        if fd in self._registered:
            self._selector.unregister(fd)
            self._registered.remove(fd)

    def _write_commands(self, _mask: int) -> None:
        fd = self._worker.commands
        try:
            while self._outgoing:
                del self._outgoing[: os.write(fd, self._outgoing)]
        except BlockingIOError:
            if fd not in self._registered:
                self._register(fd, self._write_commands, selectors.EVENT_WRITE)
            return
        except BrokenPipeError:
            # It closed its stdin, or is gone. That alone ends nothing: its events, its exit and its time limit do.
            self._outgoing.clear()
        self._unregister(fd)

    def _read_events(self, _mask: int) -> None:
        for data in chunks(self._worker.events):
            if not data:
                self._unregister(self._worker.events)
                self._hung_up()
                return
            if self.violation is not None:
                continue
            try:
                for event in self._reader.feed(data):
                    self._on_event(event)
            except ProtocolError as error:
                self.violation = str(error)

    def _read_output(self, _mask: int) -> None:
        for data in chunks(self._worker.output):
            if not data:
                self._unregister(self._worker.output)
                return
            self._log.feed(data)

    def _read_lifeline(self, _mask: int) -> None:
        self._unregister(self._worker.lifeline.fileno())
        self._unguarded()
