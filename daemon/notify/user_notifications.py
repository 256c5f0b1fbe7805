"""Gives each job's folder a colour in Finder, and shows notifications. If either does not work, the jobs go on."""

import errno
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping

from loguru import logger

from daemon.contract.records import Accepted, AnyRecord, AttemptEnded, Claimed, Ended, Job, Requeued, Started
from daemon.contract.segment_records import SegmentStart
from daemon.contract.status import State
from daemon.errors import Refusal
from daemon.jobs.fold import Jobs
from daemon.journal import History
from daemon.notify.notices import Notices
from daemon.outbox import Outbox
from daemon.platform.finder import FINDER_IS_HERE, get_attribute, holds_tags, set_attribute
from daemon.platform.finder.tags import show_state
from daemon.platform.mounts import mount_of
from daemon.platform.notify.desktop import Desktop
from daemon.settings import Settings

#: Somebody removed the folder, or put something else in its place.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
#: The time at the start of a batch id. It lacks the separators that times in records have.
_BEGINNING = re.compile(r"\d{8}T\d{6}(?=-)")
_NO_MARKS = str.maketrans("", "", "-:")


class UserNotifications:
    """Receives every record after it took effect, colours folders, and shows notifications.

    Args:
        settings: which colours and notifications are switched on.
        jobs: the current jobs.
        outbox: where the job folders are.
        desktop: shows the notifications.
        tags: whether folders get tags (colours); None: decide by the settings, the system and the outbox's disk.
        clock: returns monotonic seconds.
        history: the records from before this start; None: read the home's journal.
    """

    def __init__(
        self,
        settings: Settings,
        jobs: Jobs,
        outbox: Outbox,
        *,
        desktop: Desktop | None = None,
        tags: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        history: History | None = None,
    ) -> None:
        self._jobs = jobs
        self._outbox = outbox
        self._desktop = desktop or Desktop(os.environ)
        self._tags = _may_tag(settings, outbox) if tags is None else tags
        self._clock = clock
        self._history = history or History(outbox.fs, settings.paths.journal_bytes)
        self._notices = Notices(settings.notifications, self._recount)
        for job in jobs.live.values():
            self._notices.found(job)

    def on_record(self, record: AnyRecord) -> None:
        """Handle a durable record, after `jobs` has been updated."""
        if isinstance(record, SegmentStart):
            return
        job = self._jobs.find(record.job)
        if job is None:
            self._notices.gone(record.job)
            return
        match record:
            case Accepted() | Requeued():
                self._notices.begun(job)
            case Ended():
                self._notices.ended(job, self._clock())
        if isinstance(record, Claimed | Started | AttemptEnded | Requeued | Ended):
            self.colour(job)

    def colour(self, job: Job) -> None:
        """Give a job's folder the colour of its state."""
        if not self._tags or not job.claimed:
            return
        try:
            show_state(self._outbox.job(job.job_id), job.state, get_attribute, set_attribute)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                logger.warning("folders get no colour in Finder any more until the next start: {}", error)
                self._tags = False

    def catch_up(self) -> None:
        """After a start, set the colours of all jobs: an earlier process may have missed some."""
        for job in (*self._jobs.ended.values(), *self._jobs.live.values()):
            self.colour(job)

    def _recount(self, batch: str) -> Mapping[State, int] | None:
        """How many jobs of a batch ended in each state; None if the journal cannot be read.

        It reads the journal back to the time in the batch's id, because no job of the batch is older.
        """
        counted: Counter[State] = Counter()
        found = _BEGINNING.match(batch)
        began = found[0] if found else ""
        try:
            for past in self._history.past():
                if past.ended_at.translate(_NO_MARKS) < began:
                    break
                if past.batch == batch:
                    counted[past.state] += 1
        except (Refusal, OSError) as error:
            logger.warning("the pictures of {} cannot be counted: {}", batch, error)
            return None
        return counted

    def look(self) -> None:
        """Show the notifications that are due now."""
        for notice in self._notices.due({batch.batch for batch in self._jobs.batches.values()}, self._clock()):
            self._desktop.show(notice.title, notice.text)
        for sentence in self._notices.over:
            logger.info("{}", sentence)
        self._notices.over.clear()
        self._desktop.tidy()


def _may_tag(settings: Settings, outbox: Outbox) -> bool:
    return settings.finder.tags and FINDER_IS_HERE and holds_tags(mount_of(outbox.root))
