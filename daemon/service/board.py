"""Keeping the views true: status.json of each job, daemon.json, index.html. Never more often than anybody can look."""

import os
from collections.abc import Callable, Sequence
from typing import Literal

from loguru import logger

from daemon import __version__, clock
from daemon.contract.records import Job
from daemon.contract.status import Progress
from daemon.jobs.queue import queue_order
from daemon.outbox import Health, Outbox, Waiting, status_of
from daemon.outbox.gallery import render
from daemon.service.ledger import Ledger

State = Literal["starting", "running", "paused", "offline", "stopped", "refused"]

#: status.json and daemon.json change at most twice a second: nobody reads faster, and a share should not be kept busy.
_SPACING = 0.5
#: daemon.json says `alive_at` at least so often; whoever finds it older than a minute may call the daemon dead.
_ALIVE_SECONDS = 5.0
#: Lists are cut there; how many there are in all is said beside them.
_MOST_WAITING = 200
_MOST_ENDED = 200
#: Queue positions are kept true for the first jobs only; for the others they are written once.
_MOST_POSITIONS = 100


class Board:
    """Writes what changed, when enough time has passed. `progress` holds that of the running jobs.

    Args:
        outbox: where to.
        ledger: the jobs.
        progress: of the running jobs, by id; kept up to date by its owner.
        ended_before: finds the jobs that ended before this start, newest first, at most so many.
    """

    def __init__(
        self, outbox: Outbox, ledger: Ledger, progress: dict[str, Progress], ended_before: Callable[[int], Sequence[Job]]
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._progress = progress
        self._ended_before = ended_before
        self._older: list[Job] | None = None
        self._started_at = clock.now()
        self._dirty: set[str] = set()
        self._positions: dict[str, int] = {}
        self._stale = True
        self._written = float("-inf")
        self.state: State = "starting"
        self.problem: str | None = None
        self.hint: str | None = None
        self.last_refusal: str | None = None
        self._waiting: tuple[Waiting, ...] = ()

    def changed(self, job_id: str) -> None:
        """A job has something new to say. The end of a job is written at once, anything else when it is time."""
        self._dirty.add(job_id)
        self._stale = True
        job = self._ledger.jobs.find(job_id)
        if job and job.ended:
            self._write_status(job)

    def show_waiting(self, waiting: tuple[Waiting, ...]) -> None:
        """What is in the inbox and not taken."""
        if waiting != self._waiting:
            self._waiting = waiting
            self._stale = True

    def say(self, state: State, problem: str | None = None, hint: str | None = None) -> None:
        """What the daemon as a whole is doing."""
        if (state, problem, hint) != (self.state, self.problem, self.hint):
            self.state, self.problem, self.hint = state, problem, hint
            self._stale = True

    def next_write(self) -> float:
        """When `refresh` is due, monotonic seconds."""
        return self._written + (_SPACING if self._stale else _ALIVE_SECONDS)

    def refresh(self, now: float, *, force: bool = False) -> None:
        """Write what is due. A view that cannot be written is written later: it is no reason to stop."""
        if now < self.next_write() and not force:
            return
        try:
            self._refresh_jobs()
            self._outbox.write_health(self._health())
            if self._stale:
                self._outbox.write_index(self._page())
            self._stale = False
        except OSError as error:
            logger.warning("cannot write the status files: {}", error)
        self._written = now

    def _refresh_jobs(self) -> None:
        jobs = self._ledger.jobs
        if self._dirty or self._stale:
            order = queue_order(jobs.live.values(), jobs.turns)
            positions = {job.job_id: place for place, job in enumerate(order, start=1)}
            moved = [
                job_id for job_id, place in positions.items() if place <= _MOST_POSITIONS and place != self._positions.get(job_id)
            ]
            self._positions = positions
            self._dirty.update(moved)
        for job_id in tuple(self._dirty):
            job = jobs.find(job_id)
            if job and job.claimed:
                self._write_status(job)
            self._dirty.discard(job_id)

    def _write_status(self, job: Job) -> None:
        status = status_of(job, position=self._positions.get(job.job_id), progress=self._progress.get(job.job_id))
        try:
            self._outbox.write_status(status, durable=job.ended is not None)
        except FileNotFoundError:
            # Somebody dragged the folder away; what that means is decided elsewhere.
            logger.debug("the folder of {} is gone", job.job_id)
        self._dirty.discard(job.job_id)

    def _health(self) -> Health:
        live = self._ledger.jobs.live.values()
        return Health(
            version=__version__,
            pid=os.getpid(),
            state=self.state,
            alive_at=clock.now(),
            started_at=self._started_at,
            problem=self.problem,
            hint=self.hint,
            pending=sum(job.state == "pending" for job in live),
            processing=tuple(job.job_id for job in live if job.state == "processing"),
            waiting=self._waiting[:_MOST_WAITING],
            waiting_total=len(self._waiting),
            last_refusal=self.last_refusal,
        )

    def _page(self) -> str:
        if self._older is None:
            self._older = list(self._ended_before(_MOST_ENDED))
        jobs = self._ledger.jobs
        recent = list(reversed(jobs.ended.values()))
        known = jobs.ended.keys() | jobs.live.keys() | jobs.removed
        ended = recent + [job for job in self._older if job.job_id not in known]
        running = [job for job in jobs.live.values() if job.state == "processing"]
        queued = [jobs.live[job_id] for job_id in list(self._positions)[:_MOST_ENDED] if job_id in jobs.live]
        shown = [*running, *(job for job in queued if job.state == "pending"), *ended[:_MOST_ENDED]]
        statuses = [
            status_of(job, position=self._positions.get(job.job_id), progress=self._progress.get(job.job_id)) for job in shown
        ]
        return render(statuses, self._health())
