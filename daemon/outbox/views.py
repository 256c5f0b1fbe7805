"""What is said of a job and of the daemon: pure functions from what is known to the models that are written."""

import math
import re
import time
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from daemon import clock
from daemon.contract.records import Job
from daemon.contract.status import ErrorInfo, Frozen, Progress, Source, Status
from daemon.errors import DiskFull
from daemon.jobs.decide import MAX_ATTEMPTS
from daemon.jobs.resting import Rest, rest_left

#: In the hints of the error tree the job is called ID.
_ANY_ID = re.compile(r"\b(retry|rm) ID\b")
#: Decimals of seconds and of a share, as they are written: finer than anybody times a job.
_SECONDS, _SHARE = 3, 4
#: A clock that was set by less than this changes nothing that is told.
_SAME_SECONDS = 1.0


class Waiting(Frozen):
    """One thing in the inbox that is not taken, and why. `path` is relative to the inbox."""

    path: str
    reason: str


class PolledFolder(Frozen):
    """A folder that is polled instead of watched. `folder`: its name in the inbox, empty for the inbox itself."""

    folder: str
    share: str | None = Field(None, description="its file system, if that is another machine's")
    trouble: str | None = Field(None, description="why the system does not watch it, if it should")


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
    fetch_model: str | None = Field(
        None, description="while no depth model is installed: the command that fetches one; until then depth is estimated"
    )
    settings: str | None = Field(None, description="a digest of the settings it was started with, to tell them from others")
    last_fault: str | None = Field(None, description="when the watching of the inbox last failed and was mended, and how")
    polled: tuple[PolledFolder, ...] = Field(
        (), description="folders of the inbox that are looked at every few seconds; the system tells of all others"
    )


def in_line(queue: Iterable[Job], rest: Rest) -> Iterator[tuple[Job, int | None]]:
    """The jobs of the queue in their order, and the place of each, 1 is next; one that rests has none, and is passed by."""
    place = 0
    for job in queue:
        resting = rest(job) > 0
        place += not resting
        yield job, None if resting else place


def attempt_of(number: int) -> str:
    """Which of the attempts that a job has."""
    return f"attempt {number} of {MAX_ATTEMPTS}"


def status_of(
    job: Job,
    *,
    position: int | None = None,
    progress: Progress | None = None,
    at: float | None = None,
    rest: float | None = None,
) -> Status:
    """What status.json says of a job.

    Args:
        job: what is known of it.
        position: in the queue, 1 is next.
        progress: of a running job.
        at: seconds since 1970; this moment if not given.
        rest: seconds that it still rests before its next attempt; as the wall clock tells if not given.
    """
    ended, published = job.ended, job.published
    at = time.time() if at is None else at
    retry_at = _retry_at(job, at, rest_left(job, at) if rest is None else rest)
    seconds = published.processing_seconds if published else ended.processing_seconds if ended else None
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
        processing_seconds=None if seconds is None else round(seconds, _SECONDS),
        timings={stage: round(taken, _SECONDS) for stage, taken in published.timings.items()} if published else {},
        attempts=job.attempts,
        retry_at=retry_at and clock.written(retry_at),
        queue_position=None if retry_at else position,
        progress=progress and progress.model_copy(update={"fraction": _floor(progress.fraction)}),
        error=_error(job, retry_at),
        warnings=_warnings(job),
        outputs=published.outputs if published else (),
        manifest=published.manifest if published else None,
        depth_source=published.depth_source if published else None,
    )


def _source(job: Job) -> Source:
    if job.published:
        return job.published.source
    if job.ended and job.ended.source:
        return job.ended.source
    return Source(image=job.image.to, bytes=job.image.size)


def _floor(share: float) -> float:
    """A share of 0 to 1 with few decimals: 1 only if it is, and 0.57 for the number a little below it that is stored for it."""
    scale: int = 10**_SHARE
    return math.floor(share * scale + 1e-6) / scale


def _retry_at(job: Job, at: float, rest: float) -> float | None:
    """When it is tried again, on the clock as it is set now; none if it does not rest."""
    if rest <= 0:
        return None
    # As recorded, unless the clock was set since: a time that changed by milliseconds would be written again and again.
    return job.retry_at if abs(at + rest - job.retry_at) < _SAME_SECONDS else at + rest


def _error(job: Job, retry_at: float | None) -> ErrorInfo | None:
    """The error a job ended with; while it waits to be tried again, that of the attempt before, and none while it runs."""
    if job.state == "pending":
        return job.last_error and job.last_error.model_copy(update={"hint": _again(job, job.last_error, retry_at)})
    error = job.ended.error if job.ended else None
    if error is None or not _ANY_ID.search(error.hint):
        return error
    return error.model_copy(update={"hint": _ANY_ID.sub(rf"\1 {job.job_id}", error.hint)})


def _again(job: Job, error: ErrorInfo, retry_at: float | None) -> str:
    """What comes after an attempt that was not the last."""
    which = f" ({attempt_of(job.attempts + 1)})" if job.attempts else ""
    if error.code == DiskFull.code:
        return f"Make room on the disk of the outbox; then it is tried again by itself{which}."
    if job.place != "source":
        return f"It waits in the inbox for the rest until {clock.hour(clock.written(job.retry_at))}; nothing to do."
    when = f"at {clock.hour(clock.written(retry_at))}" if retry_at else "when it is its turn"
    return f"It is tried again by itself {when}{which}; nothing to do."


def _warnings(job: Job) -> tuple[str, ...]:
    if job.published:
        return job.accepted.warnings + job.published.warnings + job.notes
    return (job.ended.warnings if job.ended else job.accepted.warnings) + job.notes
