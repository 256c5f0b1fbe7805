"""Removes jobs that ended more than `outbox.keep_days` ago: once a day, a few at a time.

A job must be that old by the clock and by the journal's own count of time (`daemon.journal.elapsed_time`): this cannot be undone,
and a clock that is wrong for one start would make every job look old. The count is known for whole segments only. So each day
begins a new segment.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from loguru import logger

from daemon.contract.words.printable import counted
from daemon.errors import Refusal
from daemon.fs import FileSystem
from daemon.journal import History, old_segments
from daemon.journal.history import EndedJob
from daemon.journal.ledger import Ledger
from daemon.service.removal import Removal
from daemon.settings import Settings

_DAY = 86_400.0
#: Seconds of work in each pass of the loop.
_SLICE = 0.02


class Retention:
    """Removes old jobs of one home, if the settings say so.

    Args:
        fs: the disk.
        settings: how many days jobs stay; they may say for ever.
        ledger: the jobs.
        history: finds the jobs that ended long ago.
        removal: removes a job.
        clock: returns monotonic seconds.
        wall_clock: returns seconds since 1970.
    """

    def __init__(
        self,
        fs: FileSystem,
        settings: Settings,
        ledger: Ledger,
        history: History,
        removal: Removal,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._fs = fs
        self._days, self._journal = settings.outbox.keep_days, settings.paths.journal_bytes
        self._ledger = ledger
        self._history = history
        self._removal = removal
        self._clock, self._wall_clock = clock, wall_clock
        self._old: Iterator[EndedJob] | None = None
        self._removed = 0
        self._due = float("-inf") if self._days is not None else float("inf")

    def next_look(self, now: float) -> float:
        """When `look` is due next, in monotonic seconds."""
        return now if self._old is not None else self._due

    def is_done(self) -> bool:
        """Whether no removal is under way."""
        return self._old is None and self._due > self._clock()

    def look(self, now: float) -> None:
        """Begin once a day, and go on for a few milliseconds. `now`: monotonic seconds.

        Raises:
            JournalError: the process must stop.
        """
        if self._old is None and now >= self._due and self._days is not None:
            self._due = now + _DAY
            self._ledger.begin_segment()
            self._old = self._find(timedelta(days=self._days))
            self._removed = 0
        until = self._clock() + _SLICE
        try:
            while self._old is not None and self._clock() <= until:
                self._go_on(self._old)
        except (Refusal, OSError) as error:
            why = error.message if isinstance(error, Refusal) else error.strerror
            logger.warning("old jobs cannot be removed: {}; the next attempt is tomorrow", why)
            self._old = None

    def _find(self, keep: timedelta) -> Iterator[EndedJob]:
        before = self._before(keep)
        among = old_segments(self._fs, self._journal, keep)
        past = self._history.past(among=among) if among else iter(())
        return (ended for ended in past if datetime.fromisoformat(ended.ended_at) < before)

    def _before(self, keep: timedelta) -> datetime:
        return datetime.fromtimestamp(self._wall_clock(), UTC) - keep

    def _go_on(self, old: Iterator[EndedJob]) -> None:
        if self._days is None or (ended := next(old, None)) is None:
            self._old = None
            if self._removed and self._days is not None:
                logger.info("removed {} that ended more than {} ago", counted(self._removed, "job"), counted(self._days, "day"))
            return
        job = self._ledger.jobs.find(ended.job_id) or ended.job()
        answer = self._removal.prune(job, before=self._before(timedelta(days=self._days)), keep_source=False)
        self._removed += answer.accepted
