"""One run of a hook: a command of the settings, in a process group of its own that ends with the daemon.

As with a worker, a guardian leads the group, and kills it when the daemon's end of a socket is closed, however the daemon died.
"""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from daemon.following.hook_output import HookOutput
from daemon.platform import process
from daemon.supervisor import guardian_argv


class HookProcess:
    """A running command. Whoever starts it calls `poll` now and then, and `close` at the end.

    Args:
        argv: the program and its arguments.
        message: what it can read from its standard input.
        environment: its environment.
        directory: its working directory.

    Raises:
        OSError: it cannot be started; nothing is left running or open.
    """

    def __init__(self, argv: Sequence[str], message: bytes, environment: Mapping[str, str], directory: str) -> None:
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            self._lifeline, lifeline = socket.socketpair()
            undo.callback(self._lifeline.close)
            theirs.callback(lifeline.close)
            self._guardian = subprocess.Popen(
                guardian_argv(),
                stdin=lifeline.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                process_group=0,
            )
            undo.callback(self._undo_guardian)
            output, writing = os.pipe()
            theirs.callback(os.close, writing)
            self._output = HookOutput(output)
            undo.callback(self._output.close)
            # A file, because a pipe of a command that reads nothing would fill up.
            reading = theirs.enter_context(tempfile.TemporaryFile())
            reading.write(message)
            reading.seek(0)
            self._command = subprocess.Popen(
                argv,
                stdin=reading.fileno(),
                stdout=writing,
                stderr=writing,
                env=dict(environment),
                cwd=directory,
                process_group=self._guardian.pid,
            )
            undo.pop_all()

    def _undo_guardian(self) -> None:
        self.kill()
        self._guardian.wait()

    def poll(self) -> int | None:
        """The command's exit status as subprocess reports it; None while it runs."""
        self._output.look()
        return self._command.poll()

    @property
    def last_line(self) -> str:
        """The last line that it printed until now; empty if it printed none. Once `is_gone` was True, that of all it printed."""
        lines = self._output.end.decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def kill(self) -> None:
        """Send SIGKILL to the command, to everything that it started in its group, and to the guardian."""
        if self._guardian.returncode is None:
            process.kill_group(self._guardian.pid, signal.SIGKILL)

    def is_gone(self) -> bool:
        """Reap what has ended after `kill`. Returns True once the command and the guardian are reaped."""
        if self._command.poll() is None or self._guardian.poll() is None:
            return False
        self._output.finish()
        return True

    def close(self) -> None:
        """Close the pipe and the lifeline. The guardian then kills the group if it still exists."""
        self._output.close()
        self._lifeline.close()
