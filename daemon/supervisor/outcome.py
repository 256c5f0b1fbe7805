"""Decides how a job ended (completed, failed, cancelled or stopped) from what was observed of its worker. Pure.

Success needs all three: a `result`, exit status 0 and an unbroken protocol. `daemon.outbox.publish` checks that the files match
the result.
"""

import signal
from dataclasses import dataclass
from typing import Literal

from daemon.contract.commands import RETRY
from daemon.contract.messages import Error, Result
from daemon.contract.status import ErrorInfo, Source
from daemon.errors import BY_CODE, JobError, OutOfMemory, OutputTooLarge, Timeout, WorkerCrashed

#: Why the supervisor ended a worker. The first reason counts, except that a cancel replaces any other.
Reason = Literal["timeout", "memory", "output", "processes", "guardian", "start", "cancel", "shutdown"]

#: A job that shows no progress for this many seconds, and for half of its time, counts as hanging. The longest stretch without
#: progress in a healthy job is a model's pass over a large picture on a slow machine, and stays well below this.
HANGING_SECONDS = 30.0
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Completed:
    """The worker did the job. Its files are in the attempt folder, and are not checked yet.

    Attributes:
        result: what the worker reported.
        seconds: how long it took.
        peak_bytes: the most memory that its process tree was seen to hold.
    """

    result: Result
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed.

    Attributes:
        error: why.
        retryable: whether another attempt may succeed.
        seconds: how long it took.
        source, warnings: what the worker reported about its picture.
        ready: whether the worker became ready. Before that it reads nothing of its job.
        held_when_killed: bytes that the worker held when the system killed it because other programs used up the memory; None
            if that did not happen.
        held_when_refused: bytes that the worker held when the system refused it more memory. None if that did not happen, or if
            the worker held half of all memory or more.
        elsewhere: the name of the other machine that is at fault; None if the job ran here, or may be at fault itself.
    """

    error: ErrorInfo
    retryable: bool
    seconds: float
    source: Source | None = None
    warnings: tuple[str, ...] = ()
    ready: bool = True
    held_when_killed: int | None = None
    held_when_refused: int | None = None
    elsewhere: str | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was cancelled. `seconds`: how long the attempt took."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The daemon stopped the worker because the daemon itself stops. The attempt does not count. `seconds`: how long it took."""

    seconds: float


Outcome = Completed | Failed | Cancelled | Stopped


@dataclass(frozen=True, slots=True)
class End:
    """What was observed of a worker by the time it was gone.

    Attributes:
        reason: why the supervisor ended it; None if it ended by itself.
        status: the exit status, or minus the number of the signal that ended it; None if not even SIGKILL ended it.
        result, error: what it sent last, if anything.
        violation: how it broke the protocol, a clause that completes "the worker …"; None if it did not.
        tail: the last lines of its output.
        seconds: seconds from the job's `started` (or from sending the job, if it never started) to the end.
        silent_seconds: seconds since its last sign of life.
        still_seconds: seconds since its last progress.
        peak_bytes: the most memory its process tree was seen to hold.
        excess: a sentence that says what it wrote too much of; None if it stayed within the limits.
        timeout_seconds, max_memory_bytes, max_processes: its limits.
        ready: whether it became ready for a job.
        oom_kills: how many processes the system killed for lack of memory during the job; None if the system does not count.
        memory_bytes: the memory that all programs together may use; None if unknown.
    """

    reason: Reason | None
    status: int | None
    result: Result | None
    error: Error | None
    violation: str | None
    tail: str | None
    seconds: float
    silent_seconds: float
    still_seconds: float
    peak_bytes: int
    timeout_seconds: float
    max_memory_bytes: int | None
    excess: str | None = None
    max_processes: int = 0
    ready: bool = True
    oom_kills: int | None = None
    memory_bytes: int | None = None


def judge(end: End) -> Outcome:
    """The outcome of a job whose worker ended in this way."""
    if end.reason == "cancel":
        return Cancelled(end.seconds)
    if end.result is not None and end.status == 0 and end.violation is None:
        # This counts even if the worker was asked to stop: a complete result is worth more than a limit that was exceeded.
        return Completed(end.result, end.seconds, max(end.peak_bytes, end.result.peak_rss))
    if end.reason == "shutdown":
        return Stopped(end.seconds)
    if end.error is not None and end.reason is None and end.violation is None:
        cls = BY_CODE.get(end.error.error.code)
        if cls is not None and cls.exit_status == end.status and cls.code != "cancelled":
            held_when_refused = end.peak_bytes if cls is OutOfMemory and not _held_most(end) else None
            return Failed(
                end.error.error,
                cls.retryable,
                end.seconds,
                end.error.source,
                end.error.warnings,
                held_when_refused=held_when_refused,
            )
    failure = _failure(end)
    source, warnings = (end.error.source, end.error.warnings) if end.error else (None, ())
    # A job that started too many processes would do so again.
    retryable = failure.retryable and not _was_moving(end) and end.reason != "processes"
    held_when_killed = end.peak_bytes if _was_killed(end) and end.oom_kills and not _held_most(end) else None
    return Failed(failure.info(), retryable, end.seconds, source, warnings, ready=end.ready, held_when_killed=held_when_killed)


def _was_moving(end: End) -> bool:
    """Whether the time limit ended a job that was making progress. If so, another attempt would run out of time as well."""
    return end.reason == "timeout" and end.still_seconds < max(HANGING_SECONDS, end.seconds / 2)


def _was_killed(end: End) -> bool:
    """Whether the worker was ended by a SIGKILL that the daemon did not send: by the system to free memory, or by a person."""
    return end.status == -signal.SIGKILL and end.reason is None and end.violation is None


def _held_most(end: End) -> bool:
    """Whether the worker held half of all memory or more. If so, the machine has too little memory for this job."""
    there = end.memory_bytes if end.memory_bytes is not None else end.max_memory_bytes
    return there is not None and end.peak_bytes * 2 >= there


def _killed(end: End) -> JobError:
    """The error after a SIGKILL from outside: `out_of_memory` if the worker held most memory, unless 0 kills were counted."""
    held = _mb(end.peak_bytes)
    if _held_most(end) and end.oom_kills != 0:
        return OutOfMemory(
            f"The system killed the worker because memory ran out; it used {held}, more than everything else.", detail=end.tail
        )
    if end.oom_kills:
        return WorkerCrashed(
            f"The system killed the worker because this machine ran out of memory; it used only {held}.", detail=end.tail
        )
    return WorkerCrashed(
        f"Someone or another program killed the worker (SIGKILL); it had used at most {held} of memory.", detail=end.tail
    )


def _failure(end: End) -> JobError:
    if end.reason == "timeout":
        return _timeout(end)
    if end.reason == "memory":
        limit = end.max_memory_bytes or 0
        return OutOfMemory(
            f"The job was stopped after it had used {_mb(end.peak_bytes)} of memory; the limit is {_mb(limit, up=False)}.",
            hint=f"Use a smaller picture or fewer layers, or raise worker.max_memory_share in the settings, then: {RETRY}.",
            detail=end.tail,
        )
    if end.reason == "output":
        return OutputTooLarge(end.excess or "The job wrote more than a result may contain.", detail=end.tail)
    if _was_killed(end):
        return _killed(end)
    return WorkerCrashed(f"The worker {_crash(end)}.", detail=_detail(end))


def _timeout(end: End) -> JobError:
    limit = end.timeout_seconds
    sentence = f"The job took longer than the allowed {'second' if limit == 1 else f'{limit:g} seconds'}"
    # Leave out the time after the limit, in which the worker was only expected to end.
    silent = min(end.silent_seconds - max(0.0, end.seconds - limit), limit)
    if silent > limit / 2:
        sentence += f"; the worker gave no sign of life for the last {silent:.0f} of them"
    if end.status is None:
        sentence += "; its process hangs in the system and could not be ended"
    return Timeout(sentence + ".", detail=end.tail)


def _crash(end: End) -> str:
    """A clause that says how the worker failed."""
    if end.status is None:
        return "hangs in the system (a disk or a share that does not answer?) and could not be ended"
    if end.violation is not None:
        return end.violation
    if end.reason == "guardian":
        return "lost its guardian process and was stopped, since it could have outlived the daemon"
    if end.reason == "processes":
        return f"started more than {end.max_processes} processes and was ended with all of them"
    if end.reason == "start":
        return "did not load everything it needs in time"
    if end.status < 0:
        return f"was ended by signal {-end.status} ({_signal_name(-end.status)})"
    if end.error is not None and end.error.error.code == "cancelled":
        return "was asked to stop by a SIGTERM that the daemon did not send"
    if end.error is not None:
        return f"reported {end.error.error.code} and then ended with exit status {end.status}, which contradict each other"
    if end.result is not None:
        return f"reported a result and then ended with exit status {end.status}"
    if end.status == 0:
        return "ended without a result and without saying why"
    return f"ended with exit status {end.status} without saying why"


def _detail(end: End) -> str | None:
    """The error that the worker reported, even if it was not believed, then the end of its output; None if there is neither."""
    if end.error is None:
        return end.tail
    info = end.error.error
    parts = (f"{info.code}: {info.message}", info.detail, end.tail)
    return "\n".join(part for part in parts if part)


def _signal_name(number: int) -> str:
    meaning = signal.strsignal(number)
    try:
        name = signal.Signals(number).name
    except ValueError:
        # Real-time signals only have numbers.
        name = "a signal without a name"
    return f"{name}, {meaning.lower()}" if meaning else name


def _mb(size: int, *, up: bool = True) -> str:
    """A size in whole MB. Limits are rounded down and sizes rounded up, so that a size above a limit never looks equal to it."""
    return f"{-(-size // _MB) if up else size // _MB:,} MB"
