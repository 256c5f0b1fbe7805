"""Decides which notifications to show: one for each batch that ended, one for what failed. Shows nothing itself.

A batch has ended when all its jobs have ended and its folder is gone from the inbox. If the folder stays, somebody may still be
adding pictures. The batch then counts as ended a minute after the end of its last job. All single drops count as one batch, which
ends when all of them have ended. Failures within a few seconds share one notification, because a hundred failures must not show a
hundred notifications. For a batch that was running at a restart, the journal supplies the numbers; if it cannot be read, the
notification has none.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from daemon.contract.commands import unmarked
from daemon.contract.records import Job
from daemon.contract.status import State
from daemon.contract.words.printable import replace_unprintable
from daemon.jobs.told import end_of_batch
from daemon.settings.model import Notifications

#: If a batch's folder stays (for instance because of another file in it), the batch ends this many seconds after its last job.
_BATCH_QUIET_SECONDS = 60.0
#: The group of single drops ends this many seconds after its last job. A drop that is accepted earlier joins the group.
_SINGLES_QUIET_SECONDS = 2.0
#: Seconds between two notifications of failures. Failures within this time share one.
_FAILURES_SPACING_SECONDS = 5.0
#: The number of names in a notification, and the length of its text: as much as macOS shows.
_MAX_NAMES, _MAX_CHARACTERS = 3, 240
_ENDINGS: tuple[State, ...] = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification. Its texts are single lines and contain nothing that moves a cursor or reverses text."""

    title: str
    text: str


@dataclass(slots=True)
class _Group:
    """The jobs of one batch, or all single drops.

    `whole`: no job of the group is from before this start. `last`: when a job of the group last ended, in monotonic seconds.
    `names`: the first pictures that were completed. A group grows without end where drops never pause, so it has no more of them.
    """

    name: str
    whole: bool = True
    live: set[str] = field(default_factory=set)
    completed: int = 0
    names: list[str] = field(default_factory=list)
    failed: int = 0
    cancelled: int = 0
    last: float = float("-inf")


class Notices:
    """Follows the jobs and says which notifications are due.

    Args:
        wanted: which kinds of notification are switched on.
        recount: returns how many jobs of a batch ended in each state, from the journal; None if that is unknown.
    """

    def __init__(self, wanted: Notifications, recount: Callable[[str], Mapping[State, int] | None]) -> None:
        self._wanted = wanted
        self._recount = recount
        self._groups: dict[str | None, _Group] = {}
        self._failed: list[Job] = []
        self._failures_at = float("-inf")
        self.over: list[str] = []
        """What the log is to say about the batches that ended; whoever logs it empties the list."""

    def found(self, job: Job) -> None:
        """Add a job that was accepted before this start and has not ended."""
        group = self._group(job)
        group.whole = False
        group.live.add(job.job_id)

    def begun(self, job: Job) -> None:
        """Add a job that was accepted, or that runs again."""
        self._group(job).live.add(job.job_id)

    def ended(self, job: Job, now: float) -> None:
        """Note that a job has ended. `now`: monotonic seconds."""
        group = self._group(job)
        group.live.discard(job.job_id)
        group.last = now
        if job.state == "completed":
            group.completed += 1
            if len(group.names) < _MAX_NAMES:
                group.names.append(job.image.name)
        elif job.state == "failed":
            group.failed += 1
            self._failed.append(job)
        else:
            group.cancelled += 1

    def gone(self, job_id: str) -> None:
        """Forget a job that no longer exists: its claim was withdrawn, or the job was removed."""
        for group in self._groups.values():
            group.live.discard(job_id)

    def due(self, open_batches: Collection[str], now: float) -> list[Notice]:
        """The notifications that are due now, each returned once.

        Args:
            open_batches: the ids of the batches whose folders are in the inbox.
            now: monotonic seconds.
        """
        notices = []
        if self._failed and now >= self._failures_at:
            notices += [_failures(self._failed)] if self._wanted.failures else []
            self._failed, self._failures_at = [], now + _FAILURES_SPACING_SECONDS
        for batch, group in list(self._groups.items()):
            if _is_over(batch, group, open_batches, now):
                del self._groups[batch]
                notices += self._end(batch, group)
        return notices

    def _group(self, job: Job) -> _Group:
        batch = job.accepted.batch
        return self._groups.setdefault(batch, _Group(job.accepted.folder or batch or ""))

    def _end(self, batch: str | None, group: _Group) -> list[Notice]:
        done = group.completed
        ended: Mapping[State, int] = dict(zip(_ENDINGS, (done, group.failed, group.cancelled), strict=True))
        if batch is not None and any(ended.values()):
            if not group.whole:
                ended = self._recount(batch) or {}
            self.over.append(end_of_batch(group.name, ended))
        if batch is not None and self._wanted.batches and (done or group.failed):
            counted = _counted(*(ended.get(state, 0) for state in _ENDINGS))
            return [
                Notice("Multiplane: a batch is done", one_line(f"{group.name}: {counted or 'all of its pictures are through'}"))
            ]
        if batch is None and self._wanted.singles and done:
            others = _counted(0, group.failed, group.cancelled)
            rest = f" ({others})" if others else ""
            several = "The layers are there" if done == 1 else f"The layers of {done:,} pictures are there"
            return [Notice("Multiplane: layers", one_line(f"{several}: {_names(group.names, done)}{rest}"))]
        return []


def _is_over(batch: str | None, group: _Group, open_batches: Collection[str], now: float) -> bool:
    if group.live:
        return False
    if batch is None:
        return now - group.last >= _SINGLES_QUIET_SECONDS
    return batch not in open_batches or now - group.last >= _BATCH_QUIET_SECONDS


def _failures(jobs: Sequence[Job]) -> Notice:
    if len(jobs) > 1:
        text = f"{_names([job.image.name for job in jobs], len(jobs))}. index.html in the outbox says why."
        return Notice(f"Multiplane: {len(jobs):,} pictures failed", one_line(text))
    job = jobs[0]
    why = job.ended.error.message if job.ended and job.ended.error else "no reason is known"
    # The sentence often names the picture already.
    named = why if job.image.name in why else f"{job.image.name}: {why}"
    return Notice("Multiplane: a picture failed", one_line(named))


def _counted(done: int, failed: int, cancelled: int) -> str:
    parts = ((done, "done"), (failed, "failed"), (cancelled, "cancelled"))
    return ", ".join(f"{number:,} {what}" for number, what in parts if number)


def _names(names: Sequence[str], count: int) -> str:
    """The first of the names, and how many of the `count` pictures are not named."""
    more = count - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def one_line(text: str) -> str:
    """The text on one line, cut at 240 characters. Unprintable characters (controls, direction marks) become dots."""
    # The zero-width joiner holds the parts of an emoji together.
    shown = replace_unprintable(unmarked(text), keep="\u200d")
    return shown if len(shown) <= _MAX_CHARACTERS else shown[: _MAX_CHARACTERS - 1] + "…"
