"""Decides whose fault a failure is: this job's, or the machine's. Pure: takes evidence and returns a cause.

A cause in the machine pauses the queue, counts as no attempt and discards no finished result. ARCHITECTURE.md has the table:
cause, evidence, whose fault, what happens. `daemon.health.system_health` collects the evidence.
"""

from dataclasses import dataclass
from typing import Literal

from daemon.contract.commands import command

Kind = Literal["program", "room", "writing", "memory", "start"]

#: Errors that the machine may have caused: those of a worker that cannot write or import, and of one that died silently.
SUSPICIOUS = ("worker_crashed", "internal", "disk_full")
#: A full disk shows as one of these; `internal` would be a fault of another kind.
_ROOM = ("worker_crashed", "disk_full")
#: How often a job is excused although the machine had recovered in between. After that it is charged, so that every job ends.
MAX_EXCUSES = 10


@dataclass(frozen=True, slots=True)
class Cause:
    """A fault of the machine: a clause that says why nothing is started, and what to do about it."""

    kind: Kind
    problem: str
    hint: str


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed.

    Attributes:
        code: of its error.
        attempt: its folder in .work/; None if there is none.
        ready: whether the worker became ready. Before that it reads nothing of its job, so the job cannot be at fault.
        starved: the system killed the worker because others used up the memory: how many bytes the worker held. None: it did
            not.
        wanting: the worker itself found no memory, although it held less than half of it: how many bytes it held. None: it did
            not.
        disk: the disk's error when the daemon itself worked on a result; None: no error.
        excused: how often this job was excused before.
    """

    code: str
    attempt: str | None = None
    ready: bool = True
    starved: int | None = None
    wanting: int | None = None
    disk: str | None = None
    excused: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about the machine after the failure.

    Attributes:
        changed: the program on the disk is not the one that the daemon was started from.
        full: there is no disk space, even without counting what the attempt wrote.
        short: although the worker is gone, less memory is free than the smallest job needs.
        writing: why nothing can be written into the outbox, from a real write; None if it can.
        starting: why a worker without a job did not become ready; None if it did, or if none was tried.
    """

    changed: bool = False
    full: bool = False
    short: bool = False
    writing: str | None = None
    starting: str | None = None


def judge(failure: Failure, seen: Evidence) -> Cause | None:
    """The cause of a failure if the machine is at fault; None if the job is, as far as this evidence shows."""
    if seen.changed:
        # A worker made of parts of two programs, or one that speaks another version's protocol, cannot be believed.
        return program_changed()
    if seen.full and failure.code in _ROOM:
        return Cause("room", "the disk is full", "Free some space on it; work then resumes automatically. Nothing is lost.")
    if failure.excused >= MAX_EXCUSES:
        return None
    if failure.disk is not None:
        return not_writable(failure.disk)
    if not failure.ready:
        return no_start(seen.starting or "the last one ended before it was ready for its job")
    if failure.starved is not None:
        return no_memory(failure.starved)
    if failure.wanting is not None and seen.short:
        return no_memory(failure.wanting, "gave no more to")
    if failure.code not in SUSPICIOUS:
        return None
    if seen.writing is not None:
        return not_writable(seen.writing)
    return no_start(seen.starting) if seen.starting is not None else None


def program_changed(why_not: str | None = None) -> Cause:
    """The program or its interpreter was replaced or removed. `why_not`: why the one on the disk cannot start."""
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
    """Nothing can be written into the outbox; `why` is the system's error."""
    return Cause(
        "writing",
        f"nothing can be written into the outbox: {why}",
        "Check its disk; work resumes automatically as soon as it can be written to. Nothing is lost.",
    )


def no_memory(held: int, did: str = "ended") -> Cause:
    """The machine ran out of memory while a worker held `held` bytes. `did`: what the system did to the worker."""
    return Cause(
        "memory",
        f"the memory of this machine ran out, and the system {did} a worker that held only {-(-held >> 20):,} MiB of it",
        "Close other programs; work then resumes automatically. Nothing is lost.",
    )


def no_start(why: str) -> Cause:
    """Workers cannot start, whatever their job."""
    return Cause(
        "start",
        f"no worker can be started: {why}",
        f"It is retried automatically. If it keeps failing, check Python and the program with: {command('doctor')}",
    )
