"""Which notifications there are to be: one for a batch when it has ended, one for what failed. Decides, and shows nothing.

A batch has ended when none of its jobs is left to be done and its folder is gone from the inbox, or when nothing of it moved for
a minute: somebody may still be putting pictures into the folder. What was dropped singly counts as one batch that ends as soon
as nothing of it is left to be done. A hundred failures in a minute are not a hundred notifications: what failed within a few
seconds of the one told last is put together. Of a batch that was under way at a restart the numbers are counted anew where the
jobs are recorded; where that cannot be, its end is told without them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from daemon.contract.legible import legible
from daemon.contract.records import Job
from daemon.contract.status import State
from daemon.settings.model import Notifications

#: A batch whose folder stays, say for a file that is none of ours, is over when nothing of it has ended for so long.
_BATCH_QUIET_SECONDS = 60.0
#: Between the end of one single drop and the acceptance of the next that was dropped with it.
_SINGLES_QUIET_SECONDS = 2.0
#: Failures that follow each other faster are told together.
_FAILURES_SPACING_SECONDS = 5.0
#: Names in one notification, and the length of its text: what macOS shows of it.
_MAX_NAMES, _MAX_CHARACTERS = 3, 240
_ENDINGS: tuple[State, ...] = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification. Text for people: one line each, nothing in it that moves a cursor or reverses it."""

    title: str
    text: str


@dataclass(slots=True)
class _Group:
    """The jobs of one batch, or those that came singly. `whole`: all of them were heard of from their beginning."""

    name: str
    whole: bool = True
    live: set[str] = field(default_factory=set)
    completed: list[str] = field(default_factory=list)
    failed: int = 0
    cancelled: int = 0
    last: float = float("-inf")


class Notices:
    """Hears of jobs, says what is to be told.

    Args:
        wanted: which notifications there are to be.
        recount: how many jobs of a batch ended in each state, by all that is recorded; none if that cannot be told.
    """

    def __init__(self, wanted: Notifications, recount: Callable[[str], Mapping[State, int] | None]) -> None:
        self._wanted = wanted
        self._recount = recount
        self._groups: dict[str | None, _Group] = {}
        self._failed: list[Job] = []
        self._failures_at = float("-inf")

    def found(self, job: Job) -> None:
        """A job that was there before this start, and is not ended."""
        group = self._group(job)
        group.whole = False
        group.live.add(job.job_id)

    def begun(self, job: Job) -> None:
        """A job was accepted, or is to run again."""
        self._group(job).live.add(job.job_id)

    def ended(self, job: Job, now: float) -> None:
        """A job has ended; `now` on the monotonic clock."""
        group = self._group(job)
        group.live.discard(job.job_id)
        group.last = now
        if job.state == "completed":
            group.completed.append(job.image.name)
        elif job.state == "failed":
            group.failed += 1
            self._failed.append(job)
        else:
            group.cancelled += 1

    def gone(self, job_id: str) -> None:
        """There is no such job any more: its files were taken back, or it was removed."""
        for group in self._groups.values():
            group.live.discard(job_id)

    def due(self, open_batches: Collection[str], now: float) -> list[Notice]:
        """What is to be told now; each thing is told once.

        Args:
            open_batches: the ids of the batches whose folder is in the inbox.
            now: on the monotonic clock.
        """
        told = []
        if self._failed and now >= self._failures_at:
            told += [_failures(self._failed)] if self._wanted.failures else []
            self._failed, self._failures_at = [], now + _FAILURES_SPACING_SECONDS
        for batch, group in list(self._groups.items()):
            if _is_over(batch, group, open_batches, now):
                del self._groups[batch]
                told += self._end(batch, group)
        return told

    def _group(self, job: Job) -> _Group:
        batch = job.accepted.batch
        return self._groups.setdefault(batch, _Group(job.accepted.folder or batch or ""))

    def _end(self, batch: str | None, group: _Group) -> list[Notice]:
        done = len(group.completed)
        if batch is not None and self._wanted.batches and (done or group.failed):
            counted = _counted(done, group.failed, group.cancelled)
            if not group.whole:
                recounted = self._recount(batch) or {}
                counted = _counted(*(recounted.get(state, 0) for state in _ENDINGS))
            return [Notice("Multiplane: a batch is done", plain(f"{group.name}: {counted or 'all of its pictures are through'}"))]
        if batch is None and self._wanted.singles and done:
            others = _counted(0, group.failed, group.cancelled)
            rest = f" ({others})" if others else ""
            several = "The layers are there" if done == 1 else f"The layers of {done:,} pictures are there"
            return [Notice("Multiplane: layers", plain(f"{several}: {_names(group.completed)}{rest}"))]
        return []


def _is_over(batch: str | None, group: _Group, open_batches: Collection[str], now: float) -> bool:
    if group.live:
        return False
    if batch is None:
        return now - group.last >= _SINGLES_QUIET_SECONDS
    return batch not in open_batches or now - group.last >= _BATCH_QUIET_SECONDS


def _failures(jobs: Sequence[Job]) -> Notice:
    if len(jobs) > 1:
        text = f"{_names([job.image.name for job in jobs])}. index.html in the outbox says why."
        return Notice(f"Multiplane: {len(jobs):,} pictures failed", plain(text))
    job = jobs[0]
    why = job.ended.error.message if job.ended and job.ended.error else "no reason is known"
    # The sentence often names the picture itself.
    named = why if job.image.name in why else f"{job.image.name}: {why}"
    return Notice("Multiplane: a picture failed", plain(named))


def _counted(done: int, failed: int, cancelled: int) -> str:
    parts = ((done, "done"), (failed, "failed"), (cancelled, "cancelled"))
    return ", ".join(f"{number:,} {what}" for number, what in parts if number)


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def plain(text: str) -> str:
    """One line of at most 240 characters; what is not printed (controls, marks that reverse the text) becomes a dot."""
    # The joiner holds the parts of an emoji together.
    shown = legible(text, keep="\u200d")
    return shown if len(shown) <= _MAX_CHARACTERS else shown[: _MAX_CHARACTERS - 1] + "…"
