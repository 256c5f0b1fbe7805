"""The journal's records: every fact about a job that must survive, one line of the journal each.

`daemon.journal` adds the envelope (`v, seq, group, ts, crc`); `daemon.jobs.fold` says what a record means for a job. File names
are text as `daemon.contract.names` encodes them. The records are slotted dataclasses, because tens of thousands are in memory
at once.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from daemon.contract.bounds import MAX_OF_A_WORD, MAX_SECONDS, Timings
from daemon.contract.spec import JobSpec, Mode
from daemon.contract.status import ErrorInfo, Output, Source, State

RECORD_VERSION = 1
#: Seconds: the longest pause that older versions used. Their snapshots do not state the pause.
LONGEST_PAUSE = 60.0


def _sane_source(value: Any, read: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - validators take and give what comes
    """Leave out values of the source that are out of bounds, so that records from before there were bounds can still be read."""
    try:
        return read(value)
    except ValidationError as error:
        broken = {problem["loc"][0] for problem in error.errors(include_url=False, include_input=False) if problem["loc"]}
        if not isinstance(value, dict) or not broken <= Source.model_fields.keys():
            raise
        return read({"image": "unknown", "bytes": 0} | {key: part for key, part in value.items() if key not in broken})


def _sane_timings(value: Any, read: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - as above
    """Leave out timings that are out of bounds. JSON has no NaN, so older versions wrote null for it."""
    try:
        return read(value)
    except ValidationError:
        if not isinstance(value, dict):
            raise
        return {
            stage: seconds
            for stage, seconds in value.items()
            if isinstance(seconds, int | float) and 0.0 <= seconds <= MAX_SECONDS and len(stage) <= MAX_OF_A_WORD
        }


KeptSource = Annotated[Source, WrapValidator(_sane_source)]
KeptTimings = Annotated[Timings, WrapValidator(_sane_timings)]

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
class BatchUnderWay:
    """In a snapshot: a batch folder in the inbox from which pictures were taken. `job` is the last of them."""

    event: Literal["batch_under_way"] = "batch_under_way"
    job: str
    folder: str
    batch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClosing:
    """A batch folder has held no pictures for a while: its job.yaml moves to source/ of `job`, and the folder is removed."""

    event: Literal["batch_closing"] = "batch_closing"
    job: str
    folder: str
    batch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClosed:
    """The batch is over: its folder is gone, or what is in it now is a new batch."""

    event: Literal["batch_closed"] = "batch_closed"
    job: str
    folder: str


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
class Preceding:
    """What a segment continues: the number of the segment before it, and the last valid record in that segment."""

    segment: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentStart:
    """The first line of a segment: which program wrote it, and how many jobs its snapshot holds.

    Attributes:
        number: the segment's own number, which shows whether a file is in another segment's place.
        after: the segment and record it continues; none in the first segment.
        reckoned: the time by the journal's own count, in seconds since 1970 (`daemon.journal.reckoning`).

    Segments of older versions have none of these three.
    """

    event: Literal["segment"] = "segment"
    version: str
    boot_id: str
    live: int
    number: int | None = None
    after: Preceding | None = None
    reckoned: float | None = None


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
