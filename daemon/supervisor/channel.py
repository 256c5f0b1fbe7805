"""The communication with one worker: sends commands to its stdin, reads its events and output, and notices a lost guardian.

Each descriptor is registered with the loop's selector, together with the callback that serves it.
"""

import os
import selectors
from collections.abc import Callable

from daemon.contract.messages import Command
from daemon.supervisor.events import Event, EventReader, ProtocolError
from daemon.supervisor.joblog import JobLog
from daemon.supervisor.process import WorkerProcess, chunks


class WorkerChannel:
    """One worker's descriptors in the loop.

    Args:
        worker: its processes, just started.
        log: where its output goes.
        selector: the loop's selector. The descriptors are registered with it, and removed by `close` at the latest.
        on_event: called with each event.
        on_hang_up: called when the worker closed its event channel.
        on_guardian_gone: called when its guardian is gone.
        on_served: called after any descriptor was served.

    Attributes:
        violation: how the worker broke the protocol, a clause that completes "the worker …"; None if it did not. After a
            violation, events are ignored.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        log: JobLog,
        selector: selectors.BaseSelector,
        *,
        on_event: Callable[[Event], None],
        on_hang_up: Callable[[], None],
        on_guardian_gone: Callable[[], None],
        on_served: Callable[[], None],
    ) -> None:
        self._worker, self._log, self._selector = worker, log, selector
        self._on_event, self._on_hang_up = on_event, on_hang_up
        self._on_guardian_gone, self._on_served = on_guardian_gone, on_served
        self.violation: str | None = None
        self._reader = EventReader()
        self._outgoing = bytearray()
        self._registered: set[int] = set()
        self._register(worker.events, self._read_events)
        self._register(worker.output, self._read_output)
        self._register(worker.lifeline.fileno(), self._read_lifeline)

    def expect(self, job_id: str) -> None:
        """Set the job that the worker's `started` must name."""
        self._reader.expect(job_id)

    def send(self, command: Command) -> None:
        """Send a command. Bytes that do not fit into the pipe now are sent later."""
        self._outgoing += command.model_dump_json().encode() + b"\n"
        self._write_commands(0)

    def read(self) -> None:
        """Read the events and the output that have arrived so far."""
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
            # The selector may report several descriptors at once, and serving the first may have closed the others.
            if fd in self._registered:
                callback(ready)
                self._on_served()

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
            # The worker closed its stdin, or is gone. Its events, its exit or its time limit will show which.
            self._outgoing.clear()
        self._unregister(fd)

    def _read_events(self, _mask: int) -> None:
        for data in chunks(self._worker.events):
            if not data:
                self._unregister(self._worker.events)
                self._on_hang_up()
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
        self._on_guardian_gone()
