"""The journal's records: every fact about a job that must survive, each one line of the journal.

The envelope (`v, seq, group, ts, crc`) belongs to `daemon.journal`; what a record means for a job is told by `daemon.jobs.fold`.
File names are text made by `daemon.contract.names`. Slotted dataclasses, as tens of thousands are held at once.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from daemon.contract.bounds import MAX_OF_A_WORD, MAX_SECONDS, Timings
from daemon.contract.spec import JobSpec, Mode
from daemon.contract.status import ErrorInfo, Output, Source, State

RECORD_VERSION = 1
#: Seconds: the longest pause that was ever decided by a version whose snapshots do not say it.
LONGEST_PAUSE = 60.0


def _sane_source(value: Any, read: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - validators take and give what comes
    """The source without what is out of bounds: records of before there were bounds are still read."""
    try:
        return read(value)
    except ValidationError as error:
        broken = {problem["loc"][0] for problem in error.errors(include_url=False, include_input=False) if problem["loc"]}
        if not isinstance(value, dict) or not broken <= Source.model_fields.keys():
            raise
        return read({"image": "unknown", "bytes": 0} | {key: part for key, part in value.items() if key not in broken})


def _sane_timings(value: Any, read: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - as above
    """The timings without those that are out of bounds: JSON has no NaN, so older versions wrote null for it."""
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
    """One file of a claim: `name` in its inbox folder, `to` in source/, and what it looked like when it was accepted."""

    role: Role
    name: str
    to: str
    ino: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A worker so that it is recognised after a restart: pids are reused, creation times within one boot are not.

    `group` is the process group, and the guardian's pid; the times are as `daemon.platform.process.created` gives them.
    """

    pid: int
    created: float
    boot_id: str
    group: int
    guardian_created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The commit point: from here on this is a job.

    `folder` is the inbox subfolder it was dropped in, empty for the inbox itself, and `folder_ino` the inode of that subfolder
    (0: not known); `refusal`: it will be claimed, and then fails with this; `effective` is the name under which the effective
    spec is written into source/; `preset` is what the preset or batch file said, kept where no effective spec could be written,
    so that a retry still knows it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """All files are in source/; the inbox names mean nothing to this job any more."""

    event: Literal["claimed"] = "claimed"
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """The files were taken back between look and claim; there is no such job."""

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
    """An attempt came to nothing and the job is pending again, not before `retry_at` (seconds since 1970).

    `counts`: it is one of the attempts that a job has; a reboot or a stop of the service is none.
    """

    event: Literal["attempt_ended"] = "attempt_ended"
    job: str
    error: ErrorInfo | None = None
    counts: bool
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Returning:
    """The picture is cut off and was written to a moment ago: its files go back to their places in the inbox, from here on.

    The job stays, under its id, and waits for the rest until `until` (seconds since 1970); size and time are the picture's now.
    """

    event: Literal["returning"] = "returning"
    job: str
    error: ErrorInfo
    size: int
    mtime_ns: int
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The files are in the inbox again, and not in source/."""

    event: Literal["returned"] = "returned"
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retaken:
    """The picture of a job that waited in the inbox is accepted anew, as it is now; what follows is a claim like any other."""

    event: Literal["retaken"] = "retaken"
    job: str
    value: Accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """The attempt's files are checked and durable; what follows is one rename."""

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
    """Somebody wants this job to end. `discarded`: by taking its folder out of the outbox."""

    event: Literal["cancel_requested"] = "cancel_requested"
    job: str
    discarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The last word on a job, until somebody asks for it to be retried."""

    event: Literal["ended"] = "ended"
    job: str
    state: State
    error: ErrorInfo | None = None
    source: KeptSource | None = None
    warnings: tuple[str, ...] = ()
    processing_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """Somebody asked for a failed or cancelled job to run again; `value` is the job as it is now, its sidecar read anew."""

    event: Literal["requeued"] = "requeued"
    job: str
    value: "Job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Somebody removed the job and its folder; the id is free."""

    event: Literal["removed"] = "removed"
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something came to light about a job after it was accepted; one sentence for its status."""

    event: Literal["noted"] = "noted"
    job: str
    warning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchUnderWay:
    """In a snapshot: a batch folder of the inbox of which pictures were taken, `job` the last of them."""

    event: Literal["batch_under_way"] = "batch_under_way"
    job: str
    folder: str
    batch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClosing:
    """A batch folder has had no pictures for a while: job.yaml is moved into the source/ of `job`, the folder removed."""

    event: Literal["batch_closing"] = "batch_closing"
    job: str
    folder: str
    batch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClosed:
    """The batch folder means nothing any more: it is gone, or what is in it now is somebody's new batch."""

    event: Literal["batch_closed"] = "batch_closed"
    job: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt under way."""

    folder: str
    process: Process | None = None
    publishing: Publishing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that is known of one job: what its records fold to, and what a snapshot holds.

    `sequence` is that of the accepted record, the order of arrival; `pause`: how many seconds it rests in all until `retry_at`;
    `last_error` is of the attempt before, while a retry is due; `discarded`: somebody took its folder away before it had ended;
    `notes` are warnings that came later; `place` is where the files of a claimed job are, and `back` why and how they went back
    to the inbox the last time.
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
        """Higher runs first; a refused spec has the middle one."""
        return self.spec.priority if self.spec else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Preceding:
    """What a segment goes on from: the number of the segment before, and the last record in it that counts."""

    segment: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentStart:
    """The first line of a segment: who writes it and how many jobs the snapshot behind it holds.

    `number` is that of the segment, so that a file in another one's place is known; `after` is none in the first of all;
    `reckoned`: the time by the journal's own reckoning, in seconds since 1970 (`daemon.journal.reckoning`). Segments of older
    versions say none of these.
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
    """One job that had not ended when the segment began."""

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
