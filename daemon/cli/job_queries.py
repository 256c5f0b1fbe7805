"""What the verbs know about the jobs: read from the journal without disturbing the daemon that writes it."""

import os
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import chain, islice

from pydantic import ValidationError

from daemon.contract.commands import without_marks
from daemon.contract.records import Job
from daemon.contract.status import ENDED, State, Status
from daemon.errors import Refusal
from daemon.fs import FileSystem, write_atomic
from daemon.jobs.retry_pause import pause_left_at
from daemon.journal import History
from daemon.journal.history import EndedJob
from daemon.journal.index import EndedEntry
from daemon.journal.lock import is_running
from daemon.outbox import BatchProgress, Health, in_line, status_of
from daemon.outbox.ownership import Owner, Ownership, who
from daemon.settings import Settings

_MAX_BYTES = 64 << 20


class JobQueries:
    """Reads the journal, daemon.json and the status files of one home. Changes nothing but the indexes of the journal.

    `on_damage`: as for `History`; for verbs that only look.
    """

    def __init__(self, fs: FileSystem, settings: Settings, on_damage: Callable[[Refusal], None] | None = None) -> None:
        self._fs = fs
        self._paths = settings.paths
        save = partial(_save_index, fs)
        self.history = History(fs, self._paths.journal_bytes, save, remember=True, on_damage=on_damage)

    def daemon_runs(self) -> bool:
        """Whether a daemon runs in this home.

        Raises:
            OSError: this cannot be determined.
        """
        return is_running(self._fs, self._paths.lock_bytes)

    def health(self) -> Health | None:
        """daemon.json as it was last written; None if it is missing, cannot be read or is another home's."""
        if self.stranger() is not None:
            return None
        try:
            path = os.path.join(self._paths.outbox_bytes, b"daemon.json")
            return without_marks(Health.model_validate_json(self._fs.read(path, _MAX_BYTES)))
        except (OSError, ValidationError):
            return None

    def stranger(self) -> Owner | None:
        """The other home that the outbox belongs to; None if it belongs to none, or cannot be read."""
        try:
            return Ownership(self._fs, who(self._fs, self._paths)).stranger(self._paths.outbox_bytes)
        except OSError:
            return None

    def status(self, job_id: str) -> Status | None:
        """A job's status.json as it was last written; None if it is missing or cannot be read."""
        try:
            path = os.path.join(self._paths.outbox_bytes, job_id.encode(), b"status.json")
            return without_marks(Status.model_validate_json(self._fs.read(path, _MAX_BYTES)))
        except (OSError, ValidationError):
            return None

    def statuses(
        self, first: int, most: int | None, *, state: State | None = None, batches: Collection[str] | None = None
    ) -> list[Status]:
        """Jobs in this order: running; pending; back in the inbox; accepted but not claimed yet; ended, newest first.

        Args:
            first: how many jobs to skip.
            most: the maximum number of jobs to return; None: no maximum.
            state: only jobs in this state.
            batches: only jobs of these batches.

        Raises:
            Refusal: a segment of the journal is damaged.
        """

        def is_wanted(one: Status | EndedJob) -> bool:
            return _is_one_of(state, batches, one)

        found = self._live()
        # A job may end between the two readings. Whatever was seen live is not listed again.
        seen = {status.job_id for status in found}
        live = [status for status in found if is_wanted(status)]
        # The history is read lazily: nothing older than this page is read.
        past = (past for past in self.history.past() if past.job_id not in seen and is_wanted(past))
        last = None if most is None else first + most
        begin, end = max(0, first - len(live)), None if last is None else max(0, last - len(live))
        return live[first:last] + [status_of(one.job()) for one in islice(past, begin, end)]

    def count(self, *, state: State | None = None, batches: Collection[str] | None = None) -> int:
        """How many jobs there are; the arguments and errors are those of `statuses`. No record of a job that ended is read."""
        live = self._live()
        seen = {status.job_id for status in live}
        past = (ended for ended in self.history.ended_entries() if ended.job not in seen)
        everything: Iterator[Status | EndedEntry] = chain(live, past)
        return sum(_is_one_of(state, batches, one) for one in everything)

    def _live(self) -> list[Status]:
        jobs = self.history.now()
        live = [self.status(job.job_id) or status_of(job) for job in jobs.live.values() if job.state == "processing"]
        now = time.time()
        live += [status_of(job, position=place, at=now) for job, place in in_line(jobs.queue, pause_left_at(now))]
        live += [status_of(job, at=now) for job in jobs.returned.values()]
        # Their files cannot be moved out of the inbox yet, but the journal has accepted them.
        return live + [status_of(job, at=now) for job in (*jobs.unclaimed.values(), *jobs.uncopied.values())]

    def batches_under_way(self) -> tuple[BatchProgress, ...]:
        """The batches that are not done, oldest first: as the daemon reports them, or without a daemon by the journal.

        Raises:
            Refusal: a segment of the journal is damaged.
        """
        if self.daemon_runs() and (health := self.health()) is not None:
            return health.batches
        return tuple(
            BatchProgress(batch=one.batch, name=one.name, total=one.total, ended=one.ended, failed=one.failed)
            for one in self.history.now().counts
            if one.ended < one.total
        )

    def batch_progress(self, name: str) -> BatchProgress | None:
        """How far the last batch of this name or id is; None if there is none. Pictures still in the inbox do not count.

        Raises:
            Refusal: a segment of the journal is damaged.
        """
        jobs = self.history.batch(name)
        if not jobs:
            return None
        last = jobs[-1].accepted
        states = [job.state for job in jobs if job.accepted.batch == last.batch]
        ended, failed = sum(state in ENDED for state in states), states.count("failed")
        batch, shown = last.batch or name, last.name_of_batch or name
        return BatchProgress(batch=batch, name=shown, total=len(states), ended=ended, failed=failed)

    def batches(self, name: str) -> set[str]:
        """The ids of the batches with this id or this folder name; empty if there are none.

        Raises:
            Refusal: a segment of the journal is damaged.
        """
        return {job.accepted.batch for job in self.history.batch(name) if job.accepted.batch is not None}

    def job(self, job_id: str) -> Job | None:
        """What the journal knows about a job; None if it does not list the job.

        Raises:
            Refusal: a segment of the journal is damaged.
        """
        return self.history.job(job_id)


def _is_one_of(state: State | None, batches: Collection[str] | None, one: Status | EndedJob | EndedEntry) -> bool:
    return state in (None, one.state) and (batches is None or one.batch in batches)


def _save_index(fs: FileSystem, path: bytes, data: bytes) -> bool:
    """Write the index of a segment, readable only for its owner. False if that fails, or if the journal is not this user's."""
    # Whoever runs this command may have another umask than the daemon, and the journal may be private.
    umask = os.umask(0o077)
    try:
        if os.stat(os.path.dirname(path)).st_uid != os.geteuid():
            return False
        write_atomic(fs, path, data, durable=False)
    except OSError:
        return False
    finally:
        os.umask(umask)
    return True
