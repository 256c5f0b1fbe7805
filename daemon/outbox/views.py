"""What is said of a job and of the daemon: pure functions from what is known to the models that are written."""

import re
from typing import Literal

from pydantic import Field

from daemon.contract.records import Job
from daemon.contract.status import ErrorInfo, Frozen, Progress, Source, Status

#: In the hints of the error tree the job is called ID.
_ANY_ID = re.compile(r"\b(retry|rm) ID\b")


class Waiting(Frozen):
    """One thing in the inbox that is not taken, and why. `path` is relative to the inbox."""

    path: str
    reason: str


class Health(Frozen):
    """daemon.json: health for machines. Times are UTC, RFC 3339.

    `state`: starting; running; paused (see `problem`); offline (inbox or outbox is not there); stopped; refused (a
    person must act).
    """

    schema_version: int = 1
    version: str
    pid: int
    state: Literal["starting", "running", "paused", "offline", "stopped", "refused"]
    alive_at: str
    started_at: str
    problem: str | None = None
    hint: str | None = None
    pending: int = 0
    processing: tuple[str, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    waiting_total: int = 0
    last_refusal: str | None = Field(None, description="the last thing in the inbox that was refused, and why")
    last_fault: str | None = Field(None, description="when the watching of the inbox last failed and was mended, and how")


def status_of(job: Job, *, position: int | None = None, progress: Progress | None = None) -> Status:
    """What status.json says of a job. `position` in the queue, 1 is next; `progress` of a running job."""
    ended, published = job.ended, job.published
    return Status(
        job_id=job.job_id,
        requested_id=job.accepted.requested_id,
        state=job.state,
        mode=job.mode,
        batch=job.accepted.batch,
        spec=job.spec,
        source=_source(job),
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        processing_seconds=published.processing_seconds if published else ended.processing_seconds if ended else None,
        timings=published.timings if published else {},
        attempts=job.attempts,
        queue_position=position,
        progress=progress,
        error=_error(job),
        warnings=_warnings(job),
        outputs=published.outputs if published else (),
        manifest=published.manifest if published else None,
    )


def _source(job: Job) -> Source:
    if job.published:
        return job.published.source
    if job.ended and job.ended.source:
        return job.ended.source
    return Source(image=job.image.to, bytes=job.image.size)


def _error(job: Job) -> ErrorInfo | None:
    """The error a job ended with; for a job that will be tried again, that of the attempt before. The hint names the job."""
    error = job.ended.error if job.ended else job.last_error
    if error is None or not _ANY_ID.search(error.hint):
        return error
    return error.model_copy(update={"hint": _ANY_ID.sub(rf"\1 {job.job_id}", error.hint)})


def _warnings(job: Job) -> tuple[str, ...]:
    if job.published:
        return job.accepted.warnings + job.published.warnings + job.notes
    return (job.ended.warnings if job.ended else job.accepted.warnings) + job.notes
