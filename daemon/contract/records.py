"""The journal's records: every fact about a job that must survive, one line of the journal each.

`daemon.journal` adds the envelope (`v, seq, group, ts, crc`); `daemon.jobs.fold` says what a record means for a job. File names
are text as `daemon.contract.names` encodes them. The records are slotted dataclasses, because tens of thousands are in memory
at once.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from daemon.contract.batch_records import BatchClosed, BatchClosing, BatchUnderWay
from daemon.contract.older_values import KeptSource, KeptTimings
from daemon.contract.segment_records import SegmentStart
from daemon.contract.spec import JobSpec, Mode
from daemon.contract.status import ErrorInfo, Output, State

RECORD_VERSION = 1
#: Seconds: the longest pause that older versions used. Their snapshots do not state the pause.
LONGEST_PAUSE = 60.0


Role = Literal["image", "depth", "sidecar", "twin", "batch"]
Place = Literal["source", "returning", "inbox"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedFile:
    """One file of a claim: its `name` in the inbox folder, its name `to` in source/, and its fingerprint when it was accepted."""

    role: Role
    name: str
    to: str
    ino: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What identifies a worker after a restart. Pids are reused, but creation times within one boot are not.

    `group` is the process group and also the guardian's pid. The times are as `daemon.platform.process.created` gives them.
    """

    pid: int
    created: float
    boot_id: str
    group: int
    guardian_created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The commit point: from here on, the pair is a job.

    Attributes:
        folder: the inbox subfolder it was dropped in; empty for the inbox itself.
        folder_ino: the inode of that subfolder; 0 if unknown.
        refusal: the error with which the job fails once it has been claimed.
        effective: the name under which the effective spec is written into source/.
        preset: what the preset or batch file said. It is kept if no effective spec could be written, so that a retry can use
            it.
        written: the picture was seen to be written before it was taken, so its rest may follow, whatever its date says.
    """

    event: Literal["accepted"] = "accepted"
    job: str
    requested_id: str | None = None
    folder: str = ""
    folder_ino: int = 0
    files: tuple[ClaimedFile, ...]
    spec: JobSpec | None
    mode: Mode | None = None
    refusal: ErrorInfo | None = None
    batch: str | None = None
    effective: str | None = None
    preset: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    written: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """All files are in source/. From here on, the names in the inbox no longer belong to this job."""

    event: Literal["claimed"] = "claimed"
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """The files were removed between check and claim, so there is no such job."""

    event: Literal["withdrawn"] = "withdrawn"
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """An attempt begins. `attempt` is the name of its folder in .work/."""

    event: Literal["started"] = "started"
    job: str
    attempt: str
    process: Process | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """An attempt failed or was interrupted, and the job is pending again, but not before `retry_at` (seconds since 1970).

    `counts`: whether it uses up one of the job's attempts. A reboot or a stop of the service does not.
    """

    event: Literal["attempt_ended"] = "attempt_ended"
    job: str
    error: ErrorInfo | None = None
    counts: bool
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Returning:
    """The picture is incomplete and was written a moment ago: from here on, its files go back to their places in the inbox.

    The job keeps its id and waits for the rest until `until` (seconds since 1970). Size and time are the picture's current
    ones.
    """

    event: Literal["returning"] = "returning"
    job: str
    error: ErrorInfo
    size: int
    mtime_ns: int
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The files are in the inbox again, and no longer in source/."""

    event: Literal["returned"] = "returned"
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retaken:
    """The picture of a job that waited in the inbox is accepted again, as it is now. A claim follows, like any other."""

    event: Literal["retaken"] = "retaken"
    job: str
    value: Accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """The attempt's files are checked and durable; only the rename to result/ is left."""

    event: Literal["publishing"] = "publishing"
    job: str
    attempt: str
    source: KeptSource
    outputs: tuple[Output, ...]
    manifest: str
    warnings: tuple[str, ...] = ()
    timings: KeptTimings = field(default_factory=dict)
    processing_seconds: float
    depth_source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """Somebody wants to end this job. `discarded`: they removed its folder from the outbox."""

    event: Literal["cancel_requested"] = "cancel_requested"
    job: str
    discarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The job has ended, unless somebody retries it."""

    event: Literal["ended"] = "ended"
    job: str
    state: State
    error: ErrorInfo | None = None
    source: KeptSource | None = None
    warnings: tuple[str, ...] = ()
    processing_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """Somebody retried a failed or cancelled job. `value` is the job as it is now, with its sidecar read again."""

    event: Literal["requeued"] = "requeued"
    job: str
    value: "Job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Somebody removed the job and its folder; its id is free again."""

    event: Literal["removed"] = "removed"
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A late warning about an accepted job: one sentence for its status."""

    event: Literal["noted"] = "noted"
    job: str
    warning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A running attempt."""

    folder: str
    process: Process | None = None
    publishing: Publishing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything known about one job: the sum of its records, and the content of a snapshot.

    Attributes:
        sequence: the `seq` of the accepted record, which gives the order of arrival.
        pause: the whole length of the pause that ends at `retry_at`, in seconds.
        last_error: the error of the last attempt, while a retry is due.
        discarded: somebody removed its folder before it had ended.
        notes: warnings that were added later.
        place: where the files of a claimed job are.
        back: why and how they last went back to the inbox.
    """

    job_id: str
    accepted: Accepted
    sequence: int
    created_at: str
    spec: JobSpec | None
    mode: Mode | None
    refusal: ErrorInfo | None
    claimed: bool = False
    state: State = "pending"
    attempts: int = 0
    retry_at: float = 0.0
    pause: float = LONGEST_PAUSE
    attempt: Attempt | None = None
    cancel_requested: bool = False
    started_at: str | None = None
    completed_at: str | None = None
    last_error: ErrorInfo | None = None
    published: Publishing | None = None
    ended: Ended | None = None
    discarded: bool = False
    notes: tuple[str, ...] = ()
    place: Place = "source"
    back: Returning | None = None

    @property
    def image(self) -> ClaimedFile:
        """The picture's file."""
        return next(file for file in self.accepted.files if file.role == "image")

    @property
    def priority(self) -> int:
        """Higher runs first; a job whose spec was refused has 0."""
        return self.spec.priority if self.spec else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJob:
    """In a snapshot: a job that had not ended when the segment began."""

    event: Literal["live"] = "live"
    job: str
    value: Job


AnyRecord = (
    Accepted
    | Claimed
    | Withdrawn
    | Started
    | AttemptEnded
    | Returning
    | Returned
    | Retaken
    | Publishing
    | CancelRequested
    | Ended
    | Requeued
    | Removed
    | Noted
    | BatchUnderWay
    | BatchClosing
    | BatchClosed
    | SegmentStart
    | LiveJob
)
RECORD: TypeAdapter[AnyRecord] = TypeAdapter(Annotated[AnyRecord, Field(discriminator="event")])
