"""Returns a picture whose end is missing to the inbox, so that its writer can open it there by name and continue.

The job stays pending under its id, and status.json says what it waits for. The order, and why:

1. Record `returning`. If a crash follows, recovery completes the return before anything reads the inbox.
2. Link each file to its old name in the inbox, the picture first. A name that is taken is never replaced. If the picture's name
   is taken, nothing has moved yet, and the picture settles in source/ instead.
3. Sync the inbox folder: the names there must be durable before those in source/ are removed.
4. Remove the names in source/, and sync it. If a power loss brought a name back, it would block the next claim.
5. Record `returned`. The next claim of a picture with this name continues this job (`daemon.claiming.acceptance`).

Most pictures without their end are not even taken (`daemon.intake.picture_end`). This module handles a picture if only
a decoder notices that the end is missing. If a writer opens the name between the claim and the return, it makes a second file.
That cannot be repaired, because the two parts cannot be matched with certainty. When the job fails, its message names both files.

A crash between 2 and 4 leaves two names of one file, which the next try recognises.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from loguru import logger

from daemon.claiming.inbox_folders import InboxFolders
from daemon.contract.names import to_bytes
from daemon.contract.records import AnyRecord, AttemptEnded, ClaimedFile, Job, Retaken, Returned, Returning
from daemon.contract.status import ErrorInfo
from daemon.fs import FileSystem, HeldFolder, Stat
from daemon.jobs import decide
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.running.late_writes import LateWrites

#: Errors that may be temporary. All others mean that a file cannot have its old name.
_PASSING = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EBUSY, errno.EAGAIN)


@dataclass
class Returns:
    """Returns pictures to the inbox, and watches over those that wait there."""

    fs: FileSystem
    inbox: bytes
    outbox: Outbox
    ledger: Ledger
    settling: LateWrites
    #: Jobs whose picture was missing at the last check.
    _missing: set[str] = field(default_factory=set)

    def proposal(self, job: Job, error: ErrorInfo, *, now: float) -> Returning | None:
        """The record that begins the return of a job's picture; None if it should not return, or if its name is taken.

        `now` is in seconds since 1970.
        """
        try:
            seen = self.settling.fingerprint(job)
            if seen is None or self._look(job, job.image) is not None:
                return None
        except OSError:
            return None
        return decide.return_to_inbox(job, error, size=seen[0], mtime_ns=seen[1], now=now)

    def continue_return(self, job: Job) -> AnyRecord:
        """Continue to return a job's files to the inbox or, if the job was cancelled, fetch its files from there.

        Returns the record of the outcome.

        Raises:
            OSError: it could not be completed now; try again later.
        """
        return self._send_back(job) if job.place == "returning" else self._fetch(job)

    def explain(self, job: Job, error: ErrorInfo, *, now: float) -> ErrorInfo:
        """The error. If a picture is incomplete, it includes a guess at what happened to the rest. `now`: seconds since 1970."""
        if not decide.is_cut_off(error):
            return error
        try:
            other = self._look(job, job.image)
        except OSError:
            other = None
        return decide.incomplete_for_good(job, error, now=now, other=other.size if other else None)

    def missing(self) -> list[Job]:
        """The jobs whose picture was missing from the inbox in two checks in a row, while the inbox itself was there."""
        returned = list(self.ledger.jobs.returned.values())
        gone = {job.job_id for job in returned if self._is_gone(job)}
        twice, self._missing = gone & self._missing, gone
        return [job for job in returned if job.job_id in twice]

    def _is_gone(self, job: Job) -> bool:
        try:
            return self._look(job, job.image) is None
        except OSError:
            return False

    def _send_back(self, job: Job) -> AnyRecord:
        with self.outbox.held_job(job.job_id, b"source") as source:
            try:
                with self._inbox_folder(job) as folder:
                    returned = self._move_back(job, source, folder)
            except (FileNotFoundError, NotADirectoryError):
                # Somebody removed the inbox folder, with any files that were already returned. If the picture was among them,
                # `missing` reports it later.
                returned = _look_in(source, to_bytes(job.image.to)) is None
        if not returned:
            return self._stay(job)
        self.settling.forget(job)
        return Returned(job=job.job_id)

    def _move_back(self, job: Job, source: HeldFolder, folder: HeldFolder) -> bool:
        """Do steps 2 to 4. Returns False, and changes nothing, if the picture cannot have its old name."""
        moved = list[bytes]()
        for file in job.accepted.files:
            try:
                if _link_back(file, source, folder):
                    moved.append(to_bytes(file.to))
            except OSError as error:
                if error.errno in _PASSING:
                    raise
                logger.info("{} of {} cannot go back to the inbox: {}", file.to, job.job_id, error.strerror)
                if file.role == "image":
                    return False
        folder.sync_dir()
        for name in moved:
            source.unlink(name)
        effective = to_bytes(job.accepted.effective) if job.accepted.effective else None
        if effective and _look_in(source, effective) is not None:
            source.unlink(effective)  # the next claim makes it again
        source.sync_dir()
        return True

    def _stay(self, job: Job) -> AnyRecord:
        pause = decide.SETTLING_PAUSES[0]
        written = job.back.mtime_ns / 1e9 if job.back else 0.0
        return AttemptEnded(job=job.job_id, error=job.last_error, counts=True, retry_at=written + pause)

    def _fetch(self, job: Job) -> AnyRecord:
        """The record that claims a cancelled job's files from the inbox as they are now, so that they do not become a new job.

        If the picture is no longer there, the record ends the job.
        """
        files = []
        for file in job.accepted.files:
            found = self._look(job, file)
            if found is not None and found.kind == "file":
                files.append(replace(file, ino=found.ino, size=found.size, mtime_ns=found.mtime_ns))
        if not files or files[0].role != "image":
            return decide.cancelled(job)
        return Retaken(job=job.job_id, value=replace(job.accepted, files=tuple(files)))

    @contextlib.contextmanager
    def _inbox_folder(self, job: Job) -> Iterator[HeldFolder]:
        """The inbox folder in which the job was dropped, held open while the block runs."""
        folders = InboxFolders(self.fs, self.inbox)
        try:
            yield folders.open(to_bytes(job.accepted.folder))
        finally:
            folders.release()

    def _look(self, job: Job, file: ClaimedFile) -> Stat | None:
        """What is in the inbox under this file's name now; None if there is nothing, or if the folder is gone."""
        try:
            with self._inbox_folder(job) as folder:
                return _look_in(folder, to_bytes(file.name))
        except (FileNotFoundError, NotADirectoryError):
            return None


def _link_back(file: ClaimedFile, source: HeldFolder, folder: HeldFolder) -> bool:
    """Link a file in `source` to its old name in `folder`, unless that was done before. Returns False if it is not in `source`.

    Raises:
        OSError: the file cannot have the name, for instance because another file has it.
    """
    here = _look_in(source, to_bytes(file.to))
    if here is None:
        return False
    name = to_bytes(file.name)
    there = _look_in(folder, name)
    if there is None:
        source.link(to_bytes(file.to), folder, name)
    elif (there.dev, there.ino) != (here.dev, here.ino):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    return True


def _look_in(folder: HeldFolder, name: bytes) -> Stat | None:
    try:
        return folder.lstat(name)
    except FileNotFoundError:
        return None
