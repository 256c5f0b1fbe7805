"""The worker: one process, one job. Commands arrive on standard input; events leave on descriptor 3.

The order: send `hello` at once; import; warm up until a command arrives; send `ready`; read the one command; import what the
job needs beyond that; send `started`; run the recipe; send a `result` or an `error`. The exit status is 0 or that of the error.
Whatever the worker and its libraries print goes to standard output and error, which the daemon keeps as job.log. No output can
reach the events or the commands by accident, because both are first moved to other descriptors.

A cancel message and SIGTERM mean the same: the signal's handler stops the main thread with an exception that no `except
Exception` catches. This cannot stop C code that does not return; the daemon kills the worker after the grace period. If
standard input closes before a job arrives, the worker ends silently. If it closes during a job, the job continues: the
guardian, not the pipe, ends a worker whose daemon is gone.
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

#: As in `daemon.contract.messages`, which is not imported yet when the first message is sent.
_PROTOCOL_VERSION, _EVENT_FD = 1, 3
#: Seconds between heartbeats, and at least between progress events: ten a second look smooth and cost nothing.
_HEARTBEAT_SECONDS, _PROGRESS_SECONDS = 5.0, 0.1
#: The most characters of a traceback: its end, which names the error.
_DETAIL_CHARACTERS = 4000
#: How libraries say "out of memory": OpenCV's StsNoMem, torch's CPU allocator.
_MEMORY_WORDS = ("insufficient memory", "can't allocate memory", "not enough memory", "out of memory")


class _Serializable(Protocol):
    def model_dump_json(self) -> str: ...


class _Stop(BaseException):
    """Raised in the main thread to stop the job."""


class Channel:
    """Sends events to the daemon, from any thread. It can also stop the main thread, but never in the middle of a line."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._main_is_sending = False
        self._asked_to_stop = False

    def send_last(self, event: _Serializable) -> None:
        """Send how the job ended. After this, a request to stop has no effect: nothing is left to stop."""
        _ignore_stops()
        self.send(event)

    def send(self, event: _Serializable) -> None:
        """Send one whole event."""
        self.send_line(event.model_dump_json())

    def send_line(self, line: str) -> None:
        """Send one whole line. If a stop is requested meanwhile, stop when the line is sent."""
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
        """The handler of SIGTERM: stops the main thread. Further signals are ignored, so that the end is not disturbed."""
        _ignore_stops()
        if self._main_is_sending:
            self._asked_to_stop = True
        else:
            raise _Stop


def _ignore_stops() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main(events_fd: int, warm: "Warm", policy: str | None = None) -> NoReturn:
    """Run a worker. Ends the process; never returns.

    At the end, the process exits at once (`os._exit`). Everything is written and sent by then. The shutdown of thread pools and
    graphics drivers may hang or crash, which would spoil a good result.

    Args:
        events_fd: the inherited descriptor of the pipe for events.
        warm: what to import before the job is known.
        policy: this worker's sandbox, from `daemon.platform.sandbox`: JSON with `read`, `devices`, `run` and `own`. The worker
            enters the sandbox before it imports anything risky; if that fails, it does no job. None: no sandbox.
    """
    faulthandler.enable()
    channel = Channel(_move_events(events_fd))
    commands = _move_commands()
    signal.signal(signal.SIGTERM, channel.stop)
    signal.signal(signal.SIGINT, channel.stop)
    # This handler is C code, so job.log shows where the job was even if the job hangs and holds the interpreter's lock.
    faulthandler.register(signal.SIGTERM, all_threads=False, chain=True)
    status = 1
    try:
        channel.send_line(json.dumps({"type": "hello", "protocol": _PROTOCOL_VERSION, "pid": os.getpid()}))
        if policy is not None:
            _enter_sandbox(policy)
        status = _run_worker(channel, commands, warm)
    except _Stop:
        from daemon.errors import Cancelled

        status = Cancelled.exit_status
    except BaseException:  # noqa: BLE001 - nothing above catches it; it must be in job.log, and the process must end
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _move_events(fd: int) -> int:
    """Move the events to the protocol's descriptor. Programs that the worker starts do not inherit it."""
    if fd != _EVENT_FD:
        os.dup2(fd, _EVENT_FD, inheritable=False)
        os.close(fd)
    os.set_inheritable(_EVENT_FD, False)
    return _EVENT_FD


def _move_commands() -> int:
    """Move the commands to another descriptor; code that reads standard input then finds nothing."""
    commands = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return commands


def _enter_sandbox(policy: str) -> None:
    from pipeline.worker import sandbox

    wanted = json.loads(policy)
    sandbox.enter(wanted["read"], wanted["devices"], wanted["own"], wanted.get("run", ()))


def _run_worker(channel: Channel, commands_fd: int, warm: "Warm") -> int:
    """Import, warm up, read one command, do one job; returns the exit status."""
    from pipeline.worker import preload

    preload.load(warm)
    from daemon.contract.messages import COMMAND, JobCommand, Ready

    _warm_up(commands_fd)
    channel.send(Ready(warm=warm))
    # Never closed: the listening thread reads from it for as long as the job runs, and closing would wait for that thread.
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


def _warm_up(commands_fd: int) -> None:
    """Do in advance what does not depend on the job, until a command arrives. A cold worker's command arrives at once."""
    from pipeline.worker.warm_up import warm_up

    try:
        warm_up(lambda: bool(select.select([commands_fd], [], [], 0)[0]))
    except Exception as error:  # noqa: BLE001 - only time is lost: if the job fails too, it will report it
        sys.stderr.write(f"The warm-up ended early: {type(error).__name__}: {error}\n")


def _listen(readline: Callable[[], bytes]) -> None:
    """Wait for a cancel message. Other commands that arrive after the job, and the end of the stream, have no effect."""
    from daemon.contract.messages import COMMAND, CancelCommand

    while line := readline():
        if isinstance(COMMAND.validate_json(line), CancelCommand):
            # Sent to the process, so that the handler runs in the main thread and interrupts a system call there.
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _beat(channel: Channel) -> None:
    """Send heartbeats from a separate thread."""
    from daemon.contract.messages import Heartbeat

    while True:
        channel.send(Heartbeat(rss=_resident()))
        time.sleep(_HEARTBEAT_SECONDS)


def _resident() -> int:
    """Bytes of memory that this process holds now."""
    try:
        # proc_pid_statm(5). Loading psutil for this one number would cost every worker 15 ms.
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
        channel.send_last(_run(channel, command))
    except (_Stop, Exception) as error:  # noqa: BLE001 - every reason becomes a code of the error tree
        failure = classify(error)
        sys.stderr.write(told(error))
        channel.send_last(Error(error=failure.info()))
        return failure.exit_status
    return 0


def _run(channel: Channel, command: "JobCommand") -> "Result":
    import cv2

    from pipeline.run import run

    cv2.setNumThreads(command.threads)
    result = run(command, _Reporter(channel))
    return result.model_copy(update={"peak_rss": _peak_rss()})


class _Reporter:
    """Passes on progress: each new stage at once, progress within a stage at most ten times a second."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stage = ""
        self._next = 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        """Report that the job is in `stage` and that `fraction` of the whole job is done.

        Rounding errors outside 0…1 are clipped.
        """
        from daemon.contract.messages import ProgressEvent

        now = time.monotonic()
        if stage == self._stage and now < self._next:
            return
        self._stage, self._next = stage, now + _PROGRESS_SECONDS
        self._channel.send(ProgressEvent(stage=stage, fraction=min(max(fraction, 0.0), 1.0)))


def told(error: BaseException) -> str:
    """What job.log says about the exception that stopped a job: a traceback, unless the job was refused for what it is."""
    from daemon import errors

    refusals = (
        errors.ImageType, errors.ImageTooLarge, errors.ImageUnreadable, errors.SourceMissing, errors.SourceChanged,
        errors.DepthMissing, errors.DepthUnreadable, errors.WeightsMissing, errors.LicenceNotAccepted, errors.DeviceUnavailable,
    )  # fmt: skip
    if not isinstance(error, refusals):
        return "".join(traceback.format_exception(error))
    return "".join(f"{line}\n" for line in (f"{error.code}: {error.message}", error.detail) if line)


def classify(error: BaseException) -> "JobError":
    """The JobError that corresponds to the exception that stopped a job."""
    from daemon.errors import Cancelled, DiskFull, Internal, JobError, OutOfMemory, WorkerCrashed, is_passing

    if isinstance(error, JobError):
        return error
    if isinstance(error, _Stop):
        return Cancelled("The job was cancelled while it was running.")
    detail = "".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:]
    if _is_out_of_memory(error):
        return OutOfMemory("There was not enough memory for the job.", detail=detail)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("There is no space left on the disk of the outbox.", detail=detail)
    if is_passing(error):
        # The daemon retries the job, and finds out whether the picture or the system was at fault.
        return WorkerCrashed(f"The disk or the system failed the job: {error}.", detail=detail)
    return Internal(f"The program failed on this picture: {type(error).__name__}: {error}", detail=detail)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = str(error).lower()
    # OpenCV's cv2.error is a plain Exception, and torch's CPU allocator raises RuntimeError.
    return type(error).__name__ in ("error", "RuntimeError") and any(word in words for word in _MEMORY_WORDS)


def _peak_rss() -> int:
    """The most bytes of memory that this process has held."""
    import resource

    # getrusage(2): kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
