"""What the daemon and a machine tell each other. They travel as JSON texts in calls of Dask's own connections.

A machine is believed no more than a worker is: what it sends is checked against these models, which have bounds, and its files
are checked when they are published.
"""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from daemon import __version__
from daemon.contract.bounds import Bytes, Count, Name, Path, Seconds, Sentence, Share, Warnings, Word
from daemon.contract.messages import JobCommand, Result
from daemon.contract.status import ErrorInfo, Frozen, Source
from daemon.supervisor import Cancelled, Completed, Failed, Outcome, Stopped
from daemon.supervisor.code import program_files

#: Bytes of a file in one message. At most two such pieces of each attempt are in memory at once.
PIECE = 4 << 20
#: Bytes that are fetched of each file of a result at first, and of how many files in one message: together, at most a piece.
FIRST, TOGETHER = 64 << 10, 64
#: Bytes of a job's log in one report.
LOG_PIECE = 64 << 10
#: The most entries of a list that a machine may send.
_MANY = 4096

Attempt = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


def program_mark() -> str:
    """A short name for exactly this program: its version, and a hash of all its files."""
    digest = hashlib.sha256()
    for name, path in program_files():
        digest.update(name.encode() + b"\0")
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{__version__}-{digest.hexdigest()[:12]}"


class SentFile(Frozen):
    """A file of the job that the machine needs: its name in source/, its size in bytes, and its time in ns since 1970."""

    name: Name
    bytes: Bytes
    mtime_ns: int


class Shared(Frozen):
    """Where the attempt and its source are on the share, relative to it, if the machine has mounted it too.

    The folder of the attempt has a random name that only the daemon and this machine know, so whoever finds it, and the marker of
    the outbox, sees the same share.
    """

    outbox: Path = Field(description="the outbox, relative to the share")
    source: Path = Field(description="the source folder, relative to the share")
    attempt: Path = Field(description="the attempt's folder, relative to the share")


class Order(Frozen):
    """Tells a machine to run the attempt that has a seat there. Paths in `command` are replaced by the machine's own."""

    command: JobCommand
    timeout_seconds: Seconds
    files: tuple[SentFile, ...] = Field(max_length=8)
    shared: Shared | None = None


class Known(Frozen):
    """What the daemon knows of an attempt: how many bytes of its log, the number of its last progress, and whether it ended."""

    log: Count = 0
    progress: Count = 0
    ended: bool = False


class Asked(Frozen):
    """Asks a machine what is new. This is also the daemon's sign of life: attempts that it does not name are ended.

    Attributes:
        home: identifies the home, so that a restarted daemon is known as the same.
        daemon: identifies this process of the daemon.
        attempts: the attempts on this machine that the daemon still names, and what it knows of each.
        seconds: how long the answer may take if nothing is new.
    """

    home: Word
    daemon: Word
    attempts: dict[Attempt, Known] = Field(default_factory=dict, max_length=_MANY)
    seconds: Seconds


class Progressed(Frozen):
    """How far an attempt is."""

    stage: Word
    fraction: Share


class CompletedEnd(Frozen):
    """The job is done; its files are on the machine, or on the share if `delivered`."""

    kind: Literal["completed"] = "completed"
    result: Result
    seconds: Seconds
    peak_bytes: Bytes
    delivered: bool


class FailedEnd(Frozen):
    """The attempt failed. `machine`: whether the machine is at fault, not the job."""

    kind: Literal["failed"] = "failed"
    error: ErrorInfo
    retryable: bool
    seconds: Seconds
    source: Source | None = None
    warnings: Warnings = ()
    machine: bool = False


class CancelledEnd(Frozen):
    """The attempt was cancelled."""

    kind: Literal["cancelled"] = "cancelled"
    seconds: Seconds


class StoppedEnd(Frozen):
    """The machine ended the attempt because it stops, or because it missed the daemon."""

    kind: Literal["stopped"] = "stopped"
    seconds: Seconds


End = Annotated[CompletedEnd | FailedEnd | CancelledEnd | StoppedEnd, Field(discriminator="kind")]


class AttemptReport(Frozen):
    """What is new about one attempt.

    `gone`: the machine knows nothing of it. `log`: further output of the worker; each character is one byte (Latin-1). `end`: how
    it ended; null while it runs.
    """

    attempt: Attempt
    gone: bool = False
    progress: Progressed | None = None
    progress_number: Count = 0
    log: Annotated[str, Field(max_length=LOG_PIECE)] = ""
    end: End | None = None


class Report(Frozen):
    """The answer to `Asked`: which attempts have taken a seat, and what is new about those that the daemon names."""

    seats: tuple[Attempt, ...] = Field((), max_length=_MANY)
    attempts: tuple[AttemptReport, ...] = Field((), max_length=_MANY)


class About(Frozen):
    """What a machine says about itself in its heartbeats to the scheduler.

    Attributes:
        name: its name.
        version: the version of the program.
        program: `program_mark`.
        slots: how many jobs it runs at once.
        models: the installed models, each as `name@revision`.
        devices: where models can run.
        formats: what it can write: words of `formats`, and what encodes its videos (`daemon.platform.encoder`).
        lists: a hash of the lists of styles and of models that it uses.
        jobs: the ids of the running jobs.
        problem: why it takes no jobs at the moment; null if it does.
    """

    name: Name
    version: Word
    program: Word
    slots: int = Field(ge=1, le=1024)
    models: tuple[Word, ...] = Field((), max_length=_MANY)
    devices: tuple[Word, ...] = Field((), max_length=16)
    formats: tuple[Word, ...] = Field((), max_length=64)
    lists: Word = ""
    jobs: tuple[Word, ...] = Field((), max_length=1024)
    problem: Sentence | None = None


EndOfAttempt = CompletedEnd | FailedEnd | CancelledEnd | StoppedEnd


class ClusterMachine(Frozen):
    """A machine of the cluster.

    Attributes:
        address: where its worker is.
        about: what it says about itself.
        same_program: whether it has exactly the program of this machine.
        same_lists: whether it has the same `styles.yaml` and `models.yaml` as this machine, or both have none.
    """

    address: str
    about: About
    same_program: bool
    same_lists: bool

    @property
    def alike(self) -> bool:
        """Whether jobs of this machine may run there: the program and the lists are the same."""
        return self.same_program and self.same_lists


class ClusterSurvey(Frozen):
    """The cluster. `program`, `lists`: those of this machine, as in `About`."""

    scheduler: str
    version: str
    program: str
    lists: str
    machines: tuple[ClusterMachine, ...]


def end_of(outcome: Outcome, *, delivered: bool = False, machine: bool = False) -> EndOfAttempt:
    """An outcome as a machine reports it."""
    match outcome:
        case Completed(result=result, seconds=seconds, peak_bytes=peak):
            return CompletedEnd(result=result, seconds=seconds, peak_bytes=peak, delivered=delivered)
        case Failed():
            return FailedEnd(
                error=outcome.error,
                retryable=outcome.retryable,
                seconds=outcome.seconds,
                source=outcome.source,
                warnings=outcome.warnings,
                machine=machine,
            )
        case Cancelled(seconds=seconds):
            return CancelledEnd(seconds=seconds)
        case Stopped(seconds=seconds):
            return StoppedEnd(seconds=seconds)


def outcome_of(end: EndOfAttempt, machine: str) -> Outcome:
    """The outcome that a machine of this name reported."""
    match end:
        case CompletedEnd():
            return Completed(end.result, end.seconds, end.peak_bytes)
        case FailedEnd():
            return Failed(
                end.error,
                end.retryable,
                end.seconds,
                end.source,
                end.warnings,
                elsewhere=machine if end.machine else None,
            )
        case CancelledEnd():
            return Cancelled(end.seconds)
        case StoppedEnd():
            return Stopped(end.seconds)
