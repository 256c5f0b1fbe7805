"""Folds the journal's records into jobs: defines what each record means.

This is the "evolve" half of the usual decide/evolve pair; `daemon.jobs.decide` is the "decide" half.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol

from daemon import clock
from daemon.contract.batch_records import BatchClosed, BatchClosing, BatchCounted, BatchUnderWay
from daemon.contract.ended.follow_ups import FollowUpFailed, FollowUpOver, FollowUpOwed
from daemon.contract.ended.pruning import Pruned
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
    Noted,
    Publishing,
    Removed,
    Requeued,
    Retaken,
    Returned,
    Returning,
    Started,
    Withdrawn,
)
from daemon.contract.segment_records import SegmentStart
from daemon.jobs.batch_counts import BatchCounts
from daemon.jobs.follow_ups import FollowUps, after_follow_up
from daemon.jobs.queue import Queue

#: How many ended jobs stay in memory for the gallery and for quick answers; the history has the older ones.
RECENT = 200

#: Statuses are written soon after their records, so a crash can only have interrupted the last few.
_LATELY = 32


class Dated(Protocol):
    """A record with its number and its time (UTC, RFC 3339) in the journal."""

    @property
    def seq(self) -> int: ...  # noqa: D102
    @property
    def ts(self) -> str: ...  # noqa: D102
    @property
    def record(self) -> AnyRecord: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch folder in the inbox: its id, its last job, and whether it is being removed."""

    folder: str
    batch: str
    last_job: str
    closing: bool = False


class Jobs:
    """The jobs according to the records. They are grouped by what must be done with them, so no caller has to search them all.

    All mappings of jobs are by id.

    Attributes:
        keep: how many ended jobs are kept in memory; None keeps all.
        live: jobs that have not ended, by arrival.
        ended: the jobs that ended last, oldest first.
        removed: ids of jobs that were removed, and not begun again.
        turns: the number (`seq`) of the `started` record of each batch's last turn, by batch id. The key None stands for single
            drops.
        queue: the jobs that wait for their turn.
        pending: how many are pending, including those still being claimed.
        processing: running jobs.
        unclaimed: accepted jobs whose files are not all moved from the inbox to source/ yet.
        uncopied: accepted jobs that redo others, and do not have their copies of the files yet.
        postponed: pending jobs that are retried at a certain time.
        returned: jobs whose picture waits in the inbox for its rest; they are not counted as pending.
        workerless: jobs that need no worker to continue: they are refused, cancelled or returning to the inbox, or have a result
            that only has to be published.
        batches: the batch folders in the inbox from which pictures were taken.
        counts: how far each batch is.
        follow_ups: what is still to be done for jobs that have ended.
    """

    def __init__(self, *, keep: int | None = RECENT) -> None:
        self.keep = keep
        self.live: dict[str, Job] = {}
        self.ended: dict[str, Job] = {}
        self.removed: set[str] = set()
        self.turns: dict[str | None, int] = {}
        self.queue = Queue(self.live, self.turns)
        self.pending = 0
        self.processing: dict[str, Job] = {}
        self.unclaimed: dict[str, Job] = {}
        self.uncopied: dict[str, Job] = {}
        self.postponed: dict[str, Job] = {}
        self.returned: dict[str, Job] = {}
        self.workerless: dict[str, Job] = {}
        self.batches: dict[str, Batch] = {}
        self.counts = BatchCounts()
        self.follow_ups = FollowUps()
        #: The last jobs whose status changed after their end. If the process died then, their status.json may not say so.
        self.lately_changed: deque[str] = deque(maxlen=_LATELY)

    def find(self, job_id: str) -> Job | None:
        """A live or recently ended job; None if there is none with this id."""
        return self.live.get(job_id) or self.ended.get(job_id)

    def apply(self, entry: Dated) -> None:
        """Apply one more record. A record of an unknown job is ignored: that job ended in an older segment."""
        record = entry.record
        self.follow_ups.apply(record)
        match record:
            case SegmentStart() | FollowUpOwed():
                return
            case Accepted():
                job = _new(record, entry)
                self._begin(job)
                self.counts.began(job)
            case LiveJob():
                self._begin(record.value)
                self.counts.began(record.value)
            case Requeued():
                self._begin(record.value)
                self.counts.again(record.value)
            case Removed():
                self._drop(record.job)
                self.ended.pop(record.job, None)
                self.removed.add(record.job)
            case Withdrawn():
                if (withdrawn := self._drop(record.job)) is not None:
                    self.counts.withdrawn(withdrawn)
                    self._forget_counts()
            case Ended():
                self._end(record, entry.ts)
            case Noted():
                self._note(record)
            case FollowUpFailed() | FollowUpOver():
                self.lately_changed.append(record.job)
                if record.job in self.ended:
                    self.ended[record.job] = after_follow_up(self.ended[record.job], record)
            case Pruned():
                self.lately_changed.append(record.job)
                if record.job in self.ended:
                    self.ended[record.job] = replace(self.ended[record.job], pruned_at=entry.ts)
            case BatchUnderWay() | BatchClosing():
                self.batches[record.folder] = Batch(record.folder, record.batch, record.job, isinstance(record, BatchClosing))
            case BatchClosed():
                self.batches.pop(record.folder, None)
                self._forget_counts()
            case BatchCounted():
                self.counts.restore(record)
            case _ if record.job in self.live:
                job = _advance(self.live[record.job], record, entry.ts)
                self._put(job)
                if isinstance(record, Started):
                    self.turns[job.accepted.batch] = entry.seq

    def other_records(self) -> list[AnyRecord]:
        """What a snapshot has in place of `batches`, `counts` and `follow_ups`. Replaying these records gives the same ones."""
        return [
            *(
                (BatchClosing if batch.closing else BatchUnderWay)(job=batch.last_job, folder=batch.folder, batch=batch.batch)
                for batch in self.batches.values()
            ),
            *self.counts.records(),
            *self.follow_ups.records(),
        ]

    def _forget_counts(self) -> None:
        self.counts.forget_finished(batch.batch for batch in self.batches.values())

    def _begin(self, job: Job) -> None:
        self.ended.pop(job.job_id, None)
        self.removed.discard(job.job_id)
        self._put(job)
        if (batch := job.accepted.batch) is not None and not job.claimed and job.accepted.redo_of is None:
            self.batches[job.accepted.folder] = Batch(job.accepted.folder, batch, job.job_id)

    def _note(self, record: Noted) -> None:
        if record.job in self.live:
            job = self.live[record.job]
            self._put(replace(job, notes=(*job.notes, record.warning)))
        elif record.job in self.ended:
            job = self.ended[record.job]
            self.ended[record.job] = replace(job, notes=(*job.notes, record.warning))

    def _end(self, record: Ended, ts: str) -> None:
        job = self._drop(record.job)
        if job is None:
            return
        self.counts.ended(job, record)
        self._forget_counts()
        published = job.attempt.publishing if job.attempt and record.state == "completed" else None
        self.ended[record.job] = replace(
            job, state=record.state, ended=record, published=published, attempt=None, completed_at=ts, cancel_requested=False
        )
        if self.keep is not None and len(self.ended) > self.keep:
            del self.ended[next(iter(self.ended))]

    def _put(self, job: Job) -> None:
        """Store the current state of a job in `live` and in every group to which it belongs."""
        if job.job_id in self.live:
            self._unlist(self.live[job.job_id])
        self.live[job.job_id] = job
        self.pending += _counts(job)
        if _queued(job):
            self.queue.add(job)
        for place, belongs in self._places(job):
            if belongs:
                place[job.job_id] = job

    def _drop(self, job_id: str) -> Job | None:
        if job_id not in self.live:
            return None
        self._unlist(self.live[job_id])
        return self.live.pop(job_id)

    def _unlist(self, job: Job) -> None:
        self.pending -= _counts(job)
        if _queued(job):
            self.queue.remove(job)
        for place, _ in self._places(job):
            place.pop(job.job_id, None)

    def _places(self, job: Job) -> tuple[tuple[dict[str, Job], bool], ...]:
        publishing = job.attempt is not None and job.attempt.publishing is not None
        moving = job.place == "returning" or (job.place == "inbox" and job.cancel_requested)
        return (
            (self.processing, job.state == "processing"),
            (self.unclaimed, not job.claimed and job.accepted.redo_of is None),
            (self.uncopied, not job.claimed and job.accepted.redo_of is not None),
            (self.postponed, job.state == "pending" and job.retry_at > 0),
            (self.returned, job.place == "inbox"),
            (self.workerless, publishing or moving or (_queued(job) and (job.cancel_requested or job.refusal is not None))),
        )


def _counts(job: Job) -> bool:
    return job.state == "pending" and job.place != "inbox"


def _queued(job: Job) -> bool:
    return job.state == "pending" and job.claimed and job.place == "source"


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


_Step = Claimed | Started | AttemptEnded | Returning | Returned | Retaken | Publishing | CancelRequested


def _advance(job: Job, record: _Step, ts: str) -> Job:
    match record:
        case Claimed():
            return replace(job, claimed=True)
        case Started(attempt=folder, process=process, machine=machine):
            attempts = job.attempts + (0 if job.attempt and job.attempt.folder == folder else 1)
            running = Attempt(folder=folder, process=process, machine=machine)
            return replace(job, state="processing", attempts=attempts, attempt=running, started_at=ts, machine=machine)
        case AttemptEnded(error=error, counts=counts, retry_at=retry_at):
            attempts = job.attempts if counts else job.attempts - 1
            # Both times are by the same clock at the same moment, so their difference is right even if the clock is set later.
            pause = max(0.0, retry_at - clock.seconds(ts))
            return replace(
                job,
                state="pending",
                attempts=attempts,
                attempt=None,
                retry_at=retry_at,
                pause=pause,
                last_error=error,
                place="source",
            )
        case Returning(error=error, until=until):
            attempts = job.attempts - 1
            return replace(
                job,
                state="pending",
                attempts=attempts,
                attempt=None,
                retry_at=until,
                pause=max(0.0, until - clock.seconds(ts)),
                last_error=error,
                place="returning",
                back=record,
            )
        case Returned():
            return replace(job, place="inbox")
        case Retaken(value=value):
            return replace(
                job,
                accepted=value,
                spec=value.spec,
                mode=value.mode,
                refusal=value.refusal,
                claimed=False,
                retry_at=0.0,
                last_error=None,
                place="source",
            )
        case Publishing():
            attempt = replace(job.attempt, publishing=record) if job.attempt else None
            return replace(job, attempt=attempt)
        case CancelRequested():
            return replace(job, cancel_requested=True, discarded=job.discarded or record.discarded)
