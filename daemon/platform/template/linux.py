"""The daemon's end of a template process on Linux; `pipeline.worker.template` is the other end.

A request is a JSON object, sent together with the worker's descriptors over a SOCK_SEQPACKET socket:

    group        the process group that the worker joins
    warm         what the worker is to load
    environment  what it adds to the template's environment
    sandbox      what it may read and use, as in `daemon.platform.sandbox`; null: no sandbox

The worker is a child of the daemon, not of the template (`pipeline.worker.sibling`). So a template that dies or stops takes
nothing along, and a worker is awaited, measured and killed like one that was started as a program.

The template leads a process group of its own, and a worker that it forks leaves that group first of all. So killing both groups
leaves nothing, even if the template was killed in the middle of a fork and never said which pid the worker has.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import Literal

#: Seconds to wait for a fork. It takes milliseconds, on a busy machine perhaps a second. The daemon's only thread waits, so a
#: template that does not answer is given up soon. One that was stopped is recognised without waiting.
_ANSWER_SECONDS = 5.0
_LARGEST_ANSWER = 4096
#: Bytes of a template's output that tell why it died: the end of a traceback.
_TAIL_BYTES = 2048
#: States in /proc/PID/stat of a process that answers no request: stopped, traced, dead.
_SILENT = "TtZX"


class TemplateLost(Exception):
    """A template did not fork a worker. The message is a clause that says why."""


class Template:
    """A template, just started. It is `ready` when it has loaded everything.

    Args:
        argv: the command of a worker of its kind; `--template-fd N` is appended.
        environment: its whole environment.

    Attributes:
        pid: its process, which leads a group of its own.
        refused: why it will not fork; None if it will.

    Raises:
        OSError: it could not be started; nothing is left running or open.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self.refused: str | None = None
        with contextlib.ExitStack() as undo:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.callback(self._socket.close)
            self._output = os.memfd_create("template")
            undo.callback(os.close, self._output)
            with theirs:
                self._process = subprocess.Popen(
                    [*argv, "--template-fd", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=self._output,
                    pass_fds=(theirs.fileno(),),
                    env=environment,
                    cwd="/",
                    process_group=0,
                )
            self.pid = self._process.pid
            self._socket.setblocking(False)
            undo.pop_all()

    def fileno(self) -> int:
        """The descriptor on which the template is heard."""
        return self._socket.fileno()

    def hear(self) -> Literal["ready", "gone"] | None:
        """Read what it said: that it is ready, or that it is of no use (it ended, or `refused` says why)."""
        try:
            answer = self._received()
        except BlockingIOError:
            return None
        except TemplateLost:
            return "gone"
        if isinstance(refused := answer.get("refused"), str):
            self.refused = refused
        return "ready" if answer.get("ready") else "gone"

    def fork(self, request: Mapping[str, object], descriptors: Sequence[int], group: int) -> int:
        """Have it fork a worker, and return the worker's pid. The worker is a child of this process, and in the group.

        Raises:
            TemplateLost: there is no worker, or it is unknown. The template has been killed; the caller must also kill the group.
        """
        try:
            return self._fork(request, descriptors, group)
        except (OSError, TemplateLost) as error:
            self.kill()
            raise TemplateLost("it did not answer in time" if isinstance(error, TimeoutError) else str(error)) from None

    def kill(self) -> None:
        """Kill it, and a worker that it has just forked and that has not left its group yet."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def is_gone(self) -> bool:
        """After `kill`: whether the template, and a worker that was killed with it, have ended and are reaped."""
        while self._output >= 0:
            try:
                pid, status = os.waitpid(-self.pid, os.WNOHANG)
            except ChildProcessError:
                self._process.poll()
                self._socket.close()
                os.close(self._output)
                self._output = -1
                break
            if pid == 0:
                return False
            if pid == self.pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
        return True

    def why(self) -> str:
        """Why it is of no use, as a clause: why it refused to fork, or the last line that it printed."""
        if self.refused is not None:
            return self.refused
        size = os.fstat(self._output).st_size
        printed = os.pread(self._output, _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace").strip()
        return f"it ended: {(printed or 'it printed nothing').splitlines()[-1]}"

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _fork(self, request: Mapping[str, object], descriptors: Sequence[int], group: int) -> int:
        if (state := self._state()) in _SILENT:
            raise TemplateLost(f"its process is in the state {state}")
        self._socket.settimeout(_ANSWER_SECONDS)
        socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
        answer = self._received()
        self._socket.setblocking(False)
        if isinstance(refused := answer.get("refused"), str):
            self.refused = refused
            raise TemplateLost(refused)
        pid = answer.get("pid")
        if not isinstance(pid, int):
            raise TemplateLost(f"it answered {answer}")
        # Fails if it is not our child. This does not reap it.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        # It moves by itself, but perhaps has not yet. From here on, the guardian has it.
        with contextlib.suppress(ProcessLookupError):
            os.setpgid(pid, group)
        return pid

    def _received(self) -> dict[str, object]:
        data = self._socket.recv(_LARGEST_ANSWER)
        answer = json.loads(data) if data else None
        if not isinstance(answer, dict):
            raise TemplateLost("it ended")
        return answer

    def _state(self) -> str:
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                stat = file.read()
        except (FileNotFoundError, ProcessLookupError):
            return "X"
        # The name is in parentheses and may itself contain parentheses and spaces: the last one closes it.
        return chr(stat[stat.rindex(b")") + 2])
