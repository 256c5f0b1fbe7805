"""Gives jobs that redo others their copies of the files: from the other job's source/ into their own.

Every step can be repeated, so the same functions complete the copies after an error and after a crash. A large file is copied a
little at a time, while the daemon does its other work. Where the disk can do it, the copy shares the original's blocks.

1. Make the job's folder and `source/`, and sync them.
2. Copy each file durably under a temporary name, then rename it. So a name in source/ always stands for a whole copy.
3. Write the spec beside them, and sync.
4. Record `claimed`.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from loguru import logger

from daemon.claiming.moving import UNFINISHED, Mover, NameTakenError
from daemon.claiming.source_files import SOURCE
from daemon.contract.names import to_bytes
from daemon.contract.records import Claimed, ClaimedFile, Job, Withdrawn
from daemon.contract.words.printable import counted
from daemon.fs import HeldFolder, Wanted
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox

#: Seconds of copying in one pass of the loop.
_SLICE = 0.02
#: Seconds until copies that failed are tried again.
_AGAIN_SECONDS = 5.0


class SourceCopies:
    """Makes the copies, job by job. `clock` returns monotonic seconds."""

    def __init__(self, ledger: Ledger, outbox: Outbox, mover: Mover, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._mover = mover
        self._clock = clock
        self._job: Job | None = None
        self._copying: Iterator[None] = iter(())
        #: When the copies of a job are tried again, by job id, and why the last try failed.
        self._later: dict[str, tuple[float, str]] = {}

    def advance(self) -> bool:
        """Copy for a few milliseconds. Returns whether there is more to copy at once.

        Raises:
            JournalError: the process must stop.
        """
        until = self._clock() + _SLICE
        while (job := self._current()) is not None:
            try:
                for _ in self._copying:
                    if self._clock() >= until:
                        return True
                self._ledger.record(Claimed(job=job.job_id))
                self._later.pop(job.job_id, None)
            except NameTakenError:
                logger.error(
                    "{} is already in the outbox but is none of our jobs: redo {} again", job.job_id, job.accepted.redo_of
                )
                self._ledger.record(Withdrawn(job=job.job_id))
            except OSError as error:
                self._put_off(job, error)
            self._job = None
            if self._clock() >= until:
                return self._next() is not None
        return False

    def reason_to_wait(self) -> str | None:
        """A sentence that says why files cannot be copied; None if they can."""
        why = next((why for _, why in self._later.values()), None)
        return why and f"{counted(len(self._later), 'redone picture')} cannot be copied yet: {why}"

    def _current(self) -> Job | None:
        if self._job is None and (job := self._next()) is not None:
            self._job, self._copying = job, self._copy(job)
        return self._job

    def _next(self) -> Job | None:
        now = self._clock()
        return next(
            (job for job in self._ledger.jobs.uncopied.values() if self._later.get(job.job_id, (0.0, ""))[0] <= now), None
        )

    def _put_off(self, job: Job, error: OSError) -> None:
        why = str(error.strerror or error)
        if self._later.get(job.job_id, (0.0, ""))[1] != why:
            logger.warning("cannot copy the files of {} for {} yet: {}", job.accepted.redo_of, job.job_id, error)
        self._later[job.job_id] = self._clock() + _AGAIN_SECONDS, why

    def _copy(self, job: Job) -> Iterator[None]:
        self._mover.make_job_folder(job, again=True)
        self._mover.sync_job_folders([job])
        for file in job.accepted.files:
            with self._outbox.held_job(job.job_id, SOURCE) as source:
                yield from self._copy_file(job, file, source)
        self._mover.write_spec(job)
        self._mover.make_durable([job])

    def _copy_file(self, job: Job, file: ClaimedFile, source: HeldFolder) -> Iterator[None]:
        """Copy one file. If somebody removed it meanwhile, the job goes on without it, and says so when it fails."""
        name = to_bytes(file.to)
        if _has(source, name):
            return
        with contextlib.ExitStack() as held:
            try:
                old = held.enter_context(self._outbox.held_job(job.accepted.redo_of or "", SOURCE))
                found = old.lstat(name)
            except (FileNotFoundError, NotADirectoryError):
                logger.warning("{} is gone from the source folder of {}", file.to, job.accepted.redo_of)
                return
            wanted = Wanted(found.size, found.mtime_ns, found.ino, found.dev)
            _remove(source, UNFINISHED)
            try:
                yield from old.copy_in_background(name, source, UNFINISHED, wanted)
                source.rename(UNFINISHED, name)
            except OSError:
                # An unfinished copy must not take up the space that other jobs need until the next try.
                with contextlib.suppress(OSError):
                    _remove(source, UNFINISHED)
                raise


def _has(folder: HeldFolder, name: bytes) -> bool:
    try:
        folder.lstat(name)
    except FileNotFoundError:
        return False
    return True


def _remove(folder: HeldFolder, name: bytes) -> None:
    if _has(folder, name):
        folder.unlink(name)
