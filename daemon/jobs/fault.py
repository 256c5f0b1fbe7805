"""Decides whether a failure is the job's fault or the machine's. Pure: takes evidence and returns a cause.

If the machine is at fault, the queue pauses, the attempt does not count, and a finished result is kept. ARCHITECTURE.md has a
table of causes. `daemon.health.system_health` collects the evidence.
"""

from dataclasses import dataclass
from typing import Literal

from daemon.contract.commands import command

Kind = Literal["program", "room", "writing", "memory", "start"]

#: Codes of errors that the machine may have caused: the worker could not write or import, or died without a message.
SUSPICIOUS = ("worker_crashed", "internal", "disk_full")
#: Codes of errors that a full disk may cause.
_ROOM = ("worker_crashed", "disk_full")
#: How often a job may be excused, although the machine recovered each time. After that its failures count, so that every job
#: ends.
MAX_EXCUSES = 10


@dataclass(frozen=True, slots=True)
class Cause:
    """A fault of the machine: its kind, a clause that says why no job is started, and what to do about it."""

    kind: Kind
    problem: str
    hint: str


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed.

    Attributes:
        code: the code of the error.
        attempt: the name of the attempt's folder in .work/; None if there is none.
        ready: whether the worker became ready. Before that it reads nothing of its job, so the job cannot be at fault.
        held_when_killed: bytes that the worker held when the system killed it because other programs used up the memory; None
            if that did not happen.
        held_when_refused: bytes that the worker held when the system refused it more memory. None if that did not happen, or if
            the worker held half of all memory or more.
        disk: the error that the disk reported while the daemon checked or synced a result; None if it reported none.
        excused: how often this job was excused before.
    """

    code: str
    attempt: str | None = None
    ready: bool = True
    held_when_killed: int | None = None
    held_when_refused: int | None = None
    disk: str | None = None
    excused: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about the machine after the failure.

    Attributes:
        changed: whether the program on the disk differs from the one that the daemon was started from.
        full: whether the disk would be full even without the files that the attempt wrote.
        short: whether less memory is free than the smallest job needs, although the worker is gone.
        writing: the error of an attempt to write into the outbox; None if it succeeded, or was not made.
        starting: why a worker without a job did not become ready; None if it did, or if none was started.
    """

    changed: bool = False
    full: bool = False
    short: bool = False
    writing: str | None = None
    starting: str | None = None


def judge(failure: Failure, seen: Evidence) -> Cause | None:
    """The cause if the evidence shows that the machine is at fault; None if the job is at fault."""
    if seen.changed:
        # The worker may consist of parts of two programs, or speak another version's protocol, so its error means nothing.
        return program_changed()
    if seen.full and failure.code in _ROOM:
        return Cause("room", "the disk is full", "Free some space on it; work then resumes automatically. Nothing is lost.")
    if failure.excused >= MAX_EXCUSES:
        return None
    if failure.disk is not None:
        return not_writable(failure.disk)
    if not failure.ready:
        return no_start(seen.starting or "the last one ended before it was ready for its job")
    if failure.held_when_killed is not None:
        return no_memory(failure.held_when_killed)
    if failure.held_when_refused is not None and seen.short:
        return no_memory(failure.held_when_refused, "gave no more to")
    if failure.code not in SUSPICIOUS:
        return None
    if seen.writing is not None:
        return not_writable(seen.writing)
    return no_start(seen.starting) if seen.starting is not None else None


def program_changed(why_not: str | None = None) -> Cause:
    """The cause "program": the program was changed since the start. `why_not`: why it cannot start now; None if unknown."""
    if why_not is None:
        return Cause(
            "program",
            "the program or its configuration was changed since this daemon started",
            "You need not do anything: the daemon finishes the running jobs, then restarts with the new program.",
        )
    return Cause(
        "program",
        f"the program or its configuration was changed, and it cannot be started as it is: {why_not}",
        "Finish the update, or correct what is named here; work then resumes automatically. Nothing is lost.",
    )


def not_writable(why: str) -> Cause:
    """The cause "writing": nothing can be written into the outbox. `why`: the system's error."""
    return Cause(
        "writing",
        f"nothing can be written into the outbox: {why}",
        "Check its disk; work resumes automatically as soon as it can be written to. Nothing is lost.",
    )


def no_memory(held: int, did: str = "ended") -> Cause:
    """The cause "memory": memory ran out while a worker held `held` bytes. `did`: what the system did to the worker."""
    return Cause(
        "memory",
        f"the memory of this machine ran out, and the system {did} a worker that held only {-(-held // 1_000_000):,} MB of it",
        "Close other programs; work then resumes automatically. Nothing is lost.",
    )


def no_start(why: str) -> Cause:
    """The cause "start": no worker can start, whatever its job. `why`: a clause."""
    return Cause(
        "start",
        f"no worker can be started: {why}",
        f"It is retried automatically. If it keeps failing, check Python and the program with: {command('doctor')}",
    )
