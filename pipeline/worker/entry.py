"""The worker: one process, one job. Commands come in on standard input, events go out on descriptor 3.

It says `hello` at once, imports, rehearses until a command is there, says `ready`, takes its one command, imports what the job
needs beyond that, says `started`, runs the recipe and reports a `result` or an `error`; it exits with 0 or with the error's
exit status. What it and its libraries print goes to standard output and error, which the daemon keeps as job.log; neither of
them can reach the events or the commands by accident, since both are moved out of the way first.

A cancel message and SIGTERM mean the same and take the same way: the signal's handler stops the main thread with an exception
that no `except Exception` catches. C code that does not return cannot be stopped so; the daemon kills it after its grace.
If standard input closes before a job came, the worker ends without a word. If it closes during a job, the job goes on:
the guardian, not the pipe, ends a worker whose daemon is gone.
"""

import errno
import faulthandler
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, Protocol

if TYPE_CHECKING:
    from daemon.contract.messages import JobCommand, Result, Warm
    from daemon.errors import JobError

#: Also in `daemon.contract.messages`, which is not imported yet when the first words are said.
_PROTOCOL_VERSION, _EVENT_FD = 1, 3
#: Signs of life, and how often movement is shown at most: ten times a second looks smooth and costs nothing.
_HEARTBEAT_SECONDS, _PROGRESS_SECONDS = 5.0, 0.1
#: Of a traceback, the end, where the fault is.
_DETAIL_CHARACTERS = 4000
#: Libraries say "out of memory" in words of their own: OpenCV's StsNoMem, torch's CPU allocator.
_MEMORY_WORDS = ("insufficient memory", "can't allocate memory", "not enough memory", "out of memory")


class _Serializable(Protocol):
    def model_dump_json(self) -> str: ...


class _Stop(BaseException):
    """Raised in the main thread to stop the job."""


class Channel:
    """The events' pipe, for all threads; and the switch that stops the main thread, but never in the middle of a line."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._main_is_sending = False
        self._asked_to_stop = False

    def last_words(self, event: _Serializable) -> None:
        """Send how the job ended. From here on nothing stops the worker but its own end: it has nothing left to stop."""
        _ignore_stops()
        self.send(event)

    def send(self, event: _Serializable) -> None:
        """Send one event, whole."""
        self.send_line(event.model_dump_json())

    def send_line(self, line: str) -> None:
        """Send one line, whole; if the job was to be stopped meanwhile, stop then."""
        rest = line.encode() + b"\n"
        main = threading.current_thread() is threading.main_thread()
        if main:
            self._main_is_sending = True
        with self._lock:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        if main:
            self._main_is_sending = False
            if self._asked_to_stop:
                self._asked_to_stop = False
                raise _Stop

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """The handler of SIGTERM: stop the main thread; further signals are ignored, so that the end is undisturbed."""
        _ignore_stops()
        if self._main_is_sending:
            self._asked_to_stop = True
        else:
            raise _Stop


def _ignore_stops() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main(events_fd: int, warm: "Warm", fence: str | None = None) -> NoReturn:
    """Be a worker. `events_fd`: where the events' pipe was inherited. Ends the process; never returns.

    `fence` is what `daemon.platform.sandbox` wrote for this worker: JSON with `read`, `devices` and `own`. It is set up before
    anything is imported that could be made to misbehave; a worker that cannot put it up does no job.

    The end is immediate (`os._exit`): everything is written and said by then, and the tear-down of thread pools and graphics
    drivers may hang or crash, which would make a good result look bad.
    """
    faulthandler.enable()
    os.umask(0o022)  # results are for everybody who may look into the outbox
    channel = Channel(_move_events(events_fd))
    commands = _move_commands()
    signal.signal(signal.SIGTERM, channel.stop)
    signal.signal(signal.SIGINT, channel.stop)
    # C code in the signal's own handler: job.log shows where the job was, even if it hangs with the interpreter held.
    faulthandler.register(signal.SIGTERM, all_threads=False, chain=True)
    status = 1
    try:
        channel.send_line(json.dumps({"type": "hello", "protocol": _PROTOCOL_VERSION, "pid": os.getpid()}))
        if fence is not None:
            _confine(fence)
        status = _live(channel, commands, warm)
    except _Stop:
        from daemon.errors import Cancelled

        status = Cancelled.exit_status
    except BaseException:  # noqa: BLE001 - the last stop: whatever it is, it must be in job.log and the process must end
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _move_events(fd: int) -> int:
    """The events on the protocol's descriptor, kept from programs that the worker may start."""
    if fd != _EVENT_FD:
        os.dup2(fd, _EVENT_FD, inheritable=False)
        os.close(fd)
    os.set_inheritable(_EVENT_FD, False)
    return _EVENT_FD


def _move_commands() -> int:
    """The commands on a descriptor of their own; who reads standard input finds nothing."""
    commands = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return commands


def _confine(fence: str) -> None:
    from pipeline.worker import sandbox

    wanted = json.loads(fence)
    sandbox.confine(wanted["read"], wanted["devices"], wanted["own"])


def _live(channel: Channel, commands_fd: int, warm: "Warm") -> int:
    """Imports, a rehearsal, one command, one job; returns the exit status."""
    from pipeline.worker import preload

    preload.load(warm)
    from daemon.contract.messages import COMMAND, JobCommand, Ready

    _rehearse(commands_fd)
    channel.send(Ready(warm=warm))
    # Never closed: the listening thread sits in it for as long as the job runs, and closing would wait for that thread.
    commands = os.fdopen(commands_fd, "rb")
    line = commands.readline()
    if not line:
        return 0
    command = COMMAND.validate_json(line)
    if not isinstance(command, JobCommand):
        return 0
    threading.Thread(target=_listen, args=(commands.readline,), name="commands", daemon=True).start()
    threading.Thread(target=_beat, args=(channel,), name="heartbeat", daemon=True).start()
    return _work(channel, command)


def _rehearse(commands_fd: int) -> None:
    """Do in advance what does not hang on the job, for as long as no command is there; a cold worker has its command at once."""
    from daemon.errors import JobError
    from pipeline.worker.warm_up import rehearse

    try:
        rehearse(lambda: bool(select.select([commands_fd], [], [], 0)[0]))
    except (OSError, JobError) as error:
        # Only the time is lost: what is wrong with the disk or the installation, the job will say.
        sys.stderr.write(f"The rehearsal ended early: {error}\n")


def _listen(readline: Callable[[], bytes]) -> None:
    """Wait for a cancel; anything else after the job, or the end of the stream, changes nothing."""
    from daemon.contract.messages import COMMAND, CancelCommand

    while line := readline():
        if isinstance(COMMAND.validate_json(line), CancelCommand):
            # To the process, so that the handler runs in the main thread and a waiting system call there is interrupted.
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _beat(channel: Channel) -> None:
    """Signs of life, from a thread of its own."""
    from daemon.contract.messages import Heartbeat

    while True:
        channel.send(Heartbeat(rss=_resident()))
        time.sleep(_HEARTBEAT_SECONDS)


def _resident() -> int:
    """Bytes of memory this process holds now."""
    try:
        # proc_pid_statm(5). Loading psutil for this one number would take every worker 15 ms.
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except FileNotFoundError:
        import psutil

        return int(psutil.Process().memory_info().rss)


def _work(channel: Channel, command: "JobCommand") -> int:
    """Do the job; returns the exit status."""
    from daemon.contract.messages import Error, Started
    from pipeline.worker import preload

    try:
        preload.load(command.warm)
        channel.send(Started(job_id=command.job_id, at=time.monotonic()))
        channel.last_words(_run(channel, command))
    except (_Stop, Exception) as error:  # noqa: BLE001 - every reason becomes a code of the error tree
        failure = classify(error)
        traceback.print_exception(error)
        channel.last_words(Error(error=failure.info()))
        return failure.exit_status
    return 0


def _run(channel: Channel, command: "JobCommand") -> "Result":
    import cv2

    from pipeline.run import run

    cv2.setNumThreads(command.threads)
    result = run(command, _Reporter(channel))
    return result.model_copy(update={"peak_rss": _peak_rss()})


class _Reporter:
    """Passes progress on: each new stage at once, movement within a stage ten times a second at most."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stage = ""
        self._next = 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        """Report that the job is in `stage` and the share `fraction` of the whole job is done; rounding outside 0…1 is cut."""
        from daemon.contract.messages import ProgressEvent

        now = time.monotonic()
        if stage == self._stage and now < self._next:
            return
        self._stage, self._next = stage, now + _PROGRESS_SECONDS
        self._channel.send(ProgressEvent(stage=stage, fraction=min(max(fraction, 0.0), 1.0)))


def classify(error: BaseException) -> "JobError":
    """The place in the error tree of whatever stopped a job."""
    from daemon.errors import Cancelled, DiskFull, Internal, JobError, OutOfMemory, WorkerCrashed, is_passing

    if isinstance(error, JobError):
        return error
    if isinstance(error, _Stop):
        return Cancelled("The job was cancelled while it was running.")
    detail = "".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:]
    if _is_out_of_memory(error):
        return OutOfMemory("There was not enough memory for the job.", detail=detail)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("There is no room left on the disk of the outbox.", detail=detail)
    if is_passing(error):
        # Tried again, and whose fault it is the daemon finds out.
        return WorkerCrashed(f"The disk or the system failed the job: {error}.", detail=detail)
    return Internal(f"The program failed on this picture: {type(error).__name__}: {error}", detail=detail)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = str(error).lower()
    # OpenCV's cv2.error is an Exception of its own, torch's CPU allocator raises RuntimeError.
    return type(error).__name__ in ("error", "RuntimeError") and any(word in words for word in _MEMORY_WORDS)


def _peak_rss() -> int:
    """Bytes of memory this process held at most."""
    import resource

    # getrusage(2): kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
