"""What follows from an event: decides which record to write. The shell writes it, then acts on it."""

from dataclasses import dataclass
from datetime import datetime

from daemon.contract.records import AnyRecord, AttemptEnded, CancelRequested, Ended, Job, Returning
from daemon.contract.status import ErrorInfo, Source
from daemon.errors import BY_CODE, Cancelled, ImageUnreadable, WorkerCrashed

#: The total number of attempts after a crash, a timeout or a full disk.
MAX_ATTEMPTS = 3
#: Seconds before the second and the third attempt: long enough to free memory or disk space, short enough to wait for.
PAUSES = (10.0, 60.0)
#: A picture that changed while it was read is probably still being written. The pauses grow, because a copy may take long.
SETTLING_PAUSES = (2.0, 4.0, 8.0, 16.0, 32.0)
#: Seconds until a job runs again whose folder disappeared. By then the folder has been searched for, and a share that comes and
#: goes does not keep a worker busy with starting and failing.
DISAPPEARED_PAUSE = 5.0
#: How the detail of `image_unreadable` begins if the file ends too early.
CUT_OFF = "truncated"
#: A picture written to this many seconds before it was accepted may still be incomplete.
YOUNG_SECONDS = 60.0
#: This many seconds after the last write, nothing more is expected: no scanner pauses for longer.
REST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a request: the records it causes, and one sentence for the person. `accepted`: it will be done."""

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
    """The record for a failed attempt: another attempt after a pause, or the end.

    `retryable`: whether another attempt may succeed, if the caller knows better than the error's code.
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
    """The record that lets an unreadable picture settle again if it was written to under a minute ago.

    None if this does not apply.

    Args:
        job: the job whose attempt failed.
        error: why.
        changed_at: when the picture was last written to, seconds since 1970.
        now: seconds since 1970.
        tries: how often this job has settled again already.
    """
    accepted_at = datetime.fromisoformat(job.created_at).timestamp()
    fresh = -60 < now - changed_at < 60 or (job.accepted.written and -60 < now - accepted_at < 60)
    unread = error.code == "source_changed" or (error.code == "image_unreadable" and fresh)
    if unread and tries < len(SETTLING_PAUSES) and not job.cancel_requested:
        return AttemptEnded(job=job.job_id, error=error, counts=False, retry_at=now + SETTLING_PAUSES[tries])
    return None


def going_back(job: Job, error: ErrorInfo, *, size: int, mtime_ns: int, now: float) -> Returning | None:
    """The record that returns an incomplete picture to the inbox because its rest may still arrive; None if this does not apply.

    The picture counts as new if it was seen to be written, or was written to less than a minute before it was accepted, however
    long the queue took. It returns again only if it has grown or changed since its last return; otherwise its time is up.

    Args:
        job: the job whose attempt failed.
        error: why.
        size: current size of the picture in bytes.
        mtime_ns: when it was last written to, nanoseconds since 1970.
        now: seconds since 1970.
    """
    accepted_at = datetime.fromisoformat(job.created_at).timestamp()
    until = rest_until(mtime_ns, since=accepted_at, now=now)
    if job.accepted.written and accepted_at + REST_SECONDS > now:
        # Its date may be from another clock, or ours was set.
        until = max(until or 0.0, min(accepted_at, now) + REST_SECONDS)
    stayed = job.back is not None and (job.back.size, job.back.mtime_ns) == (size, mtime_ns)
    if not is_cut_off(error) or until is None or stayed or job.cancel_requested:
        return None
    return Returning(job=job.job_id, error=error, size=size, mtime_ns=mtime_ns, until=until)


def rest_until(mtime_ns: int, *, since: float, now: float) -> float | None:
    """Until when the rest of a picture may arrive, in seconds since 1970; None if it is not new, or its time is up.

    Args:
        mtime_ns: when it was last written to, nanoseconds since 1970.
        since: when it was due to be taken, seconds since 1970.
        now: seconds since 1970.
    """
    changed = mtime_ns / 1e9
    until = min(changed, now) + REST_SECONDS
    return until if since - YOUNG_SECONDS < changed < now + YOUNG_SECONDS and until > now else None


def is_cut_off(error: ErrorInfo) -> bool:
    """Whether a picture could not be read because its end is missing."""
    return error.code == ImageUnreadable.code and (error.detail or "").startswith(CUT_OFF)


def incomplete_for_good(job: Job, error: ErrorInfo, *, now: float, other: int | None) -> ErrorInfo:
    """The error of an incomplete picture, with a guess at what happened to its rest.

    Args:
        job: the job that fails with it.
        error: from the worker.
        now: seconds since 1970.
        other: size in bytes of another file that now has its name in the inbox; None if there is none.
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
    """The record for a job that failed because of the machine (`fault.judge`): no attempt counts, and it runs again later."""
    return cancelled(job) if job.cancel_requested else AttemptEnded(job=job.job_id, error=error, counts=False)


def refused(job: Job, refusal: ErrorInfo) -> Ended:
    """The end of a job whose spec was refused when the job was accepted."""
    return Ended(job=job.job_id, state="failed", error=refusal, warnings=job.accepted.warnings)


def cancelled(job: Job, *, seconds: float | None = None) -> Ended:
    """The end of a job that somebody cancelled."""
    error = Cancelled("the job was cancelled").info()
    return Ended(job=job.job_id, state="cancelled", error=error, warnings=job.accepted.warnings, processing_seconds=seconds)


def taken_back(job: Job) -> Ended:
    """The end of a job whose picture somebody removed from the inbox while it waited there for its rest."""
    message = f"{job.image.name} was removed from the inbox while it waited there for the rest of the file"
    return Ended(job=job.job_id, state="cancelled", error=Cancelled(message).info(), warnings=job.accepted.warnings)


def interrupted(job: Job) -> AnyRecord:
    """The record for a job whose worker was stopped with the daemon: no attempt counts, unless the job was being cancelled."""
    return cancelled(job) if job.cancel_requested else AttemptEnded(job=job.job_id, counts=False)


def folder_disappeared(job: Job, *, now: float) -> AnyRecord:
    """The record for a job whose folder disappeared while it ran: no attempt counts, and the job runs again later."""
    return (
        cancelled(job) if job.cancel_requested else AttemptEnded(job=job.job_id, counts=False, retry_at=now + DISAPPEARED_PAUSE)
    )


def after_restart(job: Job, *, same_boot: bool, now: float) -> AnyRecord | None:
    """The record for a job that was running when the daemon died; None for any other job.

    A power cut or reboot counts as no attempt. If the machine did not reboot, the daemon was killed, perhaps because of this
    very job. That counts, so that a job that kills the daemon comes to an end.
    """
    if job.attempt is None:
        return None
    error = WorkerCrashed("the daemon ended while the job was running").info()
    if not same_boot and not job.cancel_requested:
        return AttemptEnded(job=job.job_id, error=error, counts=False)
    record = after_failure(job, error, now=now, seconds=None)
    # The pause is for a machine in trouble; at a restart, enough time has passed already.
    return AttemptEnded(job=job.job_id, error=error, counts=True) if isinstance(record, AttemptEnded) else record


def cancel(job: Job) -> Answer:
    """Whether a job can be cancelled. The record only notes the request; the shell stops the worker, then the job ends."""
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
