"""What status.json and daemon.json say: their models, and pure functions that fill them in."""

import math
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from pydantic import Field

from daemon import clock
from daemon.contract.commands import RETRY, command, unmarked
from daemon.contract.records import Job
from daemon.contract.status import ErrorInfo, Frozen, Progress, Source, Status
from daemon.errors import BY_CODE, DiskFull
from daemon.jobs.decide import MAX_ATTEMPTS
from daemon.jobs.retry_pause import PauseLeft, pause_left

#: Records of older versions contain the hints of the error tree without marks around the commands.
_UNMARKED = {unmarked(error.hint): error.hint for error in BY_CODE.values()}
#: The most entries of the inbox in daemon.json, which also states how many there are in all.
MAX_WAITING = 200
#: How many decimals of seconds and of fractions are written. Nobody needs more.
_SECONDS, _SHARE = 3, 4
#: If the clock was set by less than this, recorded times are shown unchanged.
_SAME_SECONDS = 1.0


class Waiting(Frozen):
    """Something that waits in the inbox, and why. `path` is relative to the inbox."""

    path: str
    reason: str
    file: str | None = Field(None, description="its absolute path; only in what commands print")


class MoreWaiting(Frozen):
    """How many entries of the waiting list are not shown for a reason. In it, NAME stands for a file's own name."""

    reason: str
    count: int


class PolledFolder(Frozen):
    """A folder that is polled instead of watched. `folder`: its name in the inbox; empty for the inbox itself."""

    folder: str
    share: str | None = Field(None, description="the type of its file system if it is on another machine; otherwise null")
    trouble: str | None = Field(None, description="why the system cannot watch it although it should; otherwise null")


class BatchProgress(Frozen):
    """How far a batch is that is not done.

    `name` and `batch` (its id) are both what --batch accepts. `total` includes pictures that are still in the inbox.
    """

    batch: str
    name: str
    total: int
    ended: int
    failed: int
    eta_seconds: float | None = Field(None, description="about how long until its last job ends; null if unknown")


#: The longest time, in seconds, between two updates of `alive_at` in daemon.json.
ALIVE_SECONDS = 5.0
#: If daemon.json is two updates late, something is wrong, and its content may be out of date.
FRESH_SECONDS = 2 * ALIVE_SECONDS + 2.0
#: After this many seconds without an update, the daemon is called silent, here and on the page.
SILENT_SECONDS = 60.0


class Health(Frozen):
    """daemon.json: the daemon's state for programs. Times are UTC, RFC 3339.

    `state`: starting; running; paused (`problem` says why); offline (inbox or outbox is missing); stopped; refused (the daemon
    refused to start, and a person must act).
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
    waiting_more: tuple[MoreWaiting, ...] = Field((), description="how many of them `waiting` leaves out, by reason, most first")
    last_refusal: str | None = Field(None, description="the last thing in the inbox that was refused, and why")
    fetch_model: str | None = Field(
        None, description="the command that fetches a depth model; null if one is installed. Without one, depth is estimated"
    )
    settings: str | None = Field(None, description="a digest of the settings that the daemon was started with")
    last_fault: str | None = Field(None, description="the last time that watching the inbox failed and was repaired, and why")
    batches: tuple[BatchProgress, ...] = Field((), description="the batches that are not done, oldest first")
    polled: tuple[PolledFolder, ...] = Field(
        (), description="folders of the inbox that are polled every few seconds; the system reports changes in all others"
    )

    def silent_seconds(self, at: datetime) -> float:
        """How many seconds ago the daemon last reported. `at` is the current time.

        If the report is from the future, the clock was set back since. Its age is then unknown, and the difference is returned.
        """
        return abs((at - datetime.fromisoformat(self.alive_at)).total_seconds())


def in_line(queue: Iterable[Job], paused_for: PauseLeft) -> Iterator[tuple[Job, int | None]]:
    """Yield the jobs of the queue in order, each with its position (1 is next). A job that pauses has the position None.

    `paused_for` returns how many seconds a job still pauses before its next attempt.
    """
    place = 0
    for job in queue:
        is_paused = paused_for(job) > 0
        place += not is_paused
        yield job, None if is_paused else place


def attempt_of(number: int) -> str:
    """The attempt's number and the number of attempts, such as "attempt 2 of 3"."""
    return f"attempt {number} of {MAX_ATTEMPTS}"


def status_of(
    job: Job,
    *,
    position: int | None = None,
    progress: Progress | None = None,
    at: float | None = None,
    paused_for: float | None = None,
    waits_for: str | None = None,
) -> Status:
    """The status.json of a job.

    Args:
        job: the job, as the journal has it.
        position: the job's place in the queue; 1 is next. None: the job has no position.
        progress: the progress of a running job.
        at: the current time, in seconds since 1970. None: read the wall clock.
        paused_for: how many seconds the job still pauses before its next attempt. None: compute this from `at`.
        waits_for: what a pending job waits for besides its turn; None if nothing.
    """
    ended, published = job.ended, job.published
    at = time.time() if at is None else at
    retry_at = _retry_at(job, at, pause_left(job, at) if paused_for is None else paused_for)
    seconds = published.processing_seconds if published else ended.processing_seconds if ended else None
    return Status(
        job_id=job.job_id,
        requested_id=job.accepted.requested_id,
        state=job.state,
        mode=job.mode,
        batch=job.accepted.batch,
        batch_name=job.accepted.name_of_batch,
        redo_of=job.accepted.redo_of,
        preset=job.preset,
        owner=job.accepted.owner,
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
        outputs=published.outputs if published and not job.pruned_at else (),
        manifest=published.manifest if published and not job.pruned_at else None,
        pruned_at=job.pruned_at,
        delivered=job.delivered,
        machine=job.machine,
        waits_for=waits_for if job.state == "pending" else None,
        depth_source=published.depth_source if published else None,
        filled_layers=published.filled_layers if published else None,
    )


def _source(job: Job) -> Source:
    if job.published:
        return job.published.source
    if job.ended and job.ended.source:
        return job.ended.source
    return Source(image=job.image.to, bytes=job.image.size)


def _floor(share: float) -> float:
    """A fraction from 0 to 1, rounded down, so that only 1 gives 1. 0.57 stays 0.57, although it is stored as slightly less."""
    scale: int = 10**_SHARE
    return math.floor(share * scale + 1e-6) / scale


def _retry_at(job: Job, at: float, paused_for: float) -> float | None:
    """When the job is retried, in seconds since 1970 by the clock as it is set now; None if it does not pause."""
    if paused_for <= 0:
        return None
    # Use the recorded time unless the clock was set: a computed one differs by milliseconds each time, and would always be
    # written again.
    return job.retry_at if abs(at + paused_for - job.retry_at) < _SAME_SECONDS else at + paused_for


def _error(job: Job, retry_at: float | None) -> ErrorInfo | None:
    """The error of an ended job, or the error of a pending job's last attempt; None if there is none, or while the job runs."""
    if job.state == "pending":
        return job.last_error and job.last_error.model_copy(update={"hint": _retry_hint(job, job.last_error, retry_at)})
    error = job.ended.error if job.ended else None
    if error is None:
        return None
    hint = _UNMARKED.get(error.hint, error.hint).replace(RETRY, command("retry", job.job_id))
    return error if hint == error.hint else error.model_copy(update={"hint": hint})


def _retry_hint(job: Job, error: ErrorInfo, retry_at: float | None) -> str:
    """A sentence that says when a job's next attempt begins, and what people should do."""
    which = f" ({attempt_of(job.attempts + 1)})" if job.attempts else ""
    if error.code == DiskFull.code:
        return f"Free some space on the disk of the outbox; it is then retried automatically{which}."
    if job.place != "source":
        return f"It waits in the inbox for the rest until {clock.hour(clock.written(job.retry_at))}; you need not do anything."
    when = f"at {clock.hour(clock.written(retry_at))}" if retry_at else "when it is its turn"
    return f"It is retried automatically {when}{which}; you need not do anything."


def _warnings(job: Job) -> tuple[str, ...]:
    later = job.notes + tuple(trouble for _what, trouble in job.troubles)
    if job.published:
        return job.accepted.warnings + job.published.warnings + later
    return (job.ended.warnings if job.ended else job.accepted.warnings) + later
