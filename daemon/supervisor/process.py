"""One worker's processes and pipes: the guardian, the worker, and what connects them with the daemon.

The guardian starts first, as leader of a new process group. It holds one end of a socket (`lifeline`), and only the daemon has
the other. Then the worker starts, inside that group. So the group is guarded before the worker exists, and it is killed as soon
as the daemon's end of the lifeline is closed.

`daemon.supervisor.starting.launch` starts the worker itself, in one of two ways.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from daemon.contract.records import Process
from daemon.platform import process
from daemon.supervisor.starting.launch import Ends, Launch, reap_strays

_CHUNK = 1 << 16
#: At most this many chunks are read at a time, so that a worker that prints without end does not hold up the loop. It is more
#: than any pipe holds (1 MiB is Linux's maximum for an ordinary user), so one read after the end of the group gets everything.
_CHUNKS = 17


class WorkerProcess:
    """The guardian and the worker. `events`, `output` and `commands` are the daemon's ends of the pipes, non-blocking.

    Args:
        launch: makes the worker, given its ends of the pipes and its group.
        guardian_argv: the guardian's command.

    Raises:
        OSError: a process or a pipe could not be created; nothing is left running or open.
        TemplateLost: the worker could not be forked; nothing is left running or open.
    """

    def __init__(self, launch: Launch, guardian_argv: Sequence[str]) -> None:
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            self.lifeline, lifeline = socket.socketpair()
            undo.callback(self.lifeline.close)
            theirs.callback(lifeline.close)
            self.guardian = subprocess.Popen(
                guardian_argv,
                stdin=lifeline.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                process_group=0,
            )
            self.group = self.guardian.pid
            undo.callback(self._kill_guardian)
            commands, self.commands = _pipe(theirs, undo)
            self.events, events = _pipe(undo, theirs)
            self.output, output = _pipe(undo, theirs)
            for fd in (self.commands, self.events, self.output):
                os.set_blocking(fd, False)
            self.lifeline.setblocking(False)
            self.worker = launch(Ends(commands, events, output, self.group))
            self.pid = self._identify()
            #: The most memory that the worker itself held, in bytes, as counted by the system; 0 until it is reaped.
            self.held = 0
            undo.pop_all()

    def _identify(self) -> Process:
        # Both are children of this process that have not been reaped. So even if they are dead, no other process has their pids.
        worker, guardian = process.created(self.worker.pid), process.created(self.group)
        return Process(
            pid=self.worker.pid,
            created=worker or 0.0,
            boot_id=process.boot_id(),
            group=self.group,
            guardian_created=guardian or 0.0,
        )

    def _kill_guardian(self) -> None:
        self.kill()
        self.guardian.wait()
        reap_strays(self.group)

    def ended(self) -> int | None:
        """The worker's exit status as subprocess reports it; None while it runs. Reaps the worker, and notes its peak memory."""
        if self.worker.returncode is None:
            try:
                pid, status, usage = os.wait4(self.worker.pid, os.WNOHANG)
            except ChildProcessError:
                # Whoever started the daemon had it ignore SIGCHLD, so the status is lost. Success needs a result as well.
                self.worker.returncode = 0
                return 0
            if pid:
                # wait4 reports the peak memory, which subprocess does not, and which samples miss if memory grows fast.
                self.worker.returncode = os.waitstatus_to_exitcode(status)
                # getrusage(2): kilobytes on Linux, bytes on macOS.
                self.held = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return self.worker.returncode

    def terminate(self) -> None:
        """Ask the worker to stop; does nothing if it has ended."""
        if self.ended() is None:
            process.signal_process(self.worker.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the whole group, guardian included. Does nothing once the guardian is reaped.

        Until the guardian is reaped, no other group can get this number.
        """
        if self.guardian.returncode is None:
            process.kill_group(self.group, signal.SIGKILL)

    def group_is_gone(self) -> bool:
        """Reap what has ended after `kill`. Returns True once guardian and worker are reaped and their group is empty."""
        if self.ended() is None or self.guardian.poll() is None:
            return False
        # A group's number is not reused while it has members, so this checks our group or finds none.
        return not process.kill_group(self.group, 0)

    def is_reaped(self) -> bool:
        """Whether worker and guardian are reaped, and only zombies are left in their group."""
        reaped = self.worker.returncode is not None and self.guardian.returncode is not None
        return reaped and not process.group_runs(self.group)

    def close(self) -> None:
        """Close the daemon's ends of pipes and lifeline. The guardian then kills the group if it still exists."""
        for fd in (self.commands, self.events, self.output):
            if fd >= 0:
                os.close(fd)
        self.commands = self.events = self.output = -1
        self.lifeline.close()


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """Create a pipe. Each end is closed by its stack."""
    read, write = os.pipe()
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write


def chunks(fd: int) -> list[bytes]:
    """What can be read without blocking, up to `_CHUNKS` chunks. An empty chunk means the end of the stream."""
    chunks: list[bytes] = []
    try:
        while len(chunks) < _CHUNKS:
            chunks.append(os.read(fd, _CHUNK))
            if not chunks[-1]:
                break
    except BlockingIOError:
        pass
    return chunks
