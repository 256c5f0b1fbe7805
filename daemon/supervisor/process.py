"""One worker's processes and pipes: the guardian that leads the group, the worker in that group, and what connects them.

The guardian starts first, as leader of a new process group. It holds one end of a socket (`lifeline`), and only the daemon has
the other. Then the worker starts, inside that group. So the group is guarded before the worker exists, and closing the lifeline
is enough to kill it. Everything is fork+exec through subprocess. The worker inherits descriptors 0, 1, 2, its folder if its
sandbox needs that, and the one pipe for its events. It learns the number of that pipe from its command line and moves it to
descriptor 3 itself, because subprocess passes a descriptor on only under its own number, and code between fork and exec is not
safe in a program with threads.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from daemon.contract.records import Process
from daemon.platform import process
from daemon.platform.files import path_of

_CHUNK = 1 << 16
#: The most chunks of output read at a time: a worker that prints without end must not keep the loop from the others. It is also
#: more than any pipe holds (1 MiB is Linux's maximum for an ordinary user), so after the group is dead, one read gets the rest.
_CHUNKS = 17


class WorkerProcess:
    """The processes of one worker. `events`, `output` and `commands` are the daemon's ends of its pipes, non-blocking.

    Args:
        argv: the worker's command; `--events-fd N` is appended.
        guardian_argv: the guardian's command.
        environment: the worker's whole environment.
        folder: its working directory, open.
        inherited: further descriptors that it inherits, under their own numbers.

    Raises:
        OSError: a process or a pipe could not be created; nothing is left running or open.
    """

    def __init__(
        self,
        argv: Sequence[str],
        guardian_argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: int,
        inherited: Sequence[int] = (),
    ) -> None:
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
            self.worker = subprocess.Popen(
                [*argv, "--events-fd", str(events)],
                stdin=commands,
                stdout=output,
                stderr=output,
                pass_fds=(events, *inherited),
                env=environment,
                cwd=path_of(folder),
                process_group=self.group,
            )
            self.pid = self._identify()
            #: The most memory that the worker itself held, in bytes, as counted by the system; 0 until it is reaped.
            self.held = 0
            undo.pop_all()

    def _identify(self) -> Process:
        # Both are unreaped children of this process, so their pids are theirs, and /proc still has them, dead or alive.
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

    def ended(self) -> int | None:
        """The worker's exit status, as subprocess reports it, once it has ended. It is reaped here, and its peak memory noted."""
        if self.worker.returncode is None:
            try:
                pid, status, usage = os.wait4(self.worker.pid, os.WNOHANG)
            except ChildProcessError:
                return self.worker.poll()
            if pid:
                # subprocess's own wait does not report peak memory, and samples miss what grows fast.
                self.worker.returncode = os.waitstatus_to_exitcode(status)
                # getrusage(2): kilobytes on Linux, bytes on macOS.
                self.held = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return self.worker.returncode

    def terminate(self) -> None:
        """Ask the worker to stop; does nothing if it has ended."""
        if self.ended() is None:
            process.signal_process(self.worker.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the worker's group, guardian included.

        Allowed only before the guardian is reaped: until then the pid is ours.
        """
        if self.guardian.returncode is None:
            process.kill_group(self.group, signal.SIGKILL)

    def group_is_gone(self) -> bool:
        """After `kill`: reap what has ended. True once guardian and worker are reaped and their group is empty."""
        if self.ended() is None or self.guardian.poll() is None:
            return False
        # A group's number is not reused while it has members, so this checks our group or finds none.
        return not process.kill_group(self.group, 0)

    def is_reaped(self) -> bool:
        """Whether worker and guardian have left the process table, and nothing but zombies is left of their group."""
        reaped = self.worker.returncode is not None and self.guardian.returncode is not None
        return reaped and not process.group_runs(self.group)

    def close(self) -> None:
        """Close the daemon's ends. Closing the lifeline kills the group if it still exists."""
        for fd in (self.commands, self.events, self.output):
            if fd >= 0:
                os.close(fd)
        self.commands = self.events = self.output = -1
        self.lifeline.close()


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe whose two ends these stacks close."""
    read, write = os.pipe()
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write


def chunks(fd: int) -> list[bytes]:
    """What can be read at once, up to a limit; an empty chunk is the end of the stream."""
    chunks: list[bytes] = []
    try:
        while len(chunks) < _CHUNKS:
            chunks.append(os.read(fd, _CHUNK))
            if not chunks[-1]:
                break
    except BlockingIOError:
        pass
    return chunks
