"""Counts how far each batch is: "11 of 30". A batch is counted while a job of it lives, or its folder is in the inbox."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from daemon.contract.batch_records import BatchCounted
from daemon.contract.records import Ended, Job


@dataclass(frozen=True, slots=True)
class BatchCount:
    """One batch.

    Attributes:
        batch: its id.
        name: its name for people.
        total: how many jobs of it were accepted.
        ended: how many of these have ended.
        failed: how many of those failed.
        seconds: how long the completed ones took, all together.
        completed: how many completed.
        last_job: the job that was accepted last.
    """

    batch: str
    name: str
    last_job: str
    total: int = 0
    ended: int = 0
    failed: int = 0
    seconds: float = 0.0
    completed: int = 0

    def seconds_left(self, jobs: float, at_once: int) -> float | None:
        """About how many seconds this many jobs take, of which so many run at once; None while no job of the batch completed."""
        return self.seconds / self.completed * jobs / at_once if self.completed else None


class BatchCounts:
    """The counts by batch id. Every record that changes a count must be told."""

    def __init__(self) -> None:
        self._counts: dict[str, BatchCount] = {}

    def __iter__(self) -> Iterator[BatchCount]:
        """The batches, oldest first."""
        return iter(self._counts.values())

    def began(self, job: Job) -> None:
        """A job was accepted."""
        if (count := self._of(job)) is not None:
            self._put(replace(count, total=count.total + 1, last_job=job.job_id))

    def again(self, job: Job) -> None:
        """A job that had ended runs again."""
        if (count := self._of(job)) is not None:
            before = max(0, count.ended - 1)
            self._put(replace(count, total=max(count.total, before + 1), ended=before, failed=min(count.failed, before)))

    def withdrawn(self, job: Job) -> None:
        """A job turned out not to be one."""
        if (count := self._of(job)) is not None:
            self._put(replace(count, total=count.total - 1))

    def ended(self, job: Job, record: Ended) -> None:
        """A job ended. `job`: as it was before."""
        if (count := self._of(job)) is None:
            return
        published = job.attempt.publishing if job.attempt and record.state == "completed" else None
        self._put(
            replace(
                count,
                ended=count.ended + 1,
                failed=count.failed + (record.state == "failed"),
                seconds=count.seconds + (published.processing_seconds if published else 0.0),
                completed=count.completed + (published is not None),
            )
        )

    def restore(self, record: BatchCounted) -> None:
        """A snapshot has this count. It replaces what the jobs in the snapshot alone would give."""
        counted = {name: getattr(record, name) for name in ("batch", "name", "total", "ended", "failed", "seconds", "completed")}
        self._put(BatchCount(last_job=record.job, **counted))

    def forget_finished(self, under_way: Iterable[str]) -> None:
        """Drop the batches whose jobs have all ended, except those whose folders are in the inbox (`under_way`: their ids)."""
        over = [count.batch for count in self if count.ended >= count.total]
        if over:
            kept = set(under_way)
            for batch in over:
                if batch not in kept:
                    del self._counts[batch]

    def records(self) -> list[BatchCounted]:
        """What a snapshot must contain for `restore`."""
        return [
            BatchCounted(
                job=count.last_job,
                batch=count.batch,
                name=count.name,
                total=count.total,
                ended=count.ended,
                failed=count.failed,
                seconds=count.seconds,
                completed=count.completed,
            )
            for count in self
        ]

    def _of(self, job: Job) -> BatchCount | None:
        batch = job.accepted.batch
        if batch is None:
            return None
        return self._counts.get(batch) or BatchCount(batch, job.accepted.name_of_batch or batch, job.job_id)

    def _put(self, count: BatchCount) -> None:
        self._counts[count.batch] = count
