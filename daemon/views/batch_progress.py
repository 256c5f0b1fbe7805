"""How far each batch is, and how long it still takes, for daemon.json and the page."""

from collections.abc import Callable, Mapping

from daemon.contract.status import Progress
from daemon.jobs.batch_counts import BatchCount
from daemon.jobs.fold import Jobs
from daemon.outbox import BatchProgress

#: The most batches that are listed: those that were dropped last.
_MAX_BATCHES = 50


def batches_under_way(
    jobs: Jobs, progress: Mapping[str, Progress], left_in: Callable[[str], int], at_once: int
) -> tuple[BatchProgress, ...]:
    """The batches that are not done, oldest first.

    Args:
        jobs: all jobs.
        progress: the progress of the running jobs, by id.
        left_in: returns how many pictures are still in a folder of the inbox.
        at_once: how many jobs may run at once.
    """
    folders = {batch.batch: batch.folder for batch in jobs.batches.values()}
    found = []
    for count in jobs.counts:
        waiting = left_in(folders[count.batch]) if count.batch in folders else 0
        if count.ended < count.total or waiting:
            left = _seconds_left(count, jobs, progress, waiting, at_once)
            found.append(
                BatchProgress(
                    batch=count.batch,
                    name=count.name,
                    total=count.total + waiting,
                    ended=count.ended,
                    failed=count.failed,
                    eta_seconds=None if left is None else round(left, 1),
                )
            )
    return tuple(found[-_MAX_BATCHES:])


def _seconds_left(count: BatchCount, jobs: Jobs, progress: Mapping[str, Progress], waiting: int, at_once: int) -> float | None:
    """About how many seconds until the last job of a batch ends; None if unknown.

    Jobs of other batches that have their turns before are assumed to take as long as those of this one.
    """
    running = [progress.get(job.job_id) for job in jobs.processing.values() if job.accepted.batch == count.batch]
    etas = [known.eta_seconds for known in running if known and known.eta_seconds is not None]
    before = jobs.queue.last_position(count.batch) + waiting
    if before == 0:
        return max(etas, default=None)
    queued = count.seconds_left(before, at_once)
    return None if queued is None else queued + max(etas, default=0.0)
