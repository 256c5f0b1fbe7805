"""Keeps the views up to date: status.json of each job, daemon.json and the page. Writes at most twice a second."""

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Literal

from loguru import logger

from daemon import __version__, clock
from daemon.contract.batch_records import BatchClosed, BatchClosing, BatchCounted, BatchUnderWay
from daemon.contract.ended.follow_ups import FollowUpFailed, FollowUpOver, FollowUpOwed
from daemon.contract.ended.pruning import Pruned
from daemon.contract.names import to_text
from daemon.contract.records import AnyRecord, Claimed, Job, LiveJob
from daemon.contract.segment_records import SegmentStart
from daemon.contract.status import Progress, Status
from daemon.jobs.retry_pause import PauseLeft
from daemon.journal.ledger import Ledger
from daemon.outbox import BatchProgress, Health, Outbox, PolledFolder, Waiting, in_line, status_of
from daemon.outbox.gallery import Gallery
from daemon.outbox.status_files import MoreWaiting
from daemon.outbox.waiting_list import WaitingList
from daemon.troubles import Troubles
from daemon.watch import Polled

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

State = Literal["starting", "running", "paused", "offline", "stopped", "refused"]

#: Seconds between two writes: nobody reads faster, and a share should not be kept busy.
_SPACING = 0.5
#: Keeping the positions in the queue up to date takes at most one of so many parts of the daemon's time.
_POSITIONS_SHARE = 20
#: The most ended jobs and polled folders in it.
_MAX_ENDED = 200
_MAX_POLLED = 100
#: How many pending jobs that wait for more than their turn daemon.json names.
_MAX_LACKING = 100
#: Only this many jobs at the head of the queue have their positions kept up to date. Those of the others are written once.
_MAX_POSITIONS = 100
#: The most status files written at once: the loop has other work, even during a flood of jobs.
_MAX_AT_ONCE = 500


#: Records that change no status.json.
_NO_STATUS_CHANGE = (BatchClosed, BatchClosing, BatchCounted, BatchUnderWay, FollowUpOwed, LiveJob, SegmentStart)


class ViewWriter:
    """Receives every record, and writes what changed when enough time has passed.

    When a job is claimed and when it ends, its status is written at once, so that every job is visible within moments.

    Args:
        outbox: where the views are written.
        ledger: the jobs.
        progress: the progress of the running jobs, by id; its owner keeps it up to date.
        ended_before: returns at most the given number of jobs that ended before this start, newest first.
        find: finds a job that ended long ago.
        paused_for: returns how many seconds a job still pauses before its next attempt.
        fetch_model: returns the command that fetches a depth model; None while one is installed.
        settings: a digest of the settings that the daemon was started with.
        start: the command that starts the daemon.
        batches: returns the batches that are not done.
        monotonic: returns monotonic seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        ledger: Ledger,
        progress: dict[str, Progress],
        ended_before: Callable[[int], Iterable[Job]],
        find: Callable[[str], Job | None],
        paused_for: PauseLeft,
        fetch_model: Callable[[], str | None],
        settings: str,
        start: str,
        batches: Callable[[], tuple[BatchProgress, ...]],
        monotonic: Callable[[], float],
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._progress = progress
        self._ended_before = ended_before
        self._find = find
        self._settings = settings
        self._paused_for = paused_for
        self._fetch_model = fetch_model
        self._batches, self._clock = batches, monotonic
        #: The progress of the running jobs, as last written.
        self._written_progress: dict[str, Progress] = {}
        self._older: list[Job] | None = None
        self._gallery = Gallery(outbox, self._ended_statuses, start)
        self._started_at = clock.now()
        self._dirty: dict[str, None] = {}
        #: The jobs of the current group of records whose status is written at once.
        self._at_once: dict[str, Job] = {}
        self._positions: dict[str, int | None] = {}
        #: When they are written again at the earliest, in monotonic seconds.
        self._positions_at = float("-inf")
        self._paused: set[str] = set()
        #: Jobs whose folders were thrown away before they ended, and put back later. The page lists these jobs.
        self._back: set[str] = set()
        self._stale = True
        self._trouble: str | None = None
        #: Jobs whose status could not be written because somebody changed their folder. The write is tried again later.
        self._unwritten: dict[str, None] = {}
        self._troubles = Troubles()
        self._written = float("-inf")
        self.state: State = "starting"
        self.problem: str | None = None
        self.hint: str | None = None
        self.last_refusal: str | None = None
        self.last_fault: str | None = None
        self._waiting = WaitingList()
        self._polled: tuple[Polled, ...] = ()
        self._lacking: Mapping[str, str] = {}

    def on_record(self, record: AnyRecord) -> None:
        """Handle a record that took effect: the status of its job has changed. Call `write_at_once` after the last of a group."""
        if isinstance(record, _NO_STATUS_CHANGE) or (isinstance(record, FollowUpOver) and not record.changes_status):
            return
        self._dirty[record.job] = None
        self._stale = True
        job = self._ledger.jobs.find(record.job)
        if job is None and isinstance(record, FollowUpFailed | FollowUpOver | Pruned):
            job = self._find(record.job)  # it ended long ago
        if job and job.ended and job.refusal and job.ended.error:
            self.last_refusal = f"{job.image.name}: {job.ended.error.message}"
        self._show_end(record.job, job)
        if job and (job.ended or isinstance(record, Claimed)):
            self._at_once[job.job_id] = job

    def write_at_once(self) -> None:
        """Write the statuses of the jobs that were claimed or have ended, by the records of one group."""
        jobs, self._at_once = list(self._at_once.values()), {}
        ended = [job for job in jobs if job.ended]
        troubles = self._outbox.write_statuses([self._status(job, None) for job in ended]) if ended else []
        for job, trouble in zip(ended, troubles, strict=True):
            self._try(partial(self._note_write, job, trouble), job)
        for job in jobs:
            if not job.ended:
                position = self._position(job)
                self._try(partial(self._write_status, job, position), job)
                if position is not None:
                    self._positions[job.job_id] = position

    def _try(self, write: Callable[[], None], job: Job) -> None:
        try:
            write()
        except OSError as error:
            # It is written later, together with everything else that is due.
            logger.warning("cannot write the status of {} yet: {}", job.job_id, error)

    def _show_end(self, job_id: str, job: Job | None) -> None:
        """Add an ended job to the page, or remove a job that is gone or was discarded."""
        if job and job.ended and not job.discarded:
            self._gallery.ended(status_of(job))
        # A person threw the job away before it ended: it is over for them, and the page has no folder to link to.
        elif (job and job.discarded) or job_id in self._ledger.jobs.removed:
            self._gallery.removed(job_id)
            self._back.discard(job_id)

    def look(self) -> None:
        """Check whether somebody removed parts of the page, or put back the folders of discarded jobs.

        The next `refresh` writes what is missing and shows these jobs.

        Raises:
            OSError: the outbox cannot be read.
        """
        self._write_what_was_refused()
        self._gallery.check_files()
        if not self._gallery.is_open:
            return  # opening the gallery checks which folders are back
        for job in self.shown():
            if not job.discarded or (back := self._is_back(job)) == (job.job_id in self._back):
                continue
            if back:
                self.rewrite(job)  # the status.json in the folder is out of date
                self._back.add(job.job_id)
                self._gallery.ended(status_of(job))
            else:
                self._back.discard(job.job_id)
                self._gallery.removed(job.job_id)
            self._stale = True

    def _write_what_was_refused(self) -> None:
        """Try again to write the statuses that could not be written into their folders."""
        for job_id in tuple(self._unwritten):
            job = self._ledger.jobs.find(job_id)
            # If a folder that was thrown away is put back, other code decides what its status says.
            if job is None or job.discarded:
                del self._unwritten[job_id]
                self._troubles.over(job_id)
            else:
                self.rewrite(job)

    def _is_back(self, job: Job) -> bool:
        """Whether the folder of a discarded job is in the outbox. If this cannot be determined, the last answer is returned."""
        try:
            return self._outbox.has(job.job_id) if self._outbox.is_healthy() else job.job_id in self._back
        except OSError:
            return job.job_id in self._back

    def next_chunk_of_ids(self) -> list[str]:
        """The ids of some older jobs on the page. Each call returns the next ones, and starts over after the last.

        Raises:
            OSError: the outbox cannot be read.
        """
        return self._gallery.next_chunk_of_ids()

    def will_write(self, job_id: str) -> bool:
        """Whether the job's status will be written soon anyway."""
        return job_id in self._dirty

    def rewrite(self, job: Job) -> None:
        """Write the status of a job now, whether or not it has changed.

        Raises:
            OSError: the disk is full. Other errors concern only this folder; they are logged, and the write is tried again.
        """
        self._write_status(job, self._position(job))

    def fault(self, sentence: str) -> None:
        """Report in daemon.json that watching the inbox failed and was repaired."""
        self.last_fault = f"{clock.now()}: {sentence}"
        self._stale = True

    def show_waiting(self, waiting: WaitingList) -> None:
        """Set what waits in the inbox."""
        # A picture that was accepted but cannot be moved yet may be in the list twice.
        once = tuple({item.path: item for item in waiting.items}.values())
        waiting = replace(waiting, items=once, total=waiting.total - (len(waiting.items) - len(once)))
        if waiting != self._waiting:
            self._waiting, self._stale = waiting, True

    @property
    def waiting_total(self) -> int:
        """How many entries wait in the inbox."""
        return self._waiting.total

    def show_lacking(self, lacking: Mapping[str, str]) -> None:
        """Set what pending jobs wait for besides their turn, by job id."""
        if lacking != self._lacking:
            changed = lacking.items() ^ self._lacking.items()
            self._dirty |= dict.fromkeys(job_id for job_id, _ in changed)
            self._lacking, self._stale = dict(lacking), True

    def show_polled(self, polled: tuple[Polled, ...]) -> None:
        """Set which inbox folders are polled instead of watched."""
        if polled != self._polled:
            self._polled, self._stale = polled, True

    def shown(self) -> list[Job]:
        """The jobs that ended last, newest first, at most 200: those of this process, then those from before its start."""
        jobs = self._ledger.jobs
        recent = list(reversed(jobs.ended.values()))
        if len(recent) >= _MAX_ENDED:
            return recent[:_MAX_ENDED]
        if self._older is None:
            self._older = list(self._ended_before(_MAX_ENDED))
        known = jobs.ended.keys() | jobs.live.keys() | jobs.removed
        return (recent + [job for job in self._older if job.job_id not in known])[:_MAX_ENDED]

    def say(self, state: State, problem: str | None = None, hint: str | None = None) -> None:
        """Set what daemon.json says about the daemon as a whole: its state, and a problem with a hint if there is one."""
        if (state, problem, hint) != (self.state, self.problem, self.hint):
            self.state, self.problem, self.hint = state, problem, hint
            self._stale = True

    def next_write(self) -> float:
        """When `refresh` is due next, in monotonic seconds; infinite while nothing changes."""
        return self._written + _SPACING if self._stale or self._moved() else float("inf")

    def report_alive(self) -> None:
        """Make the next `refresh` write daemon.json, although nothing changed. Call this at least every `ALIVE_SECONDS`."""
        self._stale = True

    def _moved(self) -> list[str]:
        """The running jobs whose progress has changed since it was last written."""
        return [job_id for job_id, progress in self._progress.items() if self._written_progress.get(job_id) is not progress]

    def refresh(self, now: float, *, force: bool = False) -> None:
        """Write what is due; with `force`, write everything now. If a view cannot be written, the next call tries again.

        `now`: monotonic seconds.
        """
        if now < self.next_write() and not force:
            return
        try:
            if not self._outbox.is_healthy():
                # What is there is not the outbox. A file written there would be hidden when the disk comes back.
                self._written = now
                return
            late = self._refresh_jobs(now, None if force else _MAX_AT_ONCE)
            health = self._health()
            self._outbox.write_health(health)
            self._gallery.write(now, health, self._live())
            self._stale = bool(self._dirty) or late
            self._trouble = None
        except OSError as error:
            if str(error) != self._trouble:
                logger.warning("cannot write the status files: {}", error)
            self._trouble = str(error)
        self._written = now

    def _refresh_jobs(self, now: float, most: int | None) -> bool:
        """Write the statuses that are due; all with `most` None. Returns whether positions in the queue are left for later."""
        jobs = self._ledger.jobs
        began = self._clock()
        paused = {job.job_id for job in jobs.postponed.values() if self._paused_for(job) > 0}
        moved: list[str] = []
        if late := self._stale and paused == self._paused and most is not None and now < self._positions_at:
            pass  # many jobs end each second, and each end moves all that wait
        elif self._stale or paused != self._paused:
            positions = {job.job_id: place for job, place in islice(in_line(jobs.queue, self._paused_for), _MAX_POSITIONS)}
            moved = [job_id for job_id, place in positions.items() if place != self._positions.get(job_id, 0)]
            self._dirty |= dict.fromkeys((*moved, *(paused ^ self._paused)))
            self._positions, self._paused = positions, paused
        self._dirty |= dict.fromkeys(self._moved())
        self._written_progress = dict(self._progress)
        for job_id in tuple(islice(self._dirty, most)):
            job = jobs.find(job_id)
            if job and job.claimed:
                self._write_status(job, self._position(job))
            self._dirty.pop(job_id, None)
        if moved:
            self._positions_at = now + _POSITIONS_SHARE * (self._clock() - began)
        return late

    def _position(self, job: Job) -> int | None:
        if job.state != "pending" or not job.claimed or job.place != "source":
            return None
        return self._positions.get(job.job_id) or self._ledger.jobs.queue.position(job)

    def _write_status(self, job: Job, position: int | None) -> None:
        status = self._status(job, position)
        try:
            self._outbox.write_status(status, durable=job.ended is not None)
        except OSError as error:
            self._note_write(job, error)
        else:
            self._note_write(job, None)

    def _note_write(self, job: Job, error: OSError | None) -> None:
        """Note how writing a job's status went. Raises OSError if the disk is full."""
        if error is None:
            self._unwritten.pop(job.job_id, None)
            self._troubles.over(job.job_id)
        elif isinstance(error, FileNotFoundError):
            # Somebody moved the folder away; other code decides what that means.
            logger.debug("the folder of {} is gone", job.job_id)
            self._unwritten[job.job_id] = None
        elif error.errno in _NO_ROOM:
            raise error
        else:
            # Something is wrong with this one folder (a file in its place, a lock). All others are still updated.
            self._troubles.tell(job.job_id, f"cannot write the status of {job.job_id}: {error}")
            self._unwritten[job.job_id] = None
        self._dirty.pop(job.job_id, None)

    def _status(self, job: Job, position: int | None) -> Status:
        return status_of(
            job,
            position=position,
            progress=self._progress.get(job.job_id),
            paused_for=self._paused_for(job),
            waits_for=self._lacking.get(job.job_id),
        )

    def _health(self) -> Health:
        jobs = self._ledger.jobs
        return Health(
            version=__version__,
            pid=os.getpid(),
            state=self.state,
            alive_at=clock.now(),
            started_at=self._started_at,
            problem=self.problem,
            hint=self.hint,
            pending=jobs.pending,
            processing=tuple(jobs.processing),
            waiting=(*self._waiting.items, *islice(self._lacking_jobs(), _MAX_LACKING)),
            waiting_total=self._waiting.total + len(self._lacking),
            waiting_more=(*self._waiting.more, *self._more_lacking()),
            last_refusal=self.last_refusal,
            last_fault=self.last_fault,
            fetch_model=self._fetch_model(),
            settings=self._settings,
            batches=self._batches(),
            polled=tuple(
                PolledFolder(folder=to_text(one.folder), share=one.share, trouble=one.trouble)
                for one in self._polled[:_MAX_POLLED]
            ),
        )

    def _lacking_jobs(self) -> Iterator[Waiting]:
        """The pending jobs that wait for something besides their turn, as entries of the waiting list."""
        for job_id, what in self._lacking.items():
            if (job := self._ledger.jobs.live.get(job_id)) is not None:
                yield Waiting(path=job.image.name, reason=f"accepted as {job_id}; it waits for {what}")

    def _more_lacking(self) -> Iterator[MoreWaiting]:
        """How many pending jobs `_lacking_jobs` leaves out, by what they wait for."""
        for what, count in Counter(islice(self._lacking.values(), _MAX_LACKING, None)).most_common():
            yield MoreWaiting(reason=f"accepted; waits for {what}", count=count)

    def _live(self) -> list[Status]:
        """The jobs that the page shows as live: running, next in the queue, or waiting in the inbox for a missing end."""
        jobs = self._ledger.jobs
        queued = [jobs.live[job_id] for job_id in self._positions if job_id in jobs.live]
        pending = [job for job in queued if job.state == "pending"]
        returned = islice(jobs.returned.values(), _MAX_POSITIONS)
        return [self._status(job, self._positions.get(job.job_id)) for job in (*jobs.processing.values(), *pending, *returned)]

    def _ended_statuses(self, most: int) -> Iterator[Status]:
        """Yield the statuses of the jobs that ended last, newest first, at most `most`.

        If `most` is above 200, the jobs are read from the journal.
        """
        jobs = self.shown() if most <= _MAX_ENDED else self._ended_before(most)
        for job in jobs:
            if job.discarded and not self._is_back(job):
                self._back.discard(job.job_id)
                continue
            if job.discarded:
                self._back.add(job.job_id)
            yield status_of(job)
