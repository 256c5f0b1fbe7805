"""Delivers results: copies each to the folder of `deliver.folder`, one after the other, beside the loop's other work.

A delivery that fails is tried again, for as long as it takes: the folder may be on a share that is away for days. Meanwhile the
job has a warning; it is completed in any case.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from loguru import logger

from daemon.contract.ended.follow_ups import FollowUpFailed, FollowUpOver
from daemon.contract.names import to_text
from daemon.contract.records import Accepted, AnyRecord, Job, Publishing, Removed, Requeued
from daemon.following.copying import Result, deliver
from daemon.fs import FileSystem
from daemon.fs.background import run_in_thread
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.settings import Settings
from daemon.settings.delivery_layout import place_of
from daemon.troubles import Troubles

#: Runs a function beside the loop: an iterator that yields until it has ended, and raises what it raises.
Background = Callable[[Callable[[], None]], Iterator[None]]

#: In seconds: the pause after a failure, which doubles with each further one up to the second number.
_PAUSE, _LONGEST_PAUSE = 10.0, 120.0
#: Seconds between two looks at a running copy, and how long the daemon waits for it at its end.
_LOOK = 0.05
#: A copy that takes longer than this many seconds may never end, because its disk hangs. Hooks do not wait for it.
_SLOW_SECONDS = 60.0
_LAST_SECONDS = 5.0
DELIVERY_HINT = "Connect the delivery folder (deliver.folder). The results stay in the outbox, and are tried again and again."
#: The subject of the log's messages about deliveries that fail.
_DELIVERY = "the delivery"


@dataclass(frozen=True, slots=True, eq=False)
class _Copy:
    """A copy that is being made.

    Attributes:
        job_id: the job.
        progress: ends when the copy has, or raises its error.
        made: the path of the copy, once it is there.
        began: in monotonic seconds.
        outdated: whether the job was removed or began again meanwhile.
    """

    job_id: str
    progress: Iterator[object]
    made: list[bytes]
    began: float
    outdated: bool = False


class Deliveries:
    """Makes the deliveries that the journal says are owed, in the order in which the jobs ended.

    Args:
        fs: the disk.
        settings: the delivery folder and its layout.
        ledger: the jobs, and what is owed.
        outbox: where the results are.
        find: finds a job that ended long ago.
        clock: returns monotonic seconds.
        in_background: runs the copy beside the loop.
    """

    def __init__(
        self,
        fs: FileSystem,
        settings: Settings,
        ledger: Ledger,
        outbox: Outbox,
        find: Callable[[str], Job | None],
        clock: Callable[[], float],
        in_background: Background = run_in_thread,
    ) -> None:
        self._fs = fs
        self._folder, self._layout = settings.paths.deliveries, settings.deliver.layout
        self._ledger = ledger
        self._outbox = outbox
        self._find = find
        self._clock = clock
        self._in_background = in_background
        self._copying: _Copy | None = None
        #: The jobs whose delivery failed since the last one that did not, the one whose turn it is first; the others come before.
        self._failed: dict[str, None] = {}
        #: How many deliveries failed one after the other.
        self._failures = 0
        self._why = ""
        self._troubles = Troubles()
        self._not_before = self._look_at = float("-inf")

    def on_record(self, record: AnyRecord) -> None:
        """Handle a record that took effect: the copy of a job that was removed or begins again is no longer wanted."""
        if isinstance(record, Removed | Accepted | Requeued):
            self._failed.pop(record.job, None)
            if self._copying is not None and self._copying.job_id == record.job:
                self._copying = replace(self._copying, outdated=True)

    def comes_first(self, job_id: str) -> bool:
        """Whether a job's hook should wait for its delivery: it is owed, was not tried yet, and deliveries work."""
        hangs = self._copying is not None and self._clock() > self._copying.began + _SLOW_SECONDS
        return not self._failed and not hangs and self._ledger.jobs.follow_ups.owed.get((job_id, "delivery")) == 0

    def next_look(self, now: float) -> float:
        """When `look` is due next, in monotonic seconds."""
        if self._copying:
            return self._look_at
        return max(now, self._not_before) if self._next() else float("inf")

    def is_done(self) -> bool:
        """Whether each delivery that is owed was tried, and none is being made."""
        return self._copying is None and all(failures > 0 for _job, failures in self._ledger.jobs.follow_ups.of("delivery"))

    def problem(self) -> str | None:
        """A clause that says how many results cannot be delivered now, and why; None if the last one could."""
        if not self._failed:
            return None
        count = sum(1 for _ in self._ledger.jobs.follow_ups.of("delivery"))
        results = "1 result waits" if count == 1 else f"{count:,} results wait"
        return f"{results} to be delivered to {self._folder}: {self._why}" if count else None

    def look(self, now: float) -> None:
        """Go on with the copy that is being made, or begin the next one. `now`: monotonic seconds.

        Raises:
            JournalError: the process must stop.
        """
        if self._copying is None and now >= self._not_before and (job_id := self._next()) is not None:
            self._begin(job_id)
        if self._copying is not None and now >= self._look_at:
            self._look_at = now + _LOOK
            self._go_on(now)

    def _next(self) -> str | None:
        """The job to deliver next: one that was not tried yet, otherwise the one that was tried longest ago."""
        owed = [job_id for job_id, _failures in self._ledger.jobs.follow_ups.of("delivery")]
        fresh = next((job_id for job_id in owed if job_id not in self._failed), None)
        return fresh or next(iter(self._failed), None)

    def _begin(self, job_id: str) -> None:
        job = self._ledger.jobs.find(job_id) or self._find(job_id)
        if job is None or job.published is None or self._folder is None:
            # The settings were changed since, or the job's records are gone.
            self._ledger.record(FollowUpOver(job=job_id, what="delivery", retried=True))
            return
        made: list[bytes] = []
        copying = self._in_background(partial(self._copy, job, job.published, os.fsencode(self._folder), made))
        self._copying = _Copy(job_id, copying, made, self._clock())

    def _copy(self, job: Job, published: Publishing, root: bytes, made: list[bytes]) -> None:
        """Make the copy, and put its path into `made`. This runs in a thread: it reads the job, and changes nothing of ours."""
        with self._outbox.held_job(job.job_id, b"result") as result:
            found = Result(job.job_id, published.outputs, published.manifest)
            made.append(deliver(self._fs, result, found, root, place_of(self._layout, _values(job))))

    def _go_on(self, now: float) -> None:
        if (copy := self._copying) is None:
            return
        try:
            if next(copy.progress, copy) is not copy:
                return
        except OSError as error:
            self._copying = None
            if not copy.outdated:
                self._fail(copy.job_id, error, now)
            return
        self._copying = None
        failures = self._ledger.jobs.follow_ups.owed.get((copy.job_id, "delivery"))
        logger.info("{} was delivered to {}", copy.job_id, os.fsdecode(copy.made[0]))
        self._failed.clear()
        self._failures = 0
        self._troubles.over(_DELIVERY)
        if failures is not None and not copy.outdated:
            self._ledger.record(
                FollowUpOver(job=copy.job_id, what="delivery", delivered=to_text(copy.made[0]), retried=failures > 0)
            )

    def _fail(self, job_id: str, error: OSError, now: float) -> None:
        self._not_before = now + min(_PAUSE * 2 ** min(self._failures, 10), _LONGEST_PAUSE)
        self._failures += 1
        self._failed.pop(job_id, None)
        self._failed[job_id] = None
        self._why = why = error.strerror or str(error)
        where = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, bytes | str) else ""
        self._troubles.tell(_DELIVERY, f"results cannot be delivered to {self._folder} now: {why}{where}; they are tried again")
        trouble = f"The result could not be delivered to {self._folder} yet: {why}. It stays here, and is tried again."
        job = self._ledger.jobs.find(job_id) or self._find(job_id)
        failures = self._ledger.jobs.follow_ups.owed.get((job_id, "delivery"))
        if failures is not None and (job is None or failures == 0 or ("delivery", trouble) not in job.troubles):
            self._ledger.record(FollowUpFailed(job=job_id, what="delivery", trouble=trouble))

    def stop(self) -> None:
        """Wait a little for the copy that is being made: the daemon stops. If it takes longer, it is made again later."""
        until = self._clock() + _LAST_SECONDS
        while self._copying is not None and self._clock() < until:
            self._go_on(self._clock())


def _values(job: Job) -> dict[str, str]:
    """What the placeholders of the layout stand for."""
    return {
        "batch": job.accepted.name_of_batch or "",
        "name": job.image.to.rpartition(".")[0] or job.image.to,
        "id": job.job_id,
        "preset": job.preset or "",
        "date": (job.completed_at or job.created_at)[:10],
    }
