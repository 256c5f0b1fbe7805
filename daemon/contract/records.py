"""The journal's records: facts about a job that must survive a crash. Each record is one line of the journal.

`daemon.journal` adds the envelope (`v, seq, group, ts, crc`); `daemon.jobs.fold` applies a record to its job. File names are text
as `daemon.contract.names` encodes them. The records are slotted dataclasses, because tens of thousands are in memory at once.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from daemon.contract.batch_records import BatchClosed, BatchClosing, BatchCounted, BatchUnderWay
from daemon.contract.ended.follow_ups import FollowUp, FollowUpFailed, FollowUpOver, FollowUpOwed
from daemon.contract.ended.pruning import Pruned
from daemon.contract.older_values import LenientSource, LenientTimings
from daemon.contract.segment_records import SegmentStart
from daemon.contract.spec import JobSpec, Mode
from daemon.contract.status import ErrorInfo, Output, State

RECORD_VERSION = 1
#: In seconds: the longest pause before a retry that older versions used. Their snapshots do not state the pause.
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
    """What identifies a worker after a restart of the daemon. The system reuses pids, so the creation time is compared, too.

    Attributes:
        pid: the pid of the worker.
        created: when the worker was created, as `daemon.platform.process.created` returns it.
        boot_id: identifies the boot of the machine.
        group: the number of the process group, which is also the guardian's pid.
        guardian_created: when the guardian was created.
    """

    pid: int
    created: float
    boot_id: str
    group: int
    guardian_created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The daemon accepted the pair: it is a job now.

    Attributes:
        requested_id: the id in the sidecar; None if it has none.
        folder: the folder of the inbox where the pair was; empty for the inbox itself.
        folder_ino: the inode of that folder; 0 if unknown.
        files: the files of the pair.
        spec: what the job should do; None if the spec was refused.
        mode: the mode that the spec or the sidecar asks for; None if unknown.
        refusal: the error with which the job fails once it has been claimed; None if there is none.
        batch: the id of the job's batch; None for a single drop.
        effective: the name in source/ of the file with the effective spec; None if there is no such file.
        preset: the fields of the preset or batch file, for a retry. Only kept if no effective spec could be written.
        warnings: sentences for the job's status.
        written: whether the daemon saw the picture being written. If so, a missing end may still come, however old the file is.
        owner: the user to whom the picture belonged in the inbox; None if unknown.
        redo_of: the job whose files in source/ this job gets copies of; None if its files come from the inbox.
        request: the name of the request that asked for it; None if nobody asked the daemon.
        batch_name: the name of its batch for people; None: the last name in `folder`.
        preset_name: the name of the preset folder of the job that it redoes; None: `folder` says it.
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
    owner: str | None = None
    redo_of: str | None = None
    request: str | None = None
    batch_name: str | None = None
    preset_name: str | None = None

    @property
    def name_of_preset(self) -> str | None:
        """The name of the preset folder that it was dropped into, alone, in a folder of pictures or in a job's folder."""
        if self.preset_name is not None:
            return self.preset_name
        parts = self.folder.split("/")
        # A batch's folder may be in the preset's; a job's source/ is two below it. Others are in the preset's folder itself.
        below = 1 if self.batch is not None else 2 if len(parts) > 1 else 0
        return "/".join(parts[: len(parts) - below]) or None

    @property
    def name_of_batch(self) -> str | None:
        """The name by which people know the job's batch; None for a single drop."""
        return None if self.batch is None else self.batch_name or self.folder.rpartition("/")[2] or self.batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """All files are in source/. The names in the inbox no longer belong to this job."""

    event: Literal["claimed"] = "claimed"
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """Somebody removed the files after the check and before the claim, so the job no longer exists."""

    event: Literal["withdrawn"] = "withdrawn"
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """An attempt begins.

    `attempt`: the name of its folder in .work/. `process`: None until the worker was started, or if it runs on another machine.
    `machine`: the name of that machine; None: this one.
    """

    event: Literal["started"] = "started"
    job: str
    attempt: str
    process: Process | None = None
    machine: str | None = None


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
    """The picture is incomplete, and its end may still come. The next step is to move its files back to the inbox.

    The job keeps its id and waits for the missing end until `until` (seconds since 1970). `size` and `mtime_ns` are those of
    the incomplete picture. `error` says what is missing.
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
    """A picture that was returned to the inbox is accepted again for the same job. `value` has its files as they are now.

    The next step is to claim them, as for any other job.
    """

    event: Literal["retaken"] = "retaken"
    job: str
    value: Accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """The attempt's files are checked and durable. The next step is the rename to result/."""

    event: Literal["publishing"] = "publishing"
    job: str
    attempt: str
    source: LenientSource
    outputs: tuple[Output, ...]
    manifest: str
    warnings: tuple[str, ...] = ()
    timings: LenientTimings = field(default_factory=dict)
    processing_seconds: float
    depth_source: str | None = None
    filled_layers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """Somebody cancelled the job. `discarded`: they did so by moving its folder out of the outbox."""

    event: Literal["cancel_requested"] = "cancel_requested"
    job: str
    discarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The job has ended. Only a retry continues it. `owes`: what is to be done after this end, by the settings of that time."""

    event: Literal["ended"] = "ended"
    job: str
    state: State
    error: ErrorInfo | None = None
    source: LenientSource | None = None
    warnings: tuple[str, ...] = ()
    processing_seconds: float | None = None
    owes: tuple[FollowUp, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """Somebody retries a failed or cancelled job. `value`: the job's new state; its sidecar was read again."""

    event: Literal["requeued"] = "requeued"
    job: str
    value: "Job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """The job and its folder were removed; its id is free again. `pruned`: because of its age."""

    event: Literal["removed"] = "removed"
    job: str
    pruned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A warning that is added to a job after it was accepted. `warning`: a sentence for its status."""

    event: Literal["noted"] = "noted"
    job: str
    warning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A running attempt.

    `folder`: its name in .work/. `publishing`: None until its result is checked and durable. `machine`: the name of the machine
    on which it runs; None: this one.
    """

    folder: str
    process: Process | None = None
    publishing: Publishing | None = None
    machine: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The state of one job after all its records. A snapshot contains the whole state.

    Attributes:
        sequence: the `seq` of the accepted record, which gives the order of arrival.
        refusal: the error with which the job fails once it has been claimed; None if there is none.
        attempts: how many attempts count so far, including the running one.
        retry_at: when the next attempt may begin, in seconds since 1970; 0 if there is no pause.
        pause: the whole length of the pause that ends at `retry_at`, in seconds.
        attempt: the running attempt; None if none is running.
        last_error: the error of the last attempt, while the job is pending again; otherwise None.
        published: the `publishing` record of the result; None if there is no result.
        discarded: whether somebody moved its folder out of the outbox before it had ended.
        notes: warnings that were added after it was accepted.
        troubles: why something after its end failed, by what it is; a sentence each.
        delivered: the absolute path of the folder to which its result was delivered; None if it was not.
        pruned_at: when its result was removed because of its age, UTC, RFC 3339; None if it was not.
        place: where the files of a claimed job are: in source/, on their way back to the inbox, or in the inbox.
        back: the last record of a return to the inbox; None if there was none.
        machine: the name of the machine on which the last attempt ran; None: this one, or there was none.
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
    troubles: tuple[tuple[FollowUp, str], ...] = ()
    delivered: str | None = None
    pruned_at: str | None = None
    place: Place = "source"
    back: Returning | None = None
    machine: str | None = None

    @property
    def image(self) -> ClaimedFile:
        """The file of the job's picture."""
        return next(file for file in self.accepted.files if file.role == "image")

    @property
    def preset(self) -> str | None:
        """The name of the preset folder that it was dropped into; None if it was dropped elsewhere."""
        return self.accepted.name_of_preset

    @property
    def priority(self) -> int:
        """The job's priority; higher ones run first. It is 0 if the spec was refused."""
        return self.spec.priority if self.spec else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJob:
    """In a snapshot: the whole state of a job that had not ended when the segment began."""

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
    | FollowUpOwed
    | FollowUpFailed
    | FollowUpOver
    | Pruned
    | BatchUnderWay
    | BatchClosing
    | BatchClosed
    | BatchCounted
    | SegmentStart
    | LiveJob
)
RECORD: TypeAdapter[AnyRecord] = TypeAdapter(
    Annotated[AnyRecord, Field(discriminator="event")], config=ConfigDict(defer_build=True, cache_strings="keys")
)
