"""fold(records) → jobs: what the journal's records add up to."""

from dataclasses import replace
from typing import Protocol

from daemon.contract.records import (
    Accepted,
    AnyRecord,
    Attempt,
    AttemptEnded,
    CancelRequested,
    Claimed,
    Ended,
    Job,
    LiveJob,
    Publishing,
    Removed,
    Requeued,
    SegmentStart,
    Started,
    Withdrawn,
)

#: Ended jobs kept in memory for the gallery and for quick answers; older ones are in the history.
RECENT = 200


class Dated(Protocol):
    """A record with its place and time in the journal."""

    @property
    def seq(self) -> int: ...  # noqa: D102
    @property
    def ts(self) -> str: ...  # noqa: D102
    @property
    def record(self) -> AnyRecord: ...  # noqa: D102


class Jobs:
    """The jobs as the records tell them. `live`: not ended, by arrival. `ended`: the last `keep` (none: all), oldest first."""

    def __init__(self, *, keep: int | None = RECENT) -> None:
        self._keep = keep
        self.live: dict[str, Job] = {}
        self.ended: dict[str, Job] = {}
        self.removed: set[str] = set()
        #: When each batch (None: single drops) last had its turn, as the sequence number of the start.
        self.turns: dict[str | None, int] = {}

    def find(self, job_id: str) -> Job | None:
        """A live or recently ended job."""
        return self.live.get(job_id) or self.ended.get(job_id)

    def apply(self, entry: Dated) -> None:
        """Take one more record into account. Records of jobs that are not known are of ended jobs in older segments."""
        record = entry.record
        if isinstance(record, SegmentStart):
            return
        if isinstance(record, Accepted):
            self._begin(_new(record, entry))
        elif isinstance(record, LiveJob | Requeued):
            self._begin(record.value)
        elif isinstance(record, Removed):
            self.live.pop(record.job, None)
            self.ended.pop(record.job, None)
            self.removed.add(record.job)
        elif isinstance(record, Withdrawn):
            self.live.pop(record.job, None)
        elif isinstance(record, Ended):
            self._end(record, entry.ts)
        elif record.job in self.live:
            job = self.live[record.job] = _advance(self.live[record.job], record, entry.ts)
            if isinstance(record, Started):
                self.turns[job.accepted.batch] = entry.seq

    def _begin(self, job: Job) -> None:
        self.ended.pop(job.job_id, None)
        self.removed.discard(job.job_id)
        self.live[job.job_id] = job

    def _end(self, record: Ended, ts: str) -> None:
        job = self.live.pop(record.job, None)
        if job is None:
            return
        published = job.attempt.publishing if job.attempt and record.state == "completed" else None
        self.ended[record.job] = replace(
            job, state=record.state, ended=record, published=published, attempt=None, completed_at=ts, cancel_requested=False
        )
        if self._keep is not None and len(self.ended) > self._keep:
            del self.ended[next(iter(self.ended))]


def _new(record: Accepted, entry: Dated) -> Job:
    return Job(
        job_id=record.job,
        accepted=record,
        sequence=entry.seq,
        created_at=entry.ts,
        spec=record.spec,
        mode=record.mode,
        refusal=record.refusal,
    )


def _advance(job: Job, record: Claimed | Started | AttemptEnded | Publishing | CancelRequested, ts: str) -> Job:
    match record:
        case Claimed():
            return replace(job, claimed=True)
        case Started(attempt=folder, process=process):
            attempts = job.attempts + (0 if job.attempt and job.attempt.folder == folder else 1)
            return replace(
                job, state="processing", attempts=attempts, attempt=Attempt(folder=folder, process=process), started_at=ts
            )
        case AttemptEnded(error=error, counts=counts, retry_at=retry_at):
            attempts = job.attempts if counts else job.attempts - 1
            return replace(job, state="pending", attempts=attempts, attempt=None, retry_at=retry_at, last_error=error)
        case Publishing():
            attempt = replace(job.attempt, publishing=record) if job.attempt else None
            return replace(job, attempt=attempt)
        case CancelRequested():
            return replace(job, cancel_requested=True)
