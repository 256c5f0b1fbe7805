"""Decides which record follows from an event. The shell writes the record, then acts on it.

This is the "decide" half of the usual decide/evolve pair; `daemon.jobs.fold` is the "evolve" half.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from daemon.contract.commands import command
from daemon.contract.records import AnyRecord, AttemptEnded, CancelRequested, Ended, Job, Returning
from daemon.contract.requests import Verb
from daemon.contract.status import ErrorInfo, Source
from daemon.errors import BY_CODE, Cancelled, ImageUnreadable, WorkerCrashed
from daemon.jobs.told import BY_REQUEST

#: How many attempts a job gets in total if they fail by a crash, a timeout or a full disk.
MAX_ATTEMPTS = 3
#: Seconds before the second and the third attempt: long enough to free memory or disk space, short enough to wait for.
PAUSES = (10.0, 60.0)
#: A picture that changed while it was read is probably still being written. The pauses grow, because a copy may take long.
SETTLING_PAUSES = (2.0, 4.0, 8.0, 16.0, 32.0)
#: Seconds until a job whose folder disappeared runs again. By then the daemon has looked for the folder. The pause also keeps a
#: share that comes and goes from causing one failed start after another.
DISAPPEARED_PAUSE = 5.0
#: How the detail of `image_unreadable` begins if the file ends too early.
CUT_OFF = "truncated"
#: A picture written to this many seconds before it was accepted may still be incomplete.
YOUNG_SECONDS = 60.0
#: This many seconds after the last write, no further part of a picture is expected: no scanner device pauses for longer.
REST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request: whether the request is granted, one sentence for the person, and the records to write."""

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
    """The record to write when a failed attempt counts towards `MAX_ATTEMPTS`. It plans another attempt, or ends the job.

    Args:
        job: the job whose attempt failed.
        error: why.
        now: seconds since 1970.
        seconds: how long the attempt took; None if unknown.
        source: what the worker reported about the picture.
        warnings: the worker's warnings.
        retryable: whether another attempt may succeed; if None, the error's code decides.
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
    """The record for an unreadable picture that may still be written to: the picture settles again; the attempt does not count.

    Returns None if the picture was last written to more than a minute ago, or has settled again too often.

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


def return_to_inbox(job: Job, error: ErrorInfo, *, size: int, mtime_ns: int, now: float) -> Returning | None:
    """The record that returns an incomplete picture to the inbox because its rest may still arrive; None if it should not return.

    Only a new picture returns: either intake saw it being written, or its last write was less than a minute before it was
    accepted. Time in the queue does not matter. A picture returns a second time only if it has changed since its last return.

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
        # The picture's date may be by another clock, or our clock may have been changed.
        until = max(until or 0.0, min(accepted_at, now) + REST_SECONDS)
    stayed = job.back is not None and (job.back.size, job.back.mtime_ns) == (size, mtime_ns)
    if not is_cut_off(error) or until is None or stayed or job.cancel_requested or job.accepted.redo_of:
        return None
    return Returning(job=job.job_id, error=error, size=size, mtime_ns=mtime_ns, until=until)


def rest_until(mtime_ns: int, *, since: float, now: float) -> float | None:
    """Until when the rest of a picture may arrive, in seconds since 1970; None if the picture is not new, or that time is over.

    Args:
        mtime_ns: when it was last written to, nanoseconds since 1970.
        since: when the picture was accepted, or could be accepted, in seconds since 1970.
        now: seconds since 1970.
    """
    changed = mtime_ns / 1e9
    until = min(changed, now) + REST_SECONDS
    return until if since - YOUNG_SECONDS < changed < now + YOUNG_SECONDS and until > now else None


def is_cut_off(error: ErrorInfo) -> bool:
    """Whether a picture could not be read because its end is missing."""
    return error.code == ImageUnreadable.code and (error.detail or "").startswith(CUT_OFF)


def incomplete_for_good(job: Job, error: ErrorInfo, *, now: float, other: int | None) -> ErrorInfo:
    """The error of a picture that stays incomplete. It contains a guess at what happened to the rest, if there is one.

    Args:
        job: the job that fails with this error.
        error: the error that the worker reported.
        now: seconds since 1970.
        other: size in bytes of another file that now has the picture's name in the inbox; None if there is none.
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


def excused_attempt(job: Job, error: ErrorInfo, *, retry_at: float = 0.0) -> AnyRecord:
    """The record for an attempt that failed because of the machine (`fault.judge`): it does not count, and the job runs again.

    `retry_at`: not before this time, in seconds since 1970.
    """
    if job.cancel_requested:
        return cancelled(job)
    return AttemptEnded(job=job.job_id, error=error, counts=False, retry_at=retry_at)


def refused(job: Job, refusal: ErrorInfo) -> Ended:
    """The end of a job whose spec was refused when the job was accepted."""
    return Ended(job=job.job_id, state="failed", error=refusal, warnings=job.accepted.warnings)


def cancelled(job: Job, *, seconds: float | None = None) -> Ended:
    """The end of a job that somebody cancelled."""
    error = Cancelled(BY_REQUEST).info()
    return Ended(job=job.job_id, state="cancelled", error=error, warnings=job.accepted.warnings, processing_seconds=seconds)


def no_folder(job: Job) -> str:
    """Why a job whose folder was moved away cannot run, and what to do."""
    return f"the folder of {job.job_id} is no longer in the outbox: put it back, or drop the picture in its source/ again"


def taken_back(job: Job) -> Ended:
    """The end of a returned job: somebody removed the picture from the inbox while it waited there for its rest."""
    message = f"{job.image.name} was removed from the inbox while it waited there for the rest of the file"
    return Ended(job=job.job_id, state="cancelled", error=Cancelled(message).info(), warnings=job.accepted.warnings)


def interrupted(job: Job) -> AnyRecord:
    """The record for a job whose worker was stopped with the daemon: the attempt does not count. A cancelled job ends."""
    return cancelled(job) if job.cancel_requested else AttemptEnded(job=job.job_id, counts=False)


def folder_disappeared(job: Job, *, now: float) -> AnyRecord:
    """The record for a job whose folder disappeared while it ran: the attempt does not count, and the job runs again later."""
    return (
        cancelled(job) if job.cancel_requested else AttemptEnded(job=job.job_id, counts=False, retry_at=now + DISAPPEARED_PAUSE)
    )


def after_restart(job: Job, *, same_boot: bool, now: float) -> AnyRecord | None:
    """The record for a job that was running when the daemon died; None for any other job.

    If the machine was restarted since, the attempt does not count. If not, the daemon was killed, perhaps because of this very
    job. Then the attempt counts, so that a job that kills the daemon comes to an end.
    """
    if job.attempt is None:
        return None
    error = WorkerCrashed("the daemon ended while the job was running").info()
    if not same_boot and not job.cancel_requested:
        return AttemptEnded(job=job.job_id, error=error, counts=False)
    record = after_failure(job, error, now=now, seconds=None)
    # No pause: the start of the daemon took long enough for the machine to recover.
    return AttemptEnded(job=job.job_id, error=error, counts=True) if isinstance(record, AttemptEnded) else record


def cancel(job: Job) -> Answer:
    """Whether a job can be cancelled. The record only notes the request: the shell stops the worker, then ends the job."""
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
        return Answer(False, f"{job.job_id} is completed; {command('redo', job.job_id)} makes a new job of its picture")
    return Answer(True, f"{job.job_id} will run again")


def may_redo(job: Job) -> Answer:
    """Whether a new job can be made of copies of a job's files."""
    if not job.ended:
        return Answer(False, f"{job.job_id} has not ended yet ({job.state}); wait for its end, or cancel it first")
    return Answer(True, f"{job.job_id} is redone")


def may_remove(job: Job) -> Answer:
    """Whether a job and its folder can be removed."""
    if not job.ended:
        return Answer(False, f"{job.job_id} has not ended yet ({job.state}); cancel it first")
    return Answer(True, f"{job.job_id} was removed")


def fits(verb: Verb, job: Job) -> bool:
    """Whether a request for a whole batch is about this job of the batch."""
    match verb:
        case "cancel":
            return job.ended is None
        case "retry":
            return job.state in ("failed", "cancelled")
        case "rm" | "prune" | "redo":
            return job.ended is not None


def none_fits(verb: Verb, batch: str, jobs: Iterable[Job]) -> str | None:
    """The sentence that says that a request is about none of the jobs of a batch; None if it is about one."""
    if any(fits(verb, job) for job in jobs):
        return None
    what = {"cancel": "none of its jobs is pending or running", "retry": "none of its jobs failed or was cancelled"}
    return f"batch {batch}: {what.get(verb, 'it has no ended jobs')}"


def may_prune(job: Job, *, before: datetime | None, owes: bool) -> Answer:
    """Whether a job may be removed for its age.

    Args:
        job: the job.
        before: it must have ended before this time; None keeps every job.
        owes: whether its result is still to be delivered, or its hook still to be run.
    """
    if not job.ended or job.completed_at is None:
        return Answer(False, f"{job.job_id} has not ended yet ({job.state}); it stays")
    if before is None or datetime.fromisoformat(job.completed_at) >= before:
        return Answer(False, f"{job.job_id} ended at {job.completed_at}, which is too recent; it stays")
    if owes:
        return Answer(False, f"the delivery or the hook of {job.job_id} is not done yet; it stays")
    return Answer(True, f"{job.job_id} was removed")
