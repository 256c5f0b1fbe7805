"""What follows from an event: which record is to be written. The shell writes it, then acts on it."""

from dataclasses import dataclass
from datetime import datetime

from daemon.contract.records import AnyRecord, AttemptEnded, CancelRequested, Ended, Job, Returning
from daemon.contract.status import ErrorInfo, Source
from daemon.errors import BY_CODE, Cancelled, ImageUnreadable, WorkerCrashed

#: A crash, a timeout or a full disk is tried again by itself, at most twice.
MAX_ATTEMPTS = 3
#: Seconds before the second and the third attempt: long enough for memory or disk to be freed, short enough to wait for.
PAUSES = (10.0, 60.0)
#: A picture that changed under the reader is probably still being written; the pauses grow, as a copy may take long.
SETTLING_PAUSES = (2.0, 4.0, 8.0, 16.0, 32.0)
#: Seconds until a job runs again whose folder went away: by then it was looked for, and a share that comes and goes keeps no
#: worker busy with starting and failing.
SIGHT_PAUSE = 5.0
#: What the detail of `image_unreadable` begins with where the file ends too early.
CUT_OFF = "truncated"
#: A picture that was written to so short a time before it was accepted may still be in the making.
YOUNG_SECONDS = 60.0
#: So long after it was last written to nothing more is expected to come: no scanner pauses for longer.
REST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request comes to: the records it causes, and one sentence for who asked. `accepted`: it will be done."""

    accepted: bool
    sentence: str
    records: tuple[AnyRecord, ...] = ()


def after_failure(
    job: Job,
    error: ErrorInfo,
    *,
    now: float,
    seconds: float | None,
    source: Source | None = None,
    warnings: tuple[str, ...] = (),
    retryable: bool | None = None,
) -> AnyRecord:
    """The record for an attempt that failed: one more attempt after a pause, or the end.

    `retryable` if whoever saw it fail knows better than the error's code whether another attempt may go better.
    """
    if job.cancel_requested:
        return cancelled(job, seconds=seconds)
    again = BY_CODE[error.code].retryable if retryable is None else retryable
    if again and job.attempts < MAX_ATTEMPTS:
        pause = PAUSES[min(job.attempts, len(PAUSES)) - 1]
        return AttemptEnded(job=job.job_id, error=error, counts=True, retry_at=now + pause)
    return Ended(
        job=job.job_id,
        state="failed",
        error=error,
        source=source,
        warnings=job.accepted.warnings + warnings,
        processing_seconds=seconds,
    )


def still_settling(job: Job, error: ErrorInfo, *, changed_at: float, now: float, tries: int) -> AnyRecord | None:
    """A picture that cannot be read and was written to under a minute ago goes back to settling; none if it does not apply.

    Args:
        job: the job whose attempt failed.
        error: why.
        changed_at: when the picture was last written to, seconds since 1970.
        now: seconds since 1970.
        tries: how often this job went back to settling already.
    """
    fresh = -60 < now - changed_at < 60
    unread = error.code == "source_changed" or (error.code == "image_unreadable" and fresh)
    if unread and tries < len(SETTLING_PAUSES) and not job.cancel_requested:
        return AttemptEnded(job=job.job_id, error=error, counts=False, retry_at=now + SETTLING_PAUSES[tries])
    return None


def going_back(job: Job, error: ErrorInfo, *, size: int, mtime_ns: int, now: float) -> Returning | None:
    """The record that sends a picture back to the inbox that is cut off and may still be written to; none if that is not so.

    It is young if it was written to less than a minute before it was accepted, whatever the queue took since, and goes back only
    if it has grown or changed since it went back the last time: otherwise it has had its time.

    Args:
        job: the job whose attempt failed.
        error: why.
        size: of the picture as it is, bytes.
        mtime_ns: when it was last written to, nanoseconds since 1970.
        now: seconds since 1970.
    """
    until = rest_until(mtime_ns, since=datetime.fromisoformat(job.created_at).timestamp(), now=now)
    stayed = job.back is not None and (job.back.size, job.back.mtime_ns) == (size, mtime_ns)
    if not is_cut_off(error) or until is None or stayed or job.cancel_requested:
        return None
    return Returning(job=job.job_id, error=error, size=size, mtime_ns=mtime_ns, until=until)


def rest_until(mtime_ns: int, *, since: float, now: float) -> float | None:
    """Until when the rest of a picture may come, in seconds since 1970; none if it is not young, or had its time.

    Args:
        mtime_ns: when it was last written to, nanoseconds since 1970.
        since: when it was to be taken, seconds since 1970.
        now: seconds since 1970.
    """
    changed = mtime_ns / 1e9
    until = min(changed, now) + REST_SECONDS
    return until if since - YOUNG_SECONDS < changed < now + YOUNG_SECONDS and until > now else None


def is_cut_off(error: ErrorInfo) -> bool:
    """Whether a picture could not be read because it ends too early."""
    return error.code == ImageUnreadable.code and (error.detail or "").startswith(CUT_OFF)


def in_vain(job: Job, error: ErrorInfo, *, now: float, other: int | None) -> ErrorInfo:
    """The error of a picture that is cut off, with what may have become of its rest.

    Args:
        job: that fails with it.
        error: of the worker.
        now: seconds since 1970.
        other: bytes of another file that has its name in the inbox by now; none if there is none.
    """
    if other is not None:
        rest = (
            f"Another {job.image.name} has arrived since ({other:,} bytes, this one in source has {job.image.size:,}): "
            "it may be the rest, written by a program that opened the name again."
        )
    elif job.back is not None and now >= job.back.until:
        rest = f"It waited in the inbox for the rest, but nothing came within {REST_SECONDS / 60:.0f} minutes."
    else:
        return error
    return error.model_copy(update={"message": f"{error.message.rstrip('.')}. {rest}"})


def not_its_fault(job: Job, error: ErrorInfo) -> AnyRecord:
    """The record for a job that failed by a fault of the world (`fault.judge`): no attempt; it runs again when that is over."""
    return cancelled(job) if job.cancel_requested else AttemptEnded(job=job.job_id, error=error, counts=False)


def refused(job: Job, refusal: ErrorInfo) -> Ended:
    """The end of a job whose spec was refused when it was accepted."""
    return Ended(job=job.job_id, state="failed", error=refusal, warnings=job.accepted.warnings)


def cancelled(job: Job, *, seconds: float | None = None) -> Ended:
    """The end of a job that somebody cancelled."""
    error = Cancelled("the job was cancelled").info()
    return Ended(job=job.job_id, state="cancelled", error=error, warnings=job.accepted.warnings, processing_seconds=seconds)


def taken_back(job: Job) -> Ended:
    """The end of a job whose picture somebody took out of the inbox while it waited there for its rest."""
    message = f"{job.image.name} was removed from the inbox while it waited there for the rest of the file"
    return Ended(job=job.job_id, state="cancelled", error=Cancelled(message).info(), warnings=job.accepted.warnings)


def interrupted(job: Job) -> AnyRecord:
    """The record for a job whose worker was stopped because the daemon stops: no attempt, unless it was to be cancelled."""
    return cancelled(job) if job.cancel_requested else AttemptEnded(job=job.job_id, counts=False)


def out_of_sight(job: Job, *, now: float) -> AnyRecord:
    """The record for a job whose folder went away under its worker: no attempt; it runs again a while after it is back."""
    return cancelled(job) if job.cancel_requested else AttemptEnded(job=job.job_id, counts=False, retry_at=now + SIGHT_PAUSE)


def after_restart(job: Job, *, same_boot: bool, now: float) -> AnyRecord | None:
    """The record for a job that was being processed when the daemon ended without a word; none for any other job.

    A power cut or reboot is no attempt. Within one boot the daemon was killed, perhaps by this very job: that counts, so that a
    job that takes the daemon down with it comes to an end.
    """
    if job.attempt is None:
        return None
    error = WorkerCrashed("the daemon ended while the job was running").info()
    if not same_boot and not job.cancel_requested:
        return AttemptEnded(job=job.job_id, error=error, counts=False)
    record = after_failure(job, error, now=now, seconds=None)
    # The pause is for a machine in trouble; after a restart the time has passed already.
    return AttemptEnded(job=job.job_id, error=error, counts=True) if isinstance(record, AttemptEnded) else record


def cancel(job: Job) -> Answer:
    """Whether a job can be cancelled. The record only notes the wish; the shell stops the worker, then the job ends."""
    if job.ended:
        return Answer(False, f"{job.job_id} has already ended ({job.state})")
    if job.cancel_requested:
        return Answer(True, f"{job.job_id} is already being cancelled")
    return Answer(True, f"{job.job_id} is being cancelled", (CancelRequested(job=job.job_id),))


def may_retry(job: Job) -> Answer:
    """Whether a job can run again."""
    if not job.ended:
        return Answer(False, f"{job.job_id} has not ended yet ({job.state}); there is nothing to retry")
    if job.state == "completed":
        return Answer(False, f"{job.job_id} is completed; to run it again, drop the files of its source folder into the inbox")
    return Answer(True, f"{job.job_id} will run again")


def may_remove(job: Job) -> Answer:
    """Whether a job and its folder can be removed."""
    if not job.ended:
        return Answer(False, f"{job.job_id} has not ended yet ({job.state}); cancel it first")
    return Answer(True, f"{job.job_id} was removed")
